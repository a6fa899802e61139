package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// What a person has approved while the incumbent was at work. Its id names a revision, so that the approval counts for the
// changes in the plan that it has stored, and for nothing else: they are held against the plan that is made anew.

// FormerApproval is the id of the incumbent's plan that waits, if the spec's token approves it and has not been used for an
// apply; "" otherwise.
func FormerApproval(tf *v1alpha2.Terraform, match func(token string) Match) string {
	if !formerWaits(&tf.Status) || usedBefore(tf) || match(tf.Spec.ApprovePlan) == MatchNone {
		return ""
	}
	return tf.Status.Plan.Pending
}

// formerWaits: the pending plan is the incumbent's, which knows of no target.
func formerWaits(st *v1alpha2.TerraformStatus) bool {
	return st.Plan.Pending != "" && st.Plan.Target == ""
}

// usedBefore: an id of the incumbent comes back with each plan of the revision, so that the token may be left of an apply
// before.
func usedBefore(tf *v1alpha2.Terraform) bool {
	st := &tf.Status
	return formerWaits(st) && tf.Spec.ApprovePlan == st.Plan.Pending && st.Plan.LastApplied == st.Plan.Pending
}

// formerPlan is what the run has found in the plan that it was to look into; what nobody has asked it for does not count.
func (s settlement) formerPlan() *v1alpha2.FormerPlan {
	former, asked := s.run.Status.FormerPlan, s.run.Spec.FormerPlan
	if former == nil || asked == "" || former.ID != asked {
		return nil
	}
	return former
}

// takeOverApproval records the approval of the incumbent's plan, as the run has found it. Who forces a plan has it applied
// whatever was approved before.
func (s settlement) takeOverApproval() {
	former := s.formerPlan()
	if former == nil || former.Refused != "" || len(former.Changes) == 0 || s.forced() {
		return
	}
	s.tf.Status.Approval = &v1alpha2.Approval{
		PlanID: former.ID, How: v1alpha2.ApprovalBySpec, By: s.tf.Annotations[v1alpha2.ApprovedByAnnotation], At: s.now, Changes: former.Changes,
	}
}

// formerRefusal says why an approval that the incumbent was given does not count, also when the plan is looked at again; nil
// where there is none.
func (s settlement) formerRefusal() *v1alpha2.RefusedApproval {
	if before := s.tf.Status.RefusedApproval; before != nil && before.Reason != "" {
		return before
	}
	if former := s.formerPlan(); former != nil && former.Refused != "" {
		return &v1alpha2.RefusedApproval{PlanID: former.ID, Reason: former.Refused}
	}
	if usedBefore(s.tf) {
		return &v1alpha2.RefusedApproval{PlanID: s.tf.Status.Plan.Pending, Reason: "a plan of the same id has been applied before"}
	}
	return nil
}
