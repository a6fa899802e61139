package faults

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// planSecrets are the Secrets of net's stored plan whose names begin with prefix.
func planSecrets(s *story.Story, prefix string) []corev1.Secret {
	var all corev1.SecretList
	s.Expect(system.Client.List(s.Ctx, &all, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	var found []corev1.Secret
	for _, secret := range all.Items {
		if strings.HasPrefix(secret.Name, prefix) {
			found = append(found, secret)
		}
	}
	s.Expect(found).NotTo(BeEmpty(), prefix)
	return found
}

func put(s *story.Story, secret *corev1.Secret, key string, data []byte) {
	secret.Data[key] = data
	s.Expect(system.Client.Update(s.Ctx, secret)).To(Succeed())
}

// comment makes a module whose stored plan does not fit into one Secret, though its state is small.
func comment(s *WithT) string {
	noise := make([]byte, 1<<20)
	_, err := rand.Read(noise)
	s.Expect(err).NotTo(HaveOccurred())
	return "# " + base64.StdEncoding.EncodeToString(noise) + "\n"
}

const withProvider = story.Greeting + `
resource "random_pet" "pet" {}
`

// tampering is what happens to a stored plan, or to what it needs.
type tampering struct {
	module  string
	prepare func(*story.Story) func(*infrav1.Terraform)
	tamper  func(*story.Story)
	// says: what the run that refuses the plan says.
	says string
}

func tamperings(t *testing.T) map[string]tampering {
	const plan, files = "tfplan-default-net-", "tfplan-files-default-net-"
	return map[string]tampering{
		"plan altered": {tamper: func(s *story.Story) {
			secret := planSecrets(s, plan)[0]
			data := secret.Data["tfplan"]
			data[len(data)/2] ^= 0xff
			put(s, &secret, "tfplan", data)
		}, says: "altered"},
		long("plan swapped"): {tamper: func(s *story.Story) {
			secret := planSecrets(s, plan)[0]
			put(s, &secret, "tfplan", planOfAnother(s))
		}, says: "altered"},
		long("plan missing"): {tamper: func(s *story.Story) {
			secret := planSecrets(s, plan)[0]
			s.Expect(system.Client.Delete(s.Ctx, &secret)).To(Succeed())
		}, says: "incomplete"},
		long("chunk missing"): {module: comment(NewWithT(t)) + story.Greeting, tamper: func(s *story.Story) {
			secrets := planSecrets(s, plan)
			s.Expect(len(secrets)).To(BeNumerically(">", 1))
			s.Expect(system.Client.Delete(s.Ctx, &secrets[1])).To(Succeed())
		}, says: "incomplete"},
		"lock file changed": {module: withProvider, tamper: func(s *story.Story) {
			secret := planSecrets(s, files)[0]
			put(s, &secret, ".terraform.lock.hcl", append(secret.Data[".terraform.lock.hcl"], "# another provider\n"...))
		}, says: "altered"},
		"engine changed": {prepare: claimsPatch, tamper: func(s *story.Story) { ownFile(s).write(s, "99") }, says: ".99"},
		"provider upgraded": {module: withProvider, prepare: func(*story.Story) func(*infrav1.Terraform) { return inHeldImage() },
			tamper: upgradeProvider, says: "hashicorp/random"},
	}
}

// TestPlan_IsNotWhatWasApproved: between plan and approval something happens to the stored plan, or to what it needs.
// That plan is never applied, nobody's failure is counted, and the next plan shows what is to be.
func TestPlan_IsNotWhatWasApproved(t *testing.T) {
	compat.Shows(t, "plan-secret.unusable", "weak.2")
	t.Parallel()
	for name, tc := range tamperings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": cmp.Or(tc.module, story.Greeting)})
			change := []func(*infrav1.Terraform){impatient}
			if tc.prepare != nil {
				change = append(change, tc.prepare(s))
			}
			s.Create(change...)
			id := s.Held()
			tc.tamper(s)
			approved := time.Now()
			s.Annotate(infrav1.ApprovePlanAnnotation, id)
			var refused *infrav1.TerraformRun
			s.Eventually(func() *infrav1.TerraformRun {
				refused = notApplicable(s)
				return refused
			}).ShouldNot(BeNil())
			took(t, "plan: "+name+" before approval: refused", approved)
			s.Expect(refused.Status.ApplyStartedAt).To(BeNil(), "it was not applied")
			s.Expect(refused.Status.Failure.Message).To(ContainSubstring(tc.says))
			s.Expect(s.Get().Status.ReconciliationFailures).To(BeZero(), "nobody's failure")
			// The same changes were approved: they are applied from a plan that is good.
			s.Eventually(func() string { return s.Get().Status.LastAppliedRevision }).ShouldNot(BeEmpty())
			took(t, "plan: "+name+" before approval: applied from a new plan", approved)
			s.Expect(s.Get().Status.Plan.LastApplied).To(Equal(id))
			s.Expect(s.Get().Status.AppliesCompleted).To(Equal(int64(1)))
		})
	}
}

