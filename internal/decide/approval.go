package decide

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// maxRejected bounds the ids of plans that are kept as rejected.
const maxRejected = 10

// maxRefused is the number of addresses that are named when an approval does not cover a plan.
const maxRefused = 10

// Match says how an approval token fits the pending plan.
type Match int

const (
	// MatchNone: it names another plan, or none.
	MatchNone Match = iota
	// MatchExact: it is the plan's id.
	MatchExact
	// MatchLegacy: it is the incumbent's id of the plan's revision, or the beginning of one. Such a token counts only for
	// the plan that was pending when it came.
	MatchLegacy
)

// Asked looks for an approval of the pending plan on the object: the annotation first, then the spec. It remembers, in
// the status in memory, that the spec's token has been seen. "" when there is none, or when it is recorded already.
func Asked(tf *v1alpha2.Terraform, match func(token string) Match) v1alpha2.ApprovalHow {
	st := &tf.Status
	token := tf.Spec.ApprovePlan
	first := token != st.SeenToken
	st.SeenToken = token
	id := st.Plan.Pending
	if id == "" || spent(st, id) || Rejected(tf) || st.Approval != nil && st.Approval.PlanID == id && st.Approval.How != v1alpha2.ApprovalByForce {
		return ""
	}
	if tf.Annotations[v1alpha2.ApprovePlanAnnotation] == id {
		return v1alpha2.ApprovalByAnnotation
	}
	if m := match(token); m == MatchExact || m == MatchLegacy && first {
		return v1alpha2.ApprovalBySpec
	}
	return ""
}

// Reject notes, in the status in memory, which plan a person rejects, be it pending or not. That takes an approval of it, or one that covers it,
// back, for later plans as well, and holds for that plan until the annotation is away, whatever else is pending, or rejected, in the meantime.
func Reject(tf *v1alpha2.Terraform) {
	st := &tf.Status
	id := tf.Annotations[v1alpha2.RejectPlanAnnotation]
	if id == "" {
		st.RejectedIDs = nil
		return
	}
	noteRejected(st, id)
	if a := st.Approval; a != nil && (rejected(st, a.PlanID) || rejected(st, a.CoveredPlan)) {
		noteRejected(st, a.PlanID) // whose token may still be there
		st.Approval = nil
	}
}

func noteRejected(st *v1alpha2.TerraformStatus, id string) {
	if !slices.Contains(st.RejectedIDs, id) && len(st.RejectedIDs) < maxRejected {
		st.RejectedIDs = append(st.RejectedIDs, id)
	}
}

// Rejected says whether a person has rejected the pending plan.
func Rejected(tf *v1alpha2.Terraform) bool { return rejected(&tf.Status, tf.Status.Plan.Pending) }

// rejected: when as many ids as are kept were rejected, every plan is, until the annotation is away: none may be forgotten for another.
func rejected(st *v1alpha2.TerraformStatus, id string) bool {
	return id != "" && (slices.Contains(st.RejectedIDs, id) || len(st.RejectedIDs) >= maxRejected)
}

// Approve records, in memory, that the pending plan is approved. The record covers the changes of that plan; removing the
// annotation or the token later revokes nothing. made is the plan as its run reported it, nil when that is gone: then the
// approval counts for this plan only.
func Approve(tf *v1alpha2.Terraform, how v1alpha2.ApprovalHow, made *v1alpha2.RunPlan, now time.Time) {
	approval := &v1alpha2.Approval{
		PlanID: tf.Status.Plan.Pending, How: how, By: tf.Annotations[v1alpha2.ApprovedByAnnotation], At: metav1.NewTime(now),
	}
	if made != nil && made.ID == approval.PlanID {
		for _, c := range made.Changes {
			approval.Changes = append(approval.Changes, c.Digest)
		}
	}
	tf.Status.Approval, tf.Status.RefusedApproval = approval, nil
}

// Transfer holds an approval of an earlier plan, one that nothing has been applied since, against the pending plan: it
// counts for that one when all its changes were in the earlier plan, as after a commit that changes nothing but the
// approval itself. Otherwise it is recorded what it does not cover. It says whether the pending plan is approved now.
func Transfer(tf *v1alpha2.Terraform, how v1alpha2.ApprovalHow, earlier, pending *v1alpha2.RunPlan, now time.Time) bool {
	approved := make([]string, 0, len(earlier.Changes))
	for _, c := range earlier.Changes {
		approved = append(approved, c.Digest)
	}
	uncovered := outside(approved, pending)
	if len(uncovered) > 0 || len(pending.Changes) == 0 {
		tf.Status.RefusedApproval = &v1alpha2.RefusedApproval{PlanID: earlier.ID, Changes: uncovered}
		return false
	}
	tf.Status.RefusedApproval = nil
	tf.Status.Approval = &v1alpha2.Approval{
		PlanID: earlier.ID, How: how, By: tf.Annotations[v1alpha2.ApprovedByAnnotation], At: metav1.NewTime(now),
		Changes: approved, CoveredPlan: pending.ID,
	}
	return true
}

// outside are the addresses of a plan whose change is in no approved one.
func outside(approved []string, made *v1alpha2.RunPlan) []string {
	var addresses []string
	for _, c := range made.Changes {
		if !slices.Contains(approved, c.Digest) && len(addresses) < maxRefused {
			addresses = append(addresses, c.Address)
		}
	}
	return addresses
}

// cover holds the last approval against a new plan: one that holds no change but approved ones goes on without asking.
// That is the rest of a half-failed apply, the same plan made anew, or a new revision with the same changes.
func (s settlement) cover(made *v1alpha2.RunPlan) {
	approval := s.tf.Status.Approval
	if approval == nil || approval.PlanID == made.ID || len(approval.Changes) == 0 {
		return
	}
	approval.CoveredPlan = ""
	uncovered := outside(approval.Changes, made)
	switch {
	case len(made.Changes) == 0 || s.now.Sub(approval.At.Time) > s.ttl:
	case len(uncovered) == 0:
		approval.CoveredPlan = made.ID
	default:
		s.tf.Status.RefusedApproval = &v1alpha2.RefusedApproval{PlanID: approval.PlanID, Changes: uncovered}
	}
}

// useUp ends the approval when what it covers has been applied: the same changes a second time are asked for again.
func (s settlement) useUp() {
	if approval := s.tf.Status.Approval; approval != nil {
		approval.Changes, approval.CoveredPlan = nil, ""
	}
}

// spend notes the ids by which something has been approved, when an apply has been completed. An id that was good before it never comes back;
// but a token stays in Git.
func (s settlement) spend() {
	st := &s.tf.Status
	ids := []string{s.tf.Annotations[v1alpha2.ApprovePlanAnnotation], s.tf.Spec.ApprovePlan}
	if st.Approval != nil {
		ids = append(ids, st.Approval.PlanID)
	}
	slices.Sort(ids)
	st.SpentIDs = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return !strings.HasPrefix(id, "plan-") })
}

// spent says whether a plan of that id has had its apply.
func spent(st *v1alpha2.TerraformStatus, id string) bool { return slices.Contains(st.SpentIDs, id) }

// Void says whether a token that names an earlier plan approves no other: it is spent, or that plan was rejected.
func Void(st *v1alpha2.TerraformStatus, id string) bool {
	return spent(st, id) || rejected(st, id)
}

// Approved says whether the pending plan is approved by a person.
func Approved(st *v1alpha2.TerraformStatus) bool {
	a, id := st.Approval, st.Plan.Pending
	return a != nil && id != "" && (a.PlanID == id || a.CoveredPlan == id) && !spent(st, id)
}
