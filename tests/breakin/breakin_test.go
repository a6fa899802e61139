// Package breakin tries to break in, as docs/security.md says that it can't be done, on a local cluster of its own: the policies
// are for all of a cluster.
package breakin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// The people of the guide: one works in the namespace, and tries; the other approves as well.
const intruder, approver = "bob", "alice"

var system *local.System

func TestMain(m *testing.M) {
	os.Exit(local.Run(m, "breakin", &system, func(context.Context, string) (local.Options, error) { return local.Options{}, nil }))
}

func root(elem ...string) string { return filepath.Join(append([]string{"..", ".."}, elem...)...) }

func kubectl() string { return root("bin", "kubectl") }

var recipe = regexp.MustCompile("(?s)### A tenant, step by step.*?```console\n(.*?)```")

// setUp does as docs/security.md says, with accounts of the namespace for the people.
func setUp(s *story.Story, people ...string) {
	guide, err := os.ReadFile(root("docs", "security.md"))
	s.Expect(err).NotTo(HaveOccurred())
	block := recipe.FindSubmatch(guide)
	s.Expect(block).NotTo(BeNil())
	for line := range strings.Lines(string(block[1])) {
		command := strings.NewReplacer("$ ", "", " infra ", " "+s.Tenant.Namespace+" ", "-k ", "-k "+root()+"/").Replace(strings.TrimSpace(line))
		for _, name := range people {
			command = strings.ReplaceAll(command, "--user="+name, "--serviceaccount="+s.Tenant.Namespace+":"+name)
		}
		said, err := run(s, system.Kubeconfig(), "bash", "-c", command)
		s.Expect(err).NotTo(HaveOccurred(), "%s\n%s", command, said)
	}
}

// person makes an account in the tenant's namespace, and gives its kubeconfig.
func person(s *story.Story, name string) string {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: name}})).To(Succeed())
	path, err := system.ServiceAccountKubeconfig(s.Ctx, s.Tenant.Namespace, name)
	s.Expect(err).NotTo(HaveOccurred())
	return path
}

func run(s *story.Story, kubeconfig, name string, args ...string) (string, error) {
	bin, err := filepath.Abs(root("bin"))
	s.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(s.Ctx, name, args...)
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + filepath.Dir(kubeconfig)}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// like makes an object like net.
func like(s *story.Story, name string, change func(*infrav1.Terraform)) *infrav1.Terraform {
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: name}, Spec: s.Get().Spec}
	change(tf)
	s.Expect(system.Client.Create(s.Ctx, tf)).To(Succeed())
	return tf
}

// spoken has a variable that no change shows.
const spoken = story.Greeting + `
variable "said" { default = "nothing" }
resource "terraform_data" "speaker" {
  provisioner "local-exec" { command = "echo ${var.said}" }
}
`

// approved waits for the plan of an object, suspends that, and has the plan approved.
func approved(s *story.Story, boss string, tf *infrav1.Terraform) {
	s.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(s.Ctx, client.ObjectKeyFromObject(tf), tf)).To(Succeed())
		g.Expect(tf.Status.Plan.Pending).NotTo(BeEmpty())
	}).Should(Succeed())
	s.Expect(system.Client.Patch(s.Ctx, tf, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":true}}`)))).To(Succeed())
	s.Eventually(func() error {
		_, err := run(s, boss, kubectl(), "-n", tf.Namespace, "annotate", "terraform", tf.Name, infrav1.ApprovePlanAnnotation+"="+tf.Status.Plan.Pending)
		return err
	}).Should(Succeed())
}

// TestBreakIn_EveryAttemptIsRefused: an editor of one namespace gets nowhere, and one who may approve is recorded.
func TestBreakIn_EveryAttemptIsRefused(t *testing.T) {
	s, victim := story.New(t, system, map[string]string{"main.tf": spoken}), story.New(t, system, map[string]string{"main.tf": story.Greeting})
	mallory, boss := person(s, intruder), person(s, approver)
	setUp(s, intruder, approver)

	victim.Create(story.Auto)
	s.Create()
	id := s.Held()
	like(s, "doomed", func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion, tf.Spec.Suspend = true, true })
	ending := like(s, "ending", func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion, tf.Finalizers = true, []string{"example.com/held"} // there is nothing yet to destroy
	})
	kept := like(s, "kept", func(tf *infrav1.Terraform) { tf.Spec.AlwaysCleanupRunnerPod = ptr.To(false) })
	s.Eventually(func() error {
		_, err := run(s, boss, kubectl(), "-n", s.Tenant.Namespace, "delete", "terraform", "ending", "--wait=false")
		return err
	}).Should(Succeed())
	approved(s, boss, like(s, "paused", func(*infrav1.Terraform) {}))
	s.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(s.Ctx, client.ObjectKeyFromObject(kept), kept)).To(Succeed())
		g.Expect(kept.Status.Plan.Pending).NotTo(BeEmpty())
		g.Expect(s.Pods()).To(HaveLen(1), "its runner waits")
	}).Should(Succeed())
	victim.Applied(victim.Revision())

	s.Eventually(func(g Gomega) {
		out, err := run(s, mallory, kubectl(), "-n", s.Tenant.Namespace, "patch", "terraform", "net", "--type=merge", "--dry-run=server", "-p", `{"spec":{"force":true}}`)
		g.Expect(err).To(HaveOccurred())
		g.Expect(out).To(ContainSubstring("the verb approve"), "rights and policies are known")
	}).Should(Succeed())

	out, err := run(s, mallory, "bash", "attempts.sh", s.Tenant.Namespace, victim.Tenant.Namespace, "https://"+system.ArtifactEndpoint)
	s.Expect(err).NotTo(HaveOccurred(), out)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Logf("figure: break-in: %s", lines[len(lines)-1])
	s.Expect(s.Get().Status.AppliesStarted).To(BeZero())
	s.Expect(system.Client.Delete(s.Ctx, kept)).To(Succeed())
	s.Expect(system.Client.Patch(s.Ctx, ending, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())

	s.Eventually(func() error {
		_, err := run(s, boss, kubectl(), "-n", s.Tenant.Namespace, "annotate", "terraform", "net", infrav1.ApprovePlanAnnotation+"="+id)
		return err
	}).Should(Succeed())
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.By).To(Equal("system:serviceaccount:" + s.Tenant.Namespace + ":" + approver))
}
