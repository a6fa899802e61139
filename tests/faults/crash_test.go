package faults

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/node"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// slow has an apply that takes its time, and then says so in a ConfigMap: once for each time that it was done.
func slow(seconds int) string {
	return fmt.Sprintf(`
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "sleep %d"
  }
}
output "done" { value = terraform_data.slow.id }
`, seconds)
}

// applies are the runs that have reached the engine with an apply.
func applies(s *story.Story) []infrav1.TerraformRun {
	var reached []infrav1.TerraformRun
	for _, run := range s.Runs() {
		if run.Spec.Operation == infrav1.OperationApply && run.Status.ApplyStartedAt != nil {
			reached = append(reached, run)
		}
	}
	return reached
}

// inApply waits until an engine is in the middle of an apply.
func inApply(s *story.Story) {
	s.Eventually(func() []infrav1.TerraformRun { return applies(s) }).ShouldNot(BeEmpty())
	s.Eventually(func(g Gomega) {
		lease := &coordinationv1.Lease{}
		g.Expect(system.Client.Get(s.Ctx, s.Key("lock-tfstate-default-net"), lease)).To(Succeed())
		g.Expect(lease.Spec.HolderIdentity).NotTo(BeNil())
	}).Should(Succeed())
}

func lockIsFree(s *story.Story) {
	lease := &coordinationv1.Lease{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("lock-tfstate-default-net"), lease)).To(Succeed())
	s.Expect(lease.Spec.HolderIdentity).To(BeNil(), "no lock is left")
}

func took(t *testing.T, what string, since time.Time) {
	t.Logf("figure: %s: converged in %.1f s", what, time.Since(since).Seconds())
}

func TestControllerKilled_InTheMiddleOfAnApply(t *testing.T) {
	compat.Shows(t, "flag.--graceful-shutdown-timeout")
	s := story.New(t, system, map[string]string{"main.tf": slow(20)})
	s.Create(story.Auto)
	inApply(s)
	s.Expect(system.Controller.Kill()).To(Succeed())
	killed := time.Now()
	restart(s)
	tf := s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "controller killed in the middle of a 20 s apply", killed)
	s.Expect(applies(s)).To(HaveLen(1), "the apply happened once")
	s.Expect(tf.Status.AppliesCompleted).To(Equal(int64(1)))
	lockIsFree(s)
}

// restart starts the controller anew, as its Deployment would.
func restart(s *story.Story) {
	controller, err := system.StartController(s.Ctx, "terraform-controller-restarted")
	s.Expect(err).NotTo(HaveOccurred())
	system.Controller = controller
}

func TestTwoControllers_BeginOneRun(t *testing.T) {
	// Without leader election, both believe that they are alone: this is what a paused leader does after its lease has
	// gone to another.
	second, err := system.StartController(t.Context(), "terraform-controller-second", "--enable-leader-election=false")
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	third, err := system.StartController(t.Context(), "terraform-controller-third", "--enable-leader-election=false")
	g.Expect(err).NotTo(HaveOccurred())
	defer func() {
		g.Expect(second.Stop()).To(Succeed())
		g.Expect(third.Stop()).To(Succeed())
	}()
	stories := make([]*story.Story, 5)
	for i := range stories {
		stories[i] = story.New(t, system, map[string]string{"main.tf": story.Greeting})
		stories[i].Create(story.Auto)
	}
	for _, s := range stories {
		tf := s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
		begun := slices.DeleteFunc(s.Runs(), func(run infrav1.TerraformRun) bool { return run.Status.Runner == nil })
		s.Expect(begun).To(HaveLen(2), "one plan, one apply; one whose cache is behind may withdraw a run before a runner begins it")
		s.Expect(applies(s)).To(HaveLen(1))
		s.Expect(tf.Status.AppliesCompleted).To(Equal(int64(1)))
	}
}

func TestRunnerKilled_InTheMiddleOfAnApply(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": slow(15)})
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.RetryInterval = &metav1.Duration{Duration: 2 * time.Second} })
	inApply(s)
	pod := s.Pods()[0]
	killed := time.Now()
	s.Expect(system.Node.Kill(pod.UID, syscall.SIGKILL)).To(Succeed())
	s.Eventually(func(g Gomega) {
		lost := applies(s)[0]
		g.Expect(lost.Status.Phase).To(Equal(infrav1.RunFailed))
		g.Expect(lost.Status.Failure.Reason).To(Equal(infrav1.ReasonRunnerLost))
	}).WithTimeout(15 * time.Second).Should(Succeed())
	took(t, "runner killed in the middle of an apply: run failed", killed)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "runner killed in the middle of a 15 s apply: applied", killed)
	lockIsFree(s)
	s.Hears(infrav1.ReasonForceUnlock, ContainSubstring("was released"))
	s.Expect(processes(s)).To(BeEmpty(), "no child is left")
}

// processes are the containers of the namespace that run now.
func processes(s *story.Story) []node.Process {
	return slices.DeleteFunc(system.Node.Processes(), func(p node.Process) bool { return p.Namespace != s.Tenant.Namespace })
}

func TestThirtyObjectsAtOnce(t *testing.T) {
	const objects = 30
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	begun := time.Now()
	for i := range objects {
		s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Name = fmt.Sprintf("net-%d", i) })
	}
	s.Eventually(func(g Gomega) {
		var list infrav1.TerraformList
		g.Expect(system.Client.List(s.Ctx, &list)).To(Succeed())
		applied := 0
		for _, tf := range list.Items {
			if tf.Namespace == s.Tenant.Namespace && tf.Status.AppliesCompleted == 1 && tf.Status.ActiveRun == nil {
				applied++
			}
		}
		g.Expect(applied).To(Equal(objects))
	}).WithTimeout(5 * time.Minute).Should(Succeed())
	took(t, "30 objects at once", begun)
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty())
	s.Expect(s.Runs()).To(HaveLen(2 * objects))
}
