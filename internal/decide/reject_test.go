package decide

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// TestReject_TakesTheApprovalBack walks through what a person may do, and whoever would undo it by a detour.
func TestReject_TakesTheApprovalBack(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	exact := func(token string) Match { return map[bool]Match{true: MatchExact}[token == tf.Status.Plan.Pending] }
	at := func(pending, reject string) bool {
		tf.Status.Plan.Pending = pending
		tf.Annotations[v1alpha2.RejectPlanAnnotation] = reject
		Reject(tf)
		return Rejected(tf)
	}
	tf.Annotations = map[string]string{v1alpha2.ApprovePlanAnnotation: "plan-x"}
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-x", Changes: []string{"a"}, At: metav1.NewTime(now)}
	g.Expect(at("plan-x", "plan-else")).To(BeFalse(), "another plan is meant")
	g.Expect(tf.Status.Approval).NotTo(BeNil())
	g.Expect(at("plan-x", "plan-x")).To(BeTrue())
	g.Expect(tf.Status.Approval).To(BeNil(), "so that it covers no later plan either")
	g.Expect(Asked(tf, exact)).To(BeEmpty(), "the token is still there")
	g.Expect(at("plan-y", "plan-x")).To(BeFalse(), "a later plan may be approved")
	g.Expect(at("plan-y", "plan-y")).To(BeTrue(), "or rejected")
	g.Expect(at("plan-x", "plan-y")).To(BeTrue(), "the first is back, and the annotation is about the second")
	g.Expect(tf.Status.RejectedIDs).To(Equal([]string{"plan-x", "plan-y"}))
	g.Expect(at("plan-x", "")).To(BeFalse(), "who may approve has taken it back")
	g.Expect(Asked(tf, exact)).To(Equal(v1alpha2.ApprovalByAnnotation))

	for i := range 2 * maxRejected {
		id := "plan-" + string(rune('a'+i))
		g.Expect(at(id, id)).To(BeTrue())
	}
	g.Expect(tf.Status.RejectedIDs).To(HaveLen(maxRejected))
	g.Expect(tf.Status.RejectedIDs).To(ContainElement("plan-a"), "none is forgotten for another")
	g.Expect(at("plan-y", "plan-t")).To(BeTrue(), "then none is approved")
	g.Expect(at("plan-y", "")).To(BeFalse(), "until the annotation is taken away")
}

func TestSettle_TwoPlansWithOneIDAreNotApprovedByIt(t *testing.T) {
	cases := map[string]struct {
		reason, content string
		approved        bool
	}{
		"the same":  {"it was made anew", "approved", true},
		"unknown":   {"its run was gone when it was approved", "", true},
		"different": {"somebody has looked for one", "other", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Annotations = map[string]string{v1alpha2.ApprovePlanAnnotation: "plan-new"}
			tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-new", How: v1alpha2.ApprovalByAnnotation, Content: c.content}
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, func(run *v1alpha2.TerraformRun) {
				run.Status.Plan.Content = "approved"
			}), now, day)
			g.Expect(Approved(&tf.Status)).To(Equal(c.approved), c.reason)
			if !c.approved {
				g.Expect(tf.Status.RefusedApproval).To(HaveField("Reason", "it was given to another plan with that id"))
				g.Expect(Asked(tf, func(string) Match { return MatchExact })).To(BeEmpty(), "the token does not approve it either")
			}
		})
	}
}
