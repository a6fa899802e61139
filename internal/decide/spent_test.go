package decide

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// TestSettle_AnIDOfBeforeAnApplyApprovesNothing: tokens stay in Git, and which id a plan has is what its run says.
func TestSettle_AnIDOfBeforeAnApplyApprovesNothing(t *testing.T) {
	exact := func(token string) Match { return map[bool]Match{true: MatchExact}[token == "plan-new"] }
	cases := map[string]struct {
		reason           string
		spec, annotation string
		approved         string
		spent            []string
	}{
		"nothing":       {"an apply by mode", "auto", "", "", nil},
		"in the spec":   {"it is left in Git", "plan-new", "", "", []string{"plan-new"}},
		"by annotation": {"it is left on the object", "manual", "plan-new", "", []string{"plan-new"}},
		"recorded":      {"it was taken away meanwhile", "", "", "plan-new", []string{"plan-new"}},
		"all":           {"each of them", "plan-a", "plan-new", "plan-b", []string{"plan-a", "plan-b", "plan-new"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Spec.ApprovePlan, tf.Annotations = c.spec, map[string]string{v1alpha2.ApprovePlanAnnotation: c.annotation}
			if c.approved != "" {
				tf.Status.Approval = &v1alpha2.Approval{PlanID: c.approved, How: v1alpha2.ApprovalByAnnotation}
			}
			Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunSucceeded), now, day)
			g.Expect(tf.Status.SpentIDs).To(ConsistOf(c.spent), c.reason)

			tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1", Sequence: 1}
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges), now, day)
			g.Expect(tf.Status.Plan.Pending).To(Equal("plan-new"))
			g.Expect(Asked(tf, exact)).To(BeEmpty(), c.reason)
			g.Expect(Approved(&tf.Status)).To(BeFalse(), c.reason)
		})
	}

	g := NewWithT(t)
	tf := activeTerraform()
	tf.Spec.ApprovePlan = "plan-new"
	Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecApplyFailed)), now, day)
	g.Expect(tf.Status.SpentIDs).To(BeEmpty(), "an apply that has failed has spent nothing")
}
