package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestV1alpha1_IsPlannedAndApplied: a manifest of the old version works as it is, and applying it again later makes the
// controller forget nothing.
func TestV1alpha1_IsPlannedAndApplied(t *testing.T) {
	compat.Shows(t, "api.v1alpha1")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	old := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "infra.contrib.fluxcd.io/v1alpha1", "kind": infrav1.TerraformKind,
		"metadata": map[string]any{"namespace": s.Tenant.Namespace, "name": "net"},
		"spec": map[string]any{
			"approvePlan": "auto", "interval": "10m", "writeOutputsToSecret": map[string]any{"name": "outputs"},
			"sourceRef": map[string]any{"kind": "GitRepository", "name": local.SourceName},
			"vars":      []any{map[string]any{"name": "name", "value": "old friend"}},
		},
	}}
	s.Expect(s.System.Client.Create(s.Ctx, old)).To(Succeed())
	before := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1:"))
	s.Expect(s.Secret("outputs").Data).To(HaveKeyWithValue("greeting", []byte("hello old friend")))

	s.Expect(s.System.Client.Get(s.Ctx, s.Key("net"), old)).To(Succeed())
	old.Object["spec"].(map[string]any)["vars"] = []any{map[string]any{"name": "name", "value": "new friend"}}
	s.Expect(s.System.Client.Update(s.Ctx, old)).To(Succeed())
	s.Eventually(func() map[string][]byte { return s.Secret("outputs").Data }).Should(HaveKeyWithValue("greeting", []byte("hello new friend")))
	after := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1:"))
	s.Expect(after.Status.AppliesCompleted).To(Equal(before.Status.AppliesCompleted + 1))
	s.Expect(after.Status.RunSequence).To(Equal(before.Status.RunSequence+2), "a plan and an apply, counted on from before")
	s.Expect(after.Status.State.Lineage).To(Equal(before.Status.State.Lineage))
}
