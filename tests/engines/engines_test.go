package engines

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

func terraform(version string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { tf.Spec.Engine = &infrav1.EngineSpec{Name: "terraform", Version: version} }
}

// large is a module whose state has more than 1 MiB when it is packed.
func large(t *testing.T) map[string]string {
	t.Helper()
	noise := make([]byte, 700<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"noise.txt": base64.StdEncoding.EncodeToString(noise), "main.tf": `
resource "terraform_data" "large" { input = file("noise.txt") }
output "id" { value = terraform_data.large.id }
`}
}

// secrets are the names of the namespace's Secrets that begin with prefix.
func secrets(s *story.Story, prefix string) []string {
	var all corev1.SecretList
	s.Expect(system.Client.List(s.Ctx, &all, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	names := []string{}
	for _, secret := range all.Items {
		if strings.HasPrefix(secret.Name, prefix) {
			names = append(names, secret.Name)
		}
	}
	return names
}

func TestEngine_IsFoundInTheFolderOfTheImage(t *testing.T) {
	t.Parallel()
	for ask, want := range map[string]string{"1.5.7": "1.5.7", ">= 1.5, < 1.9": "1.5.7", "~> 1.13": "1.13.3"} {
		t.Run(ask, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
			s.Create(terraform(ask), s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
			s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
			s.Applied(s.Revision())
			for _, run := range s.Runs() {
				s.Expect(run.Status.Engine).To(Equal(&infrav1.EngineIdentity{Name: "terraform", Version: want}))
			}
			s.DeleteObject()
			s.LeavesNothing()
		})
	}
}

// TestLargeState_InSeveralSecrets: Terraform spreads a state over several Secrets, and the guard reads them all.
func TestLargeState_InSeveralSecrets(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, large(t))
	s.Create(story.Auto, terraform("~> 1.13.0"))
	tf := s.Applied(s.Revision())
	s.Expect(secrets(s, "tfstate-")).To(ConsistOf("tfstate-default-net", "tfstate-default-net-part-1"))
	s.Expect(tf.Status.State.Resources).To(Equal(int64(1)))
	s.Expect(tf.Status.State.Size).To(BeNumerically(">", 1800<<10), "both parts were read")
	s.Request()
	s.Expect(s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:")).Status.State).To(Equal(tf.Status.State))

	revision, err := s.Tenant.Commit(s.Ctx, "small again", map[string]string{"noise.txt": "quiet"})
	s.Expect(err).NotTo(HaveOccurred())
	small := s.Applied(revision)
	s.Expect(small.Status.State.Size).To(BeNumerically("<", 4<<10))
	s.Expect(small.Status.State.Lineage).To(Equal(tf.Status.State.Lineage))
	s.Request()
	s.Becomes(metav1.ConditionTrue, "", ContainSubstring(revision))
}

// TestLargeState_TofuToTerraform is one of the ways out that the failure names: what tofu could not write, Terraform writes, and
// nothing is made a second time.
func TestLargeState_TofuToTerraform(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, large(t))
	s.Create(story.Auto, story.OutputsTo("net-outputs"))
	s.Refuses(infrav1.ReasonTFExecApplyFailed, "it is kept in Secret tfrescue-net", "Terraform 1.7 or later (spec.engine)")
	s.Expect(secrets(s, "tfrescue-")).To(HaveLen(2))

	s.Change(terraform("~> 1.13.0"))
	s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:"))
	s.Expect(secrets(s, "tfrescue-")).To(BeEmpty())
	s.Expect(secrets(s, "tfstate-")).To(HaveLen(2))
	s.Expect(s.Get().Status.State.Resources).To(Equal(int64(1)))
	for _, run := range s.Runs() {
		if run.Spec.Operation == infrav1.OperationPlan && run.Status.Engine.Name == "terraform" {
			s.Expect(run.Status.Plan.Summary.Add).To(BeZero(), "the resource is known")
		}
	}
}
