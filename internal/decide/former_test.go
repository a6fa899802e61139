package decide

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const legacy = "plan-main-aaaaaaaaaa"

// formerTerraform has a plan of the incumbent that waits, and a token in its spec.
func formerTerraform(token, lastApplied string) *v1alpha2.Terraform {
	tf := activeTerraform()
	tf.Spec.ApprovePlan, tf.Status.SeenToken = token, token
	tf.Status.Plan = v1alpha2.PlanStatus{Pending: legacy, LastApplied: lastApplied}
	return tf
}

func TestFormerApproval(t *testing.T) {
	cases := map[string]struct {
		reason string
		tf     *v1alpha2.Terraform
		match  Match
		want   string
	}{
		"its id":             {"that is how the incumbent was told", formerTerraform(legacy, ""), MatchExact, legacy},
		"eight digits of it": {"that is documented", formerTerraform("plan-main-aaaaaaaa", ""), MatchLegacy, legacy},
		"another id":         {"it is not meant", formerTerraform("plan-main-bbbbbbbbbb", ""), MatchNone, ""},
		"an id of an apply":  {"an id of the incumbent comes back, the consent does not", formerTerraform(legacy, legacy), MatchExact, ""},
		"nothing waits": {"there is nothing to approve", func() *v1alpha2.Terraform {
			tf := formerTerraform(legacy, "")
			tf.Status.Plan.Pending = ""
			return tf
		}(), MatchNone, ""},
		"our plan": {"it has a target, and an approval of its own", func() *v1alpha2.Terraform {
			tf := formerTerraform(legacy, "")
			tf.Status.Plan.Target = "here"
			return tf
		}(), MatchLegacy, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(FormerApproval(tc.tf, func(string) Match { return tc.match })).To(Equal(tc.want), tc.reason)
		})
	}
}

func found(refused string, digests ...string) func(*v1alpha2.TerraformRun) {
	return func(run *v1alpha2.TerraformRun) {
		run.Spec.FormerPlan = legacy
		run.Status.FormerPlan = &v1alpha2.FormerPlan{ID: legacy, Changes: digests, Refused: refused}
	}
}

func TestSettle_HoldsAFormerApprovalAgainstThePlanThatIsMadeAnew(t *testing.T) {
	nothing := func(*v1alpha2.TerraformRun) {}
	cases := map[string]struct {
		reason   string
		tf       *v1alpha2.Terraform
		former   func(*v1alpha2.TerraformRun)
		approved bool
		refused  *v1alpha2.RefusedApproval
	}{
		"the same":     {"what was approved is what is applied", formerTerraform(legacy, ""), found("", "a", "b"), true, nil},
		"less":         {"one of them has happened", formerTerraform(legacy, ""), found("", "a", "b", "c"), true, nil},
		"more":         {"nobody has agreed to b", formerTerraform(legacy, ""), found("", "a"), false, &v1alpha2.RefusedApproval{PlanID: legacy, Changes: []string{"res.b"}}},
		"unreadable":   {"what is not known is not agreed to", formerTerraform(legacy, ""), found("it is damaged"), false, &v1alpha2.RefusedApproval{PlanID: legacy, Reason: "it is damaged"}},
		"used":         {"an apply has used it up", formerTerraform(legacy, legacy), nothing, false, &v1alpha2.RefusedApproval{PlanID: legacy, Reason: "a plan of the same id has been applied before"}},
		"not approved": {"silence is no consent", formerTerraform("", ""), nothing, false, nil},
		"not asked for": {"a runner that says it of its own accord approves nothing", formerTerraform("", ""), func(run *v1alpha2.TerraformRun) {
			run.Status.FormerPlan = &v1alpha2.FormerPlan{ID: "plan-new", Changes: []string{"a", "b"}}
		}, false, nil},
		"not that one": {"nor one that has looked into another plan", formerTerraform(legacy, ""), func(run *v1alpha2.TerraformRun) {
			found("")(run)
			run.Status.FormerPlan = &v1alpha2.FormerPlan{ID: "plan-new", Changes: []string{"a", "b"}}
		}, false, nil},
		"nothing in it": {"it approves nothing", formerTerraform(legacy, ""), found(""), false, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			made := func(run *v1alpha2.TerraformRun) {
				withChanges(run)
				run.Status.Plan.Changes = []v1alpha2.PlanChange{{Address: "res.a", Digest: "a"}, {Address: "res.b", Digest: "b"}}
			}
			Settle(tc.tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, made, tc.former), now, day)
			st := &tc.tf.Status
			g.Expect(st.Plan.Pending).To(Equal("plan-new"))
			g.Expect(Approved(st)).To(Equal(tc.approved), tc.reason)
			g.Expect(st.RefusedApproval).To(Equal(tc.refused), tc.reason)
			if tc.approved {
				g.Expect(st.Approval.PlanID).To(Equal(legacy))
				g.Expect(st.Approval.How).To(Equal(v1alpha2.ApprovalBySpec))
				g.Expect(st.Approval.At).To(Equal(metav1.NewTime(now)))
			}
		})
	}
}

func TestSettle_AForcedPlanIsApprovedWhateverTheFormerApprovalCovers(t *testing.T) {
	for name, former := range map[string]func(*v1alpha2.TerraformRun){
		"all of it": found("", "a", "b"), "less than it": found("", "a"), "what nobody can read": found("it is damaged"),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := formerTerraform(legacy, "")
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, former, func(run *v1alpha2.TerraformRun) {
				run.Spec.Reason = ReasonForced
				run.Status.Plan.Changes = []v1alpha2.PlanChange{{Address: "res.a", Digest: "a"}, {Address: "res.b", Digest: "b"}}
			}), now, day)
			g.Expect(Approved(&tf.Status)).To(BeTrue())
			g.Expect(tf.Status.Approval).To(HaveField("How", v1alpha2.ApprovalByForce))
			g.Expect(tf.Status.RefusedApproval).To(BeNil())
		})
	}
}

func TestSettle_SaysTillItIsApprovedWhyAFormerApprovalDoesNotCount(t *testing.T) {
	g := NewWithT(t)
	tf := formerTerraform(legacy, "")
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, found("it is damaged")), now, day)
	tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1"}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges), now, day)
	g.Expect(tf.Status.RefusedApproval).To(Equal(&v1alpha2.RefusedApproval{PlanID: legacy, Reason: "it is damaged"}))
	Approve(tf, v1alpha2.ApprovalByAnnotation, nil, now)
	g.Expect(tf.Status.RefusedApproval).To(BeNil())
}
