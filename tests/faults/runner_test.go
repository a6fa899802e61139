package faults

import (
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

func (p *patient) struckRun() *infrav1.TerraformRun {
	run := &infrav1.TerraformRun{}
	p.Expect(system.Client.Get(p.Ctx, p.Key(p.run.Name), run)).To(Succeed())
	return run
}

// TestRunnerKilled_InEveryPhase: the node's memory killer, say. The run fails within 15 s of the container's end, its
// lock is released, and the object converges without a person.
func TestRunnerKilled_InEveryPhase(t *testing.T) {
	t.Parallel()
	patients := admit(t, phases)
	killed := time.Now()
	for _, p := range patients {
		p.Expect(system.Node.Kill(p.Pods()[0].UID, syscall.SIGKILL)).To(Succeed())
		p.gate.open(p.Story)
	}
	for _, p := range patients {
		p.Eventually(func(g Gomega) {
			run := p.struckRun()
			g.Expect(run.Status.Phase).To(Equal(infrav1.RunFailed))
			g.Expect(run.Status.Failure.Reason).To(Equal(infrav1.ReasonRunnerLost))
			g.Expect(run.Status.Failure.Message).To(ContainSubstring("signal 9"))
		}).WithTimeout(15 * time.Second).Should(Succeed())
		took(t, "runner: SIGKILL while "+p.phase.name+": run failed", killed)
	}
	for _, p := range patients {
		p.recovers()
		took(t, "runner: SIGKILL while "+p.phase.name, killed)
		p.sound()
	}
}

// TestRunnerTerminated_InEveryPhase: somebody deletes the pod. The engine is interrupted once; what it has done is in the
// state, and the run says what was done and what was not.
func TestRunnerTerminated_InEveryPhase(t *testing.T) {
	t.Parallel()
	const nothing = "nothing was changed"
	said := map[string][]string{
		"init":    {nothing},
		"plan":    {nothing},
		"apply":   {"done: terraform_data.first", "terraform_data.held"},
		"outputs": {"the apply was complete, its outputs were not handled"},
		"destroy": {"terraform_data.held", "not started: terraform_data.first"},
	}
	patients := admit(t, phases)
	deleted := time.Now()
	for _, p := range patients {
		p.Expect(system.Client.Delete(p.Ctx, &p.Pods()[0])).To(Succeed())
	}
	for _, p := range patients {
		p.Eventually(func() infrav1.RunPhase { return p.struckRun().Status.Phase }).Should(Equal(infrav1.RunFailed), p.phase.name)
		took(t, "runner: SIGTERM while "+p.phase.name+": run failed", deleted)
		run := p.struckRun()
		p.Expect(run.Status.Failure.Reason).To(Equal(infrav1.ReasonInterrupted), p.phase.name)
		for _, text := range said[p.phase.name] {
			p.Expect(run.Status.Failure.Message).To(ContainSubstring(text), p.phase.name)
		}
		if p.phase.operation == infrav1.OperationApply {
			p.Expect(run.Status.State.Resources).To(BeNumerically(">=", 1), "what there is is in the state: "+p.phase.name)
			p.Expect(run.Status.State.Serial).To(BeNumerically(">", p.run.Spec.State.Serial), p.phase.name)
			lockIsFree(p.Story)
		}
		p.gate.open(p.Story)
	}
	for _, p := range patients {
		p.recovers()
		took(t, "runner: SIGTERM while "+p.phase.name, deleted)
		p.sound()
	}
}

// TestEngineHangs: a step that takes longer than it may is ended, and says so.
func TestEngineHangs(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": heldModule})
	g := closed(s)
	s.Create(story.Auto, g.before("plan"), func(tf *infrav1.Terraform) {
		tf.Spec.Timeouts = &infrav1.Timeouts{Plan: &metav1.Duration{Duration: 5 * time.Second}}
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 5 * time.Second}
	})
	g.held(s)
	begun := time.Now()
	s.Refuses(infrav1.ReasonDeadlineExceeded, "step Plan took longer than 5s", "nothing was changed")
	took(t, "engine hangs in a plan of 5 s at most: said", begun)
	g.open(s)
	mended := time.Now()
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "engine hangs no more", mended)
	s.Expect(g.shells()).To(BeEmpty(), "no child is left")
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty())
}
