// Package breakin tries to break in, as docs/security.md says that it can't be done, on a local cluster of its own: the policies
// are for all of a cluster.
package breakin

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// intruder is the account of the tenant that tries, in its own namespace.
const intruder = "tenant"

var system *local.System

func TestMain(m *testing.M) {
	os.Exit(local.Run(m, "breakin", &system, func(context.Context, string) (local.Options, error) { return local.Options{}, nil }))
}

func root(elem ...string) string { return filepath.Join(append([]string{"..", ".."}, elem...)...) }

func kubectl() string { return root("bin", "kubectl") }

func install(s *story.Story, overlay string) {
	manifests, err := exec.Command(kubectl(), "kustomize", root("config", overlay)).Output()
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(system.Apply(s.Ctx, bytes.NewReader(manifests))).To(Succeed())
}

// bind gives an account of the tenant's namespace a role there.
func bind(s *story.Story, account, role string) {
	s.Expect(system.Client.Create(s.Ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: account + "-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.Tenant.Namespace, Name: account}},
	})).To(Succeed())
}

// person makes an account with roles in the tenant's namespace, and gives its kubeconfig.
func person(s *story.Story, name string, roles ...string) string {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: name}})).To(Succeed())
	for _, role := range roles {
		bind(s, name, role)
	}
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

// TestBreakIn_EveryAttemptIsRefused: an editor of one namespace gets nowhere, and one who may approve is recorded.
func TestBreakIn_EveryAttemptIsRefused(t *testing.T) {
	s, victim := story.New(t, system, map[string]string{"main.tf": story.Greeting}), story.New(t, system, map[string]string{"main.tf": story.Greeting})
	for _, overlay := range []string{"tenants", "policies/strict"} {
		install(s, overlay)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Tenant.Namespace}}
	label := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"infra.contrib.fluxcd.io/approval":"strict"}}}`))
	s.Expect(system.Client.Patch(s.Ctx, namespace, label)).To(Succeed())

	victim.Create(story.Auto)
	s.Create()
	id := s.Held()
	like(s, "doomed", func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion, tf.Spec.Suspend = true, true })
	kept := like(s, "kept", func(tf *infrav1.Terraform) { tf.Spec.AlwaysCleanupRunnerPod = ptr.To(false) })
	s.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(s.Ctx, client.ObjectKeyFromObject(kept), kept)).To(Succeed())
		g.Expect(kept.Status.Plan.Pending).NotTo(BeEmpty())
		g.Expect(s.Pods()).To(HaveLen(1), "its runner waits")
	}).Should(Succeed())
	victim.Applied(victim.Revision())

	mallory := person(s, intruder, "edit")
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

	boss := person(s, "boss", "edit", "terraform-approver")
	s.Eventually(func() error {
		_, err := run(s, boss, kubectl(), "-n", s.Tenant.Namespace, "annotate", "terraform", "net", infrav1.ApprovePlanAnnotation+"="+id)
		return err
	}).Should(Succeed())
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.By).To(Equal("system:serviceaccount:" + s.Tenant.Namespace + ":boss"))
}
