package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestUnsupported_EachFieldStallsOrIsIgnored(t *testing.T) {
	set := map[string]func(*infrav1.TerraformSpec){
		"spec.webhooks": func(s *infrav1.TerraformSpec) { s.Webhooks = []infrav1.Webhook{{}} },
		"spec.engine":   func(s *infrav1.TerraformSpec) { s.Engine = &infrav1.EngineSpec{} },
		"spec.approval": func(s *infrav1.TerraformSpec) { s.Approval = &infrav1.ApprovalSpec{} },

		"spec.stateBackups": func(s *infrav1.TerraformSpec) { s.StateBackups = ptr.To[int32](3) },
	}
	defaults := infrav1.TerraformSpec{
		TfState: &infrav1.TfStateSpec{ForceUnlock: "no", LockTimeout: &metav1.Duration{}}, StoreReadablePlan: "none",
		PlanServiceAccountName: "tf-runner", RetryStrategy: infrav1.StaticInterval, AlwaysCleanupRunnerPod: ptr.To(true),
	}
	check := func(fields []field, message func(*infrav1.TerraformSpec) string) {
		for _, f := range fields {
			t.Run(f.path, func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(set).To(HaveKey(f.path))
				spec := defaults.DeepCopy()
				g.Expect(message(spec)).To(BeEmpty(), "defaults are no wish")
				set[f.path](spec)
				g.Expect(message(spec)).To(ContainSubstring(f.path))
			})
		}
	}
	check(stallingFields, unsupportedMessage)
	check(ignoredFields, ignoredMessage)
	NewWithT(t).Expect(set).To(HaveLen(len(stallingFields) + len(ignoredFields)))
}

func TestInvalidApproveMessage(t *testing.T) {
	g := NewWithT(t)
	for _, word := range []string{"", "manual", "auto", "disable", "safe", "replan", "plan-main-b8e362c206"} {
		g.Expect(invalidApproveMessage(&infrav1.TerraformSpec{ApprovePlan: word})).To(BeEmpty(), word)
	}
	for _, word := range []string{"yes", "Auto", "plan", "true", "автомат"} {
		g.Expect(invalidApproveMessage(&infrav1.TerraformSpec{ApprovePlan: word})).To(ContainSubstring("spec.approvePlan: \""+word), word)
	}
}
