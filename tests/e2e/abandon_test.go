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

const abandonWhy = "the account is closed"

// TestAbandon_EndsADeletionThatIsHeld: whatever holds it, a person can let the object go, and what it has made stays.
func TestAbandon_EndsADeletionThatIsHeld(t *testing.T) {
	compat.Shows(t, "use.deletion", "weak.5")
	cases := map[string]struct {
		change func(*infrav1.Terraform)
		// hold brings about what the deletion will not get over.
		hold        func(*story.Story)
		ready, says string
	}{
		"suspended": {
			hold:  func(s *story.Story) { s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true }) },
			ready: "False " + infrav1.ReasonSuspended, says: "spec.suspend",
		},
		"others depend on it": {
			hold: func(s *story.Story) {
				s.Create(named("app"), dependsOn(infrav1.DependencyReference{Name: "net"}), func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
			},
			ready: "False " + infrav1.ReasonDeletionBlocked, says: "app",
		},
		"the destroy plan waits for approval": {
			hold:  func(s *story.Story) { s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "safe" }) },
			ready: "Unknown " + infrav1.ReasonPlannedWithChanges, says: "set approvePlan",
		},
		"the destroy fails": {
			hold: func(s *story.Story) {
				s.Change(func(tf *infrav1.Terraform) {
					tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "gone"}}
					tf.Spec.Vars = nil
				})
				s.Refuses(infrav1.ReasonVarsGenerationFailed, "gone")
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "nobody" })
			},
			ready: "False " + infrav1.ReasonRunnerForbidden, says: "nobody",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
			s.Create(story.Auto, s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
			s.Applied(s.Revision())
			tc.hold(s)
			s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
			says(s, "net", tc.ready, ContainSubstring(tc.says))

			s.Annotate(infrav1.AbandonAnnotation, abandonWhy)
			s.Eventually(func() bool { return isGone(s, &infrav1.Terraform{}, "net") }).Should(BeTrue())
			s.Expect(s.Color()).To(Equal("green"), "the resource is still there")
			s.Expect(s.Secret(stateSecret).Data).To(HaveKey("tfstate"), "and so is the state")
			s.Hears("Abandoned", And(ContainSubstring(abandonWhy), ContainSubstring("1 resource(s)")))
			s.Eventually(s.Pods).Should(BeEmpty())
		})
	}
}

func TestAbandon_CountsFromTheDeletionOn(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(story.Auto, s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.Applied(s.Revision())
	s.Annotate(infrav1.AbandonAnnotation, abandonWhy)
	s.RestsQuietly()
	s.Paint("red")
	s.Request()
	s.Eventually(s.Color).Should(Equal("green"), "an object that is not deleted is looked after as ever")
	runs := s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:")).Status.RunSequence
	s.DeleteObject()
	s.Expect(s.Color()).To(Equal("green"), "the resource is still there")
	s.Hears("Abandoned", ContainSubstring(abandonWhy))
	s.Expect(runs).To(Equal(int64(4)), "two plans and two applies")
	s.LeavesNothing()
}

// TestAbandon_LetsANamespaceGo: no run can begin in a namespace that is being deleted, so that nothing can be destroyed.
func TestAbandon_LetsANamespaceGo(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.Applied(s.Revision())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Tenant.Namespace}}
	s.Expect(system.Client.Delete(s.Ctx, namespace)).To(Succeed())
	says(s, "net", "False "+infrav1.ReasonNamespaceTerminating, And(ContainSubstring(infrav1.AbandonAnnotation), ContainSubstring("spec.destroyResourcesOnDeletion")))
	s.RestsQuietly()

	s.Annotate(infrav1.AbandonAnnotation, abandonWhy)
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, client.ObjectKeyFromObject(namespace), namespace))
	}).Should(BeTrue(), "the namespace goes with its last object")
}
