package e2e

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// notHere are the commands of the migration guide that need what a local cluster has not.
var notHere = map[string]string{
	"helm ":                     "there is no Helm",
	"kubectl rollout ":          "no Deployment is rolled out",
	"-k deploy":                 "it is what Installation makes",
	"tofu-controller.crds.yaml": "it is in the other's releases",
}

var (
	fence    = regexp.MustCompile("(?s)```(console|yaml)\n(.*?)```")
	inOfThis = regexp.MustCompile(`\binfra\b(:|$|\s)`)
	changing = regexp.MustCompile(`kubectl( -n \S+)? (scale|delete|create|patch|apply)\b`)
)

// TestMigrationGuide_ItsCommandsAreTaken: each command of the guide is run on a cluster, without taking effect where it changes
// something.
func TestMigrationGuide_ItsCommandsAreTaken(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	for _, name := range []string{"tofu-controller", "terraform-controller"} {
		deployment := emptyDeployment(name)
		s.Expect(system.Client.Create(s.Ctx, deployment)).To(Succeed())
		t.Cleanup(func() { s.Expect(system.Client.Delete(s.Ctx, deployment)).To(Succeed()) })
	}
	// The guide makes the account.
	s.Expect(system.Client.Delete(s.Ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "tf-runner"}})).To(Succeed())
	s.Expect(system.Client.Delete(s.Ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "tf-runner"}})).To(Succeed())
	guide, err := os.ReadFile("../../docs/migrate-from-tofu-controller.md")
	s.Expect(err).NotTo(HaveOccurred())
	run := 0
	for _, block := range fence.FindAllStringSubmatch(string(guide), -1) {
		for _, command := range commandsOf(block[1], block[2]) {
			if slices.ContainsFunc(slices.Sorted(maps.Keys(notHere)), func(part string) bool { return strings.Contains(withoutNamespace(command), part) }) {
				continue
			}
			said, err := shell(s.Ctx, here(command, s.Tenant.Namespace))
			s.Expect(err).NotTo(HaveOccurred(), "%s\n%s", command, said)
			run++
		}
	}
	s.Expect(run).To(BeNumerically(">=", 12))
	t.Logf("figure: %d commands of the migration guide run", run)
}

func emptyDeployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: local.Namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "manager", Image: "none"}},
		}},
	}}
}

// commandsOf are the commands of a block; of a manifest, one that applies it.
func commandsOf(kind, text string) []string {
	if kind == "yaml" {
		return []string{"kubectl apply --server-side -f - <<'MANIFEST'\n" + strings.ReplaceAll(text, "\n   ", "\n")[min(3, len(text)):] + "\nMANIFEST"}
	}
	var commands []string
	for line := range strings.Lines(text) {
		if command, found := strings.CutPrefix(strings.TrimSpace(line), "$ "); found {
			commands = append(commands, command)
		}
	}
	return commands
}

func withoutNamespace(command string) string {
	return strings.ReplaceAll(command, " -n flux-system", "")
}

// here is the command for this test's namespace, without effect.
func here(command, namespace string) string {
	command = inOfThis.ReplaceAllString(command, namespace+"$1")
	return changing.ReplaceAllString(command, "$0 --dry-run=server")
}

func shell(ctx context.Context, command string) (string, error) {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		return "", err
	}
	run := exec.CommandContext(ctx, "bash", "-ec", "set -o pipefail; "+command)
	run.Env = append(os.Environ(), "KUBECONFIG="+system.Kubeconfig(), "PATH="+bin+":"+os.Getenv("PATH"))
	said, err := run.CombinedOutput()
	return string(said), err
}
