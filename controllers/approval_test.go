package controllers

import (
	"testing"

	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
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
