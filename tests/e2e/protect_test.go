package e2e

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestProtect_HoldsTheEndOfWhatIsNamedEvenUnderAuto: a replace and the destroy of a deletion wait for a person, all else goes on.
func TestProtect_HoldsTheEndOfWhatIsNamedEvenUnderAuto(t *testing.T) {
	compat.Shows(t, "spec.approval")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable(), story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion = true
		tf.Spec.Approval = &infrav1.ApprovalSpec{Protect: []string{"kubernetes_config_map.settings"}}
	})
	s.Applied(s.Revision())
	s.Paint("red")
	s.Request()
	s.Eventually(s.Color).Should(Equal("green"), "a change in place goes on by itself")

	_, err := s.Tenant.Commit(s.Ctx, "rename", map[string]string{"main.tf": strings.Replace(story.Driftable, `= "settings"`, `= "preferences"`, 1)})
	s.Expect(err).NotTo(HaveOccurred())
	const names = "spec.approval.protect names: kubernetes_config_map.settings"
	tf := s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring(names))
	s.RestsQuietly()
	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Applied(s.SourceRevision())

	s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	tf = s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring(names))
	s.RestsQuietly()
	s.Expect(system.Client.Get(s.Ctx, s.Key("preferences"), &corev1.ConfigMap{})).To(Succeed())
	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue())
}

// TestProtect_HoldsAMoveAwayFromWhatIsNamed: under another address the list would not name it, and the next plan could end it.
func TestProtect_HoldsAMoveAwayFromWhatIsNamed(t *testing.T) {
	t.Parallel()
	const module = "resource \"terraform_data\" \"db\" {}\n"
	s := story.New(t, system, map[string]string{"main.tf": module})
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.Approval = &infrav1.ApprovalSpec{Protect: []string{"terraform_data.db"}}
	})
	s.Applied(s.Revision())
	moved := strings.Replace(module, "db", "other", 1) + "moved {\n  from = terraform_data.db\n  to   = terraform_data.other\n}\n"
	_, err := s.Tenant.Commit(s.Ctx, "move", map[string]string{"main.tf": moved})
	s.Expect(err).NotTo(HaveOccurred())
	tf := s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges,
		ContainSubstring("spec.approval.protect names: terraform_data.db (it would be terraform_data.other)"))
	s.RestsQuietly()
	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Applied(s.SourceRevision())
}
