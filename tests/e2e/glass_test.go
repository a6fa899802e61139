package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// sessionOpens waits until a person can get into the pod.
func sessionOpens(s *story.Story) {
	s.Eventually(func() string { return conditions.GetMessage(s.Get(), meta.ReadyCondition) }).Should(Equal("Breaking the glass ..."))
	s.Expect(conditions.GetMessage(s.Get(), meta.ReconcilingCondition)).To(ContainSubstring("kubectl exec -it -n " + s.Tenant.Namespace + " net-tf-runner"))
	s.Hears("BreakTheGlassStarted", ContainSubstring("kubectl exec"))
}

// inPod runs a command in the module's folder in the runner pod, as `kubectl exec` would.
func inPod(s *story.Story, command string) string {
	for _, p := range system.Node.Processes() {
		if p.Namespace != s.Tenant.Namespace || p.Container != "tf-runner" {
			continue
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		s.Expect(err).NotTo(HaveOccurred())
		cmd := exec.CommandContext(s.Ctx, "nsenter", "-t", strconv.Itoa(p.PID), "-m", "-u", "-p", "-S", "65532", "-G", "65532",
			"sh", "-c", fmt.Sprintf("cd /tmp/%s-net && %s", s.Tenant.Namespace, command))
		cmd.Env = strings.Split(strings.TrimRight(string(environment), "\x00"), "\x00")
		output, err := cmd.CombinedOutput()
		s.Expect(err).NotTo(HaveOccurred(), string(output))
		return string(output)
	}
	s.Expect("no runner").To(BeEmpty())
	return ""
}

func TestBreakTheGlass_APersonWorksInThePod(t *testing.T) {
	compat.Shows(t, "spec.breakTheGlass", "use.break-the-glass", "flag.--allow-break-the-glass", "key.break-the-glass.tf-controller/requestedAt")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	s.Applied(s.Revision())

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.BreakTheGlass = true })
	sessionOpens(s)
	s.Expect(inPod(s, "tofu state list")).To(ContainSubstring("terraform_data.greeting"))
	inPod(s, "tofu state rm terraform_data.greeting")

	// A new revision waits until the person has left.
	_, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "resource \"terraform_data\" \"more\" {}\n"})
	s.Expect(err).NotTo(HaveOccurred())
	sequence := s.Get().Status.RunSequence
	s.Consistently(func() int64 { return s.Get().Status.RunSequence }).Should(Equal(sequence))

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.BreakTheGlass = false })
	s.Hears("BreakTheGlassEnded", ContainSubstring("is over after"))
	s.Eventually(func() int64 {
		if st := s.Get().Status.State; st != nil {
			return st.Resources
		}
		return 0
	}).Should(Equal(int64(2)), "what the person took out of the state is made again, and the new revision is applied")
	s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1"))
	s.Expect(s.Get().Status.LastHandledBreakTheGlass).To(BeEmpty())
}

func TestBreakTheGlass_EndsWhenItsFileIsRemovedAndDoesNotBeginAgain(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Annotations = map[string]string{infrav1.BreakTheGlassAnnotation: "2026-11-24T12:00:00Z"}
	})
	sessionOpens(s)
	s.Expect(s.Get().Status.LastAppliedRevision).To(BeEmpty(), "a person goes before the first plan")

	inPod(s, "rm /tmp/.break-glass")
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.LastHandledBreakTheGlass).To(Equal("2026-11-24T12:00:00Z"))
	s.RestsQuietly()
	s.Annotate(infrav1.BreakTheGlassAnnotation, "")
	s.Eventually(func() string { return s.Get().Status.LastHandledBreakTheGlass }).Should(BeEmpty())
}

func TestBreakTheGlass_ADeletionDoesNotWait(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	s.Applied(s.Revision())
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.BreakTheGlass, tf.Spec.DestroyResourcesOnDeletion = true, true })
	sessionOpens(s)
	s.DeleteObject()
	s.LeavesNothing()
}