// planOfAnother is what the stored plan of another object of the namespace holds.
func planOfAnother(s *story.Story) []byte {
	s.Create(func(tf *infrav1.Terraform) {
		tf.Name = "evil"
		tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: story.JSON(`"evil"`)}}
	})
	var plan []byte
	s.Eventually(func(g Gomega) {
		var all corev1.SecretList
		g.Expect(system.Client.List(s.Ctx, &all, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
		for _, secret := range all.Items {
			if strings.HasPrefix(secret.Name, "tfplan-default-evil-") {
				plan = secret.Data["tfplan"]
			}
		}
		g.Expect(plan).NotTo(BeEmpty())
	}).Should(Succeed())
	return plan
}

// ownFile is the gate of a story that holds something else.
func ownFile(s *story.Story) *gate { return &gate{s.Tenant.Namespace} }

// claimsPatch lets the engine claim to be of the patch that the story's own file holds, once it holds one.
func claimsPatch(s *story.Story) func(*infrav1.Terraform) {
	file := ownFile(s)
	file.write(s, "")
	return inHeldImage(corev1.EnvVar{Name: "CLAIM_PATCH", Value: file.path()})
}

// upgradeProvider makes the image's mirror hold another version of the provider, and that one only.
func upgradeProvider(s *story.Story) {
	mirrors, err := filepath.Glob(filepath.Join(heldFolder, "usr", "local", "share", "terraform", "providers", "*", "hashicorp", "random"))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(mirrors).NotTo(BeEmpty(), "one for each engine's registry")
	for _, mirror := range mirrors {
		versions, err := os.ReadDir(mirror)
		s.Expect(err).NotTo(HaveOccurred())
		s.Expect(versions).To(HaveLen(1))
		s.Expect(os.Rename(filepath.Join(mirror, versions[0].Name()), filepath.Join(mirror, versions[0].Name()+"1"))).To(Succeed())
	}
}

func notApplicable(s *story.Story) *infrav1.TerraformRun {
	for _, run := range s.Runs() {
		if run.Status.Failure != nil && run.Status.Failure.Reason == infrav1.ReasonPlanNotApplicable {
			return &run
		}
	}
	return nil
}

// TestPlan_InputsRotated: what was approved is what is applied, with the values of then.
func TestPlan_InputsRotated(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}, StringData: map[string]string{"name": "then"},
	}
	s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	s.Create(story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "inputs"}}
	})
	id := s.Held()
	put(s, secret, "name", []byte("now"))
	approved := time.Now()
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1:"))
	took(t, "plan: input Secret rotated before approval", approved)
	s.Expect(string(s.Secret("net-outputs").Data["greeting"])).To(Equal("hello then"))
}

// TestPlan_AFileItMakesIsThereAtTheApply: like the archive of a function, or a rendered template. The apply is another pod's.
func TestPlan_AFileItMakesIsThereAtTheApply(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"app/main.tf": `
resource "terraform_data" "function" {
  input = filesha256("${path.module}/../build/function.zip")
  provisioner "local-exec" {
    command = "echo '${self.input}  ../build/function.zip' | sha256sum -c"
  }
}
output "sum" { value = terraform_data.function.output }
`})
	s.Create(story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) { tf.Spec.Path = "app" },
		inHeldImage(corev1.EnvVar{Name: "BEFORE_PLAN", Value: "mkdir ../build && head -c 64 /dev/urandom >../build/function.zip"}))
	id := s.Held()
	approved := time.Now()
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1:"))
	took(t, "plan: it makes a file, and another pod applies it", approved)
	runs := s.Runs()
	s.Expect(runs).To(HaveLen(2))
	s.Expect(runs[0].Status.Runner.PodUID).NotTo(Equal(runs[1].Status.Runner.PodUID))
	s.Expect(s.Secret("net-outputs").Data).To(HaveKeyWithValue("sum", HaveLen(64)))
}
