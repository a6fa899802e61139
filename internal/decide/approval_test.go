package decide

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestAsked(t *testing.T) {
	compat.Shows(t, "spec.approvePlan.short", "documented.short-ids", "weak.3")
	match := func(token string) Match {
		switch token {
		case "plan-old":
			return MatchExact
		case "plan-legacy":
			return MatchLegacy
		}
		return MatchNone
	}
	cases := map[string]struct {
		reason     string
		annotation string
		spec       string
		seen       string
		had        *v1alpha2.Approval
		nothing    bool
		spent      []string
		want       v1alpha2.ApprovalHow
	}{
		"nothing":          {reason: "silence is no consent"},
		"annotation":       {reason: "the id of the pending plan approves it", annotation: "plan-old", want: v1alpha2.ApprovalByAnnotation},
		"spec":             {reason: "a commit approves as well", spec: "plan-old", want: v1alpha2.ApprovalBySpec},
		"spec, seen":       {reason: "an id is an id, also when it came a moment before the plan was seen", spec: "plan-old", seen: "plan-old", want: v1alpha2.ApprovalBySpec},
		"another id":       {reason: "an approval counts for one plan", annotation: "plan-older", spec: "plan-newer"},
		"half an id":       {reason: "an annotation is exact", annotation: "plan-ol"},
		"legacy":           {reason: "the incumbent's token counts for the plan that is pending when it comes", spec: "plan-legacy", want: v1alpha2.ApprovalBySpec},
		"legacy, old":      {reason: "a token that stood there before is left in Git, not meant", spec: "plan-legacy", seen: "plan-legacy"},
		"legacy, too soon": {reason: "with nothing pending it is inert", spec: "plan-legacy", nothing: true},
		"spent":            {reason: "an apply was completed since", annotation: "plan-old", spec: "plan-old", spent: []string{"plan-old"}},
		"seen before":      {reason: "it is recorded once", annotation: "plan-old", had: &v1alpha2.Approval{PlanID: "plan-old"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.Approval, tf.Spec.ApprovePlan, tf.Status.SeenToken = tc.had, tc.spec, tc.seen
			tf.Status.SpentIDs = tc.spent
			if tc.nothing {
				tf.Status.Plan.Pending = ""
			}
			tf.Annotations = map[string]string{v1alpha2.ApprovePlanAnnotation: tc.annotation}
			g.Expect(Asked(tf, match)).To(Equal(tc.want), tc.reason)
			g.Expect(tf.Status.SeenToken).To(Equal(tc.spec), "what was seen is remembered")
		})
	}
}

func changes(digests ...string) *v1alpha2.RunPlan {
	p := &v1alpha2.RunPlan{ID: "plan-old", HasChanges: len(digests) > 0}
	for _, d := range digests {
		p.Changes = append(p.Changes, v1alpha2.PlanChange{Address: "at." + d, Digest: d})
	}
	return p
}

func TestApprove_RecordsWhoHowAndWhat(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Annotations = map[string]string{v1alpha2.ApprovedByAnnotation: "ann@example.com"}
	tf.Status.RefusedApproval = &v1alpha2.RefusedApproval{PlanID: "plan-older"}
	Approve(tf, v1alpha2.ApprovalByAnnotation, changes("a", "b"), now)
	g.Expect(*tf.Status.Approval).To(Equal(v1alpha2.Approval{
		PlanID: "plan-old", How: v1alpha2.ApprovalByAnnotation, By: "ann@example.com", At: metav1.NewTime(now), Changes: []string{"a", "b"},
	}))
	g.Expect(tf.Status.RefusedApproval).To(BeNil())
	g.Expect(Approved(&tf.Status)).To(BeTrue())

	Approve(tf, v1alpha2.ApprovalBySpec, nil, now)
	g.Expect(tf.Status.Approval.Changes).To(BeEmpty(), "without its run an approval counts for the plan alone")
}

