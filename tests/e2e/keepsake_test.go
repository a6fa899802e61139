package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// withInputs has its variables in a ConfigMap, as a Kustomization would deliver them, and is destroyed with the object.
func withInputs(s *story.Story) func(*infrav1.Terraform) {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}, Data: map[string]string{"namespace": s.Tenant.Namespace},
	})).To(Succeed())
	return func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "ConfigMap", Name: "inputs"}}
		tf.Spec.DestroyResourcesOnDeletion = true
	}
}

func isGone(s *story.Story, obj client.Object, name string) bool {
	return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key(name), obj))
}

// sourceGone deletes the GitRepository, and waits until it is gone.
func sourceGone(s *story.Story) {
	source := s.Source()
	s.Expect(system.Client.Delete(s.Ctx, source)).To(Succeed())
	s.Eventually(func() bool { return isGone(s, source, source.Name) }).Should(BeTrue())
}

func TestDeletion_DestroysWithoutSourceAndInputs(t *testing.T) {
	compat.Shows(t, "spec.destroyResourcesOnDeletion", "event.TerraformDestroySucceed", "use.destroy-on-deletion", "use.deletion",
		"weak.5",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"app/main.tf": story.Driftable})
	s.Create(story.Auto, withInputs(s), func(tf *infrav1.Terraform) { tf.Spec.Path = "app" })
	revision := s.Applied(s.Revision()).Status.LastAppliedRevision
	kept := s.Get().Status.Kept
	s.Expect(kept).NotTo(BeNil(), "the apply has kept what a destroy needs")
	s.Expect(kept.Revision).To(Equal(revision))

	sourceGone(s)
	s.Expect(system.Client.Delete(s.Ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}})).To(Succeed())
	s.DeleteObject()
	s.Expect(isGone(s, &corev1.ConfigMap{}, "settings")).To(BeTrue(), "the resource is destroyed")
	s.Hears("DestroyFromKeepsake", ContainSubstring(revision))
	s.Hears("TerraformDestroySucceed", ContainSubstring(revision))
	s.LeavesNothing()
}

func TestDeletion_DestroysAModuleThatACommitHasRemoved(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"app/main.tf": story.Driftable, "README": "of another module"})
	s.Create(story.Auto, withInputs(s), func(tf *infrav1.Terraform) { tf.Spec.Path = "app" })
	s.Applied(s.Revision())
	_, err := s.Tenant.Commit(s.Ctx, "remove the module and its object", nil, "app/main.tf")
	s.Expect(err).NotTo(HaveOccurred())
	s.Refuses(infrav1.ReasonArtifactFailed, "spec.path")
	s.DeleteObject()
	s.Expect(isGone(s, &corev1.ConfigMap{}, "settings")).To(BeTrue(), "the resource is destroyed")
	s.LeavesNothing()
}

func TestDeletion_OfWhatWasPlannedOnlyNeedsNoSource(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(withInputs(s))
	s.Held()
	runs := s.Get().Status.RunSequence
	s.Expect(s.Get().Status.Kept).To(BeNil(), "a plan keeps nothing")
	sourceGone(s)
	s.Refuses(infrav1.ReasonArtifactFailed, "not found")
	s.Expect(s.Get().Status.RunSequence).To(Equal(runs))
	s.DeleteObject()
	s.Expect(s.Pods()).To(BeEmpty(), "nothing was made, so nothing has to be destroyed")
	s.LeavesNothing()
}
