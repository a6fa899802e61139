package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestInvalidApproveMessage(t *testing.T) {
	compat.Shows(t, "spec.approvePlan")
	g := NewWithT(t)
	for _, word := range []string{"", "manual", "auto", "disable", "safe", "replan", "plan-main-b8e362c206"} {
		g.Expect(invalidApproveMessage(&infrav1.TerraformSpec{ApprovePlan: word})).To(BeEmpty(), word)
	}
	for _, word := range []string{"yes", "Auto", "plan", "true", "автомат"} {
		g.Expect(invalidApproveMessage(&infrav1.TerraformSpec{ApprovePlan: word})).To(ContainSubstring("spec.approvePlan: \""+word), word)
	}
}

// TestBelieved_NoPlanUnderTheIDOfAnother: code of a module has the token of its plan's pod, and may report in the runner's place.
func TestBelieved_NoPlanUnderTheIDOfAnother(t *testing.T) {
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{UID: "uid"}}
	honest := &infrav1.TerraformRun{
		Spec:   infrav1.TerraformRunSpec{Operation: infrav1.OperationPlan, AppliesCompleted: 1},
		Status: infrav1.TerraformRunStatus{Phase: infrav1.RunSucceeded, Plan: &infrav1.RunPlan{ID: plan.ID("main@sha1:1", "content", "uid", 1), Content: "content"}},
	}
	g := NewWithT(t)
	g.Expect(believed(tf, honest)).To(BeIdenticalTo(honest))
	forged := honest.DeepCopy()
	forged.Status.Plan.Content = "other"
	seen := believed(tf, forged)
	g.Expect(seen.Status.Phase).To(Equal(infrav1.RunFailed))
	g.Expect(seen.Status.Plan).To(BeNil(), "nothing of it waits for an approval")
	g.Expect(seen.Status.Failure.Message).To(ContainSubstring("other changes than that id stands for"))
	forged.Spec.Operation = infrav1.OperationApply
	g.Expect(believed(tf, forged)).To(BeIdenticalTo(forged), "an apply reports what it was ordered to do")
	honest.Status.Plan = &infrav1.RunPlan{Short: "+0 ~0 -0"}
	g.Expect(believed(tf, honest)).To(BeIdenticalTo(honest), "a plan without changes has no id")
}

func TestConcludeLast_AForgedReportWaitsForItsRetry(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{UID: "uid"}, Spec: infrav1.TerraformSpec{RetryInterval: &metav1.Duration{Duration: time.Minute}}}
	forged := infrav1.TerraformRun{
		Spec: infrav1.TerraformRunSpec{Operation: infrav1.OperationPlan},
		Status: infrav1.TerraformRunStatus{
			Phase: infrav1.RunSucceeded, FinishedAt: &metav1.Time{Time: now}, Plan: &infrav1.RunPlan{ID: "plan-x", Content: "other"},
		},
	}
	o := &observation{runs: []infrav1.TerraformRun{forged}, now: now}
	o.concludeLast(tf)
	g.Expect(o.facts.Last.Failed).To(BeTrue(), "each time that it is looked at")
	g.Expect(o.facts.RetryIn).To(Equal(time.Minute))
}