func TestSettle_HoldsTheApprovalAgainstANewPlan(t *testing.T) {
	cases := map[string]struct {
		reason   string
		approved []string
		age      time.Duration
		made     *v1alpha2.RunPlan
		covered  bool
		refused  []string
	}{
		"the rest":        {"what a half-failed apply has left goes on", []string{"a", "b"}, time.Hour, changes("b"), true, nil},
		"the same":        {"a new revision with the same changes goes on", []string{"a", "b"}, time.Hour, changes("a", "b"), true, nil},
		"one more":        {"one change that nobody has seen holds the plan", []string{"a", "b"}, time.Hour, changes("a", "c"), false, []string{"at.c"}},
		"too old":         {"an approval does not last for ever", []string{"a", "b"}, 25 * time.Hour, changes("b"), false, nil},
		"used up":         {"an approval is used up", nil, time.Hour, changes("a"), false, nil},
		"too many to say": {"changes that are not listed are not covered", []string{"a"}, time.Hour, &v1alpha2.RunPlan{HasChanges: true}, false, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-old", At: metav1.NewTime(now.Add(-tc.age)), Changes: tc.approved}
			tc.made.ID = "plan-new"
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, func(run *v1alpha2.TerraformRun) { run.Status.Plan = tc.made }), now, day)
			g.Expect(Approved(&tf.Status)).To(Equal(tc.covered), tc.reason)
			if tc.refused == nil {
				g.Expect(tf.Status.RefusedApproval).To(BeNil())
				return
			}
			g.Expect(*tf.Status.RefusedApproval).To(Equal(v1alpha2.RefusedApproval{PlanID: "plan-old", Changes: tc.refused}))
		})
	}
}

func TestSettle_AnApplyUsesTheApprovalUp(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-older", CoveredPlan: "plan-old", Changes: []string{"a"}}
	Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunSucceeded), now, day)
	g.Expect(*tf.Status.Approval).To(Equal(v1alpha2.Approval{PlanID: "plan-older"}))

	tf = activeTerraform()
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-old", Changes: []string{"a"}}
	Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecApplyFailed)), now, day)
	g.Expect(tf.Status.Approval.Changes).To(Equal([]string{"a"}), "a failed apply has not used it up: the rest is still approved")
}

func TestSettle_APlanWithoutChangesUsesTheApprovalUp(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.AppliesStarted, tf.Status.AppliesCompleted = 3, 2
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-old", Changes: []string{"a"}}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), now, day)
	g.Expect(tf.Status.Approval.Changes).To(BeEmpty(), "an apply whose runner died before its report has done it all")
	g.Expect(tf.Status.AppliesCompleted).To(Equal(int64(3)), "so the same changes have another id the next time")
}

func TestSettle_AnApplyThatFailsAfterwardsIsApplied(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-old", Changes: []string{"a"}}
	Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonOutputsWritingFailed), func(run *v1alpha2.TerraformRun) {
		run.Status.ApplyFinishedAt = run.Status.FinishedAt
	}), now, day)
	g.Expect(tf.Status.LastAppliedRevision).To(Equal("main@sha1:aaaa"))
	g.Expect(tf.Status.Approval.Changes).To(BeEmpty())
	g.Expect(tf.Status.ReconciliationFailures).To(Equal(int64(1)), "what failed is told and tried again")
}

func TestTransfer(t *testing.T) {
	cases := map[string]struct {
		reason  string
		pending *v1alpha2.RunPlan
		want    bool
		refused []string
	}{
		"the same changes": {"a commit that only approves moves the revision, not the plan", changes("a", "b"), true, nil},
		"fewer":            {"what is left of it was approved", changes("b"), true, nil},
		"another":          {"what nobody has approved is named", changes("a", "c"), false, []string{"at.c"}},
		"not listed":       {"what is not listed is not covered", changes(), false, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			earlier := changes("a", "b")
			earlier.ID = "plan-older"
			g.Expect(Transfer(tf, v1alpha2.ApprovalBySpec, earlier, tc.pending, now)).To(Equal(tc.want), tc.reason)
			g.Expect(Approved(&tf.Status)).To(Equal(tc.want))
			if !tc.want {
				g.Expect(*tf.Status.RefusedApproval).To(Equal(v1alpha2.RefusedApproval{PlanID: "plan-older", Changes: tc.refused}))
			}
		})
	}
}

func TestAsked_APersonsWordComesAfterAForce(t *testing.T) {
	g := NewWithT(t)
	tf := &v1alpha2.Terraform{}
	tf.Status.Plan.Pending = "plan-1"
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-1", How: v1alpha2.ApprovalByForce}
	none := func(string) Match { return MatchNone }
	g.Expect(Asked(tf, none)).To(BeEmpty(), "nobody has seen the plan")
	tf.Annotations = map[string]string{v1alpha2.ApprovePlanAnnotation: "plan-1"}
	g.Expect(Asked(tf, none)).To(Equal(v1alpha2.ApprovalByAnnotation))
	tf.Status.Approval.How = v1alpha2.ApprovalByAnnotation
	g.Expect(Asked(tf, none)).To(BeEmpty(), "it is recorded already")
}
