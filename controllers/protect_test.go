package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestProtected_LooksAtTheRunOfThePendingPlan(t *testing.T) {
	g := NewWithT(t)
	tf := &infrav1.Terraform{}
	o := &observation{runs: []infrav1.TerraformRun{{
		ObjectMeta: metav1.ObjectMeta{Name: "net-1"},
		Status:     infrav1.TerraformRunStatus{Plan: &infrav1.RunPlan{Destructive: []string{"a.b"}}},
	}}}
	tf.Status.Plan.Pending, tf.Status.Plan.Run = "plan-1", "net-1"
	g.Expect(o.protected(tf)).To(BeEmpty(), "nothing is protected")
	tf.Spec.Approval = &infrav1.ApprovalSpec{Protect: []string{"a.b"}}
	g.Expect(o.protected(tf)).To(Equal("a.b"))
	tf.Status.Plan.Run = "net-0"
	g.Expect(o.protected(tf)).NotTo(BeEmpty(), "a run that is gone tells nothing")
	tf.Status.Plan.Pending = ""
	g.Expect(o.protected(tf)).To(BeEmpty(), "nothing waits")
}
