package faults

import (
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

// TestPlan_IsNotWhatWasApproved: between plan and approval something happens to the stored plan, or to what it needs.
// That plan is never applied, nobody's failure is counted, and the next plan shows what is to be.
func TestPlan_IsNotWhatWasApproved(t *testing.T) {
	const plan, files = "tfplan-default-net-", "tfplan-files-default-net-"
	cases := map[string]struct {
		module string
		change func(*infrav1.Terraform)
		tamper func(*story.Story)
		says   string
	}{
		"plan altered": {tamper: func(s *story.Story) {
			secret := planSecrets(s, plan)[0]
			data := secret.Data["tfplan"]
			data[len(data)/2] ^= 0xff
			put(s, &secret, "tfplan", data)
		}, says: "altered"},
		"plan swapped": {tamper: func(s *story.Story) {
			s.Create(func(tf *infrav1.Terraform) {
				tf.Name = "evil"
				tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: story.JSON(`"evil"`)}}
			})
			var other []corev1.Secret
			s.Eventually(func(g Gomega) {
				var all corev1.SecretList
				g.Expect(system.Client.List(s.Ctx, &all, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
				for _, secret := range all.Items {
					if strings.HasPrefix(secret.Name, "tfplan-default-evil-") {
						other = append(other, secret)
					}
				}
				g.Expect(other).NotTo(BeEmpty())
			}).Should(Succeed())
			secret := planSecrets(s, plan)[0]
			put(s, &secret, "tfplan", other[0].Data["tfplan"])
		}, says: "altered"},
		"plan missing": {tamper: func(s *story.Story) {
			secret := planSecrets(s, plan)[0]
			s.Expect(system.Client.Delete(s.Ctx, &secret)).To(Succeed())
		}, says: "incomplete"},
		"chunk missing": {module: comment(NewWithT(t)) + story.Greeting, tamper: func(s *story.Story) {
			secrets := planSecrets(s, plan)
			s.Expect(len(secrets)).To(BeNumerically(">", 1))
			s.Expect(system.Client.Delete(s.Ctx, &secrets[1])).To(Succeed())
		}, says: "incomplete"},
		"lock file changed": {module: withProvider, tamper: func(s *story.Story) {
			secret := planSecrets(s, files)[0]
			put(s, &secret, ".terraform.lock.hcl", append(secret.Data[".terraform.lock.hcl"], "# another provider\n"...))
		}, says: "altered"},
		"engine changed": {change: func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = heldImage }, tamper: func(s *story.Story) {
			version := filepath.Join(heldFolder, "gates", "version")
			s.Expect(os.WriteFile(version, []byte("1.12.99"), 0o644)).To(Succeed())
			t.Cleanup(func() { s.Expect(os.WriteFile(version, nil, 0o644)).To(Succeed()) })
		}, says: "1.12.99"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			module := tc.module
			if module == "" {
				module = story.Greeting
			}
			s := story.New(t, system, map[string]string{"main.tf": module})
			s.Create(func(tf *infrav1.Terraform) {
				tf.Spec.RetryInterval = &metav1.Duration{Duration: 3 * time.Second}
				if tc.change != nil {
					tc.change(tf)
				}
			})
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
