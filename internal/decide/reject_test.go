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
	g.Expect(at("plan-z", "plan-x")).To(BeFalse(), "that plan is not pending")
	g.Expect(tf.Status.Approval).To(BeNil(), "but its approval is there, and covers no later plan any more")
	tf.Status.Approval = &v1alpha2.Approval{PlanID: "plan-before", CoveredPlan: "plan-x", Changes: []string{"a"}, At: metav1.NewTime(now)}
	g.Expect(at("plan-x", "plan-x")).To(BeTrue())
	g.Expect(tf.Status.Approval).To(BeNil(), "nor does one that covers it")
	g.Expect(Void(&tf.Status, "plan-before")).To(BeTrue(), "whose token would bring it back")
	g.Expect(Asked(tf, exact)).To(BeEmpty(), "the token is still there")
	g.Expect(at("plan-y", "plan-x")).To(BeFalse(), "a later plan may be approved")
	g.Expect(at("plan-y", "plan-y")).To(BeTrue(), "or rejected")
	g.Expect(at("plan-x", "plan-y")).To(BeTrue(), "the first is back, and the annotation is about the second")
	g.Expect(tf.Status.RejectedIDs).To(Equal([]string{"plan-else", "plan-x", "plan-before", "plan-y"}))
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
