package faults

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

// cutOff admits an object that is held in an apply, and cuts its node off from the API.
func cutOff(t *testing.T) (*patient, *corev1.Pod) {
	p := admit(t, []phase{{name: "apply", command: "create", operation: infrav1.OperationApply, step: infrav1.StepApply}})[0]
	system.Node.PauseReporting(true)
	t.Cleanup(func() { system.Node.PauseReporting(false) })
	return p, &p.Pods()[0]
}

// removeByForce takes a pod out of the API as an impatient administrator does: finalizers, too.
func removeByForce(p *patient, pod *corev1.Pod) {
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	p.Expect(system.Client.Patch(p.Ctx, pod, patch)).To(Succeed())
	p.Expect(system.Client.Delete(p.Ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
}

// nothingBegins holds that nobody takes the runner's place while it may live: for a while, which is no proof either.
func nothingBegins(p *patient, during time.Duration) {
	p.Refuses(infrav1.ReasonRunnerUnreachable, "net-tf-runner", cluster.NodeName, infrav1.ProcessEndedAnnotation)
	runs := len(p.Runs())
	p.Consistently(func(g Gomega) {
		g.Expect(p.Runs()).To(HaveLen(runs), "no other run begins")
		g.Expect(system.Client.Get(p.Ctx, p.Key("net-tf-runner"), &corev1.Pod{})).NotTo(Succeed(), "no other pod is made")
		g.Expect(lockHolder(p.Story)).NotTo(BeNil(), "nothing is released")
	}).WithTimeout(during).Should(Succeed())
}

// tokenLives is a little more than the API server goes on to take the token of a pod that is gone.
const tokenLives = 15 * time.Second

func taint(p *patient, taints ...corev1.Taint) {
	node := &corev1.Node{}
	p.Expect(system.Client.Get(p.Ctx, client.ObjectKey{Name: cluster.NodeName}, node)).To(Succeed())
	before := node.DeepCopy()
	node.Spec.Taints = taints
	p.Expect(system.Client.Patch(p.Ctx, node, client.MergeFrom(before))).To(Succeed())
}

// TestNodeGone_PodRemovedByForce_Long: the pod is not in the API any more, and its process works on. It is not heard, as its
// token is worth nothing without the pod; only a person can know when it has ended.
func TestNodeGone_PodRemovedByForce_Long(t *testing.T) {
	p, pod := cutOff(t)
	removeByForce(p, pod)
	nothingBegins(p, tokenLives)
	p.Expect(system.Node.Kill(pod.UID, 0)).To(Succeed(), "the process is alive")

	p.gate.open(p.Story)
	system.Node.PauseReporting(false)
	p.Eventually(p.gate.shells).Should(BeEmpty())
	p.Eventually(system.Node.Processes).WithTimeout(3*time.Minute).Should(BeEmpty(), "the process ends when it can't report")
	p.Expect(p.struckRun().Status.Phase).To(Equal(infrav1.RunRunning), "nobody has heard of it")
	takesAWordForIt(t, p)
}

// takesAWordForIt: a person says that the process has ended, and the object converges.
func takesAWordForIt(t *testing.T, p *patient) {
	told := time.Now()
	p.Expect(local.Annotate(p.Ctx, system.Client, p.struckRun(), infrav1.ProcessEndedAnnotation, "the machine was switched off")).To(Succeed())
	p.Eventually(func(g Gomega) {
		run := p.struckRun()
		g.Expect(run.Status.Failure).NotTo(BeNil())
		g.Expect(run.Status.Failure.Message).To(ContainSubstring("the machine was switched off"))
	}).Should(Succeed())
	p.recovers()
	took(t, "node gone: after a person's word", told)
	p.sound()
}

// TestNodeGone_APersonSaysSo: the machine is off, its pod is removed by force, and only a person can know.
func TestNodeGone_APersonSaysSo(t *testing.T) {
	p, pod := cutOff(t)
	removeByForce(p, pod)
	nothingBegins(p, 5*time.Second)
	p.Expect(system.Node.Kill(pod.UID, syscall.SIGKILL)).To(Succeed())
	p.gate.open(p.Story)
	system.Node.PauseReporting(false)
	takesAWordForIt(t, p)
}

// TestNodeGone_OutOfService_Long: the pod stays in the API, going and never gone. A deleted Node object proves nothing, the
// taint does.
func TestNodeGone_OutOfService_Long(t *testing.T) {
	p, pod := cutOff(t)
	p.Expect(system.Client.Delete(p.Ctx, pod, client.GracePeriodSeconds(1))).To(Succeed())
	gone := time.Now()
	p.Refuses(infrav1.ReasonRunnerUnreachable, "net-tf-runner", cluster.NodeName, "out-of-service")
	took(t, "node gone: said", gone)
	runs := len(p.Runs())
	p.Consistently(func() int { return len(p.Runs()) }).WithTimeout(5 * time.Second).Should(Equal(runs))
	p.Expect(lockHolder(p.Story)).NotTo(BeNil(), "nothing is released")

	// The machine is off, and an administrator says so.
	p.Expect(system.Node.Kill(pod.UID, syscall.SIGKILL)).To(Succeed())
	p.gate.open(p.Story)
	tainted := time.Now()
	taint(p, corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute})
	p.Eventually(func(g Gomega) {
		run := p.struckRun()
		g.Expect(run.Status.Phase).To(Equal(infrav1.RunFailed))
		g.Expect(run.Status.Failure.Message).To(ContainSubstring(corev1.TaintNodeOutOfService))
	}).Should(Succeed())
	p.Eventually(func() []corev1.Pod { return p.Pods() }).ShouldNot(ContainElement(HaveField("UID", pod.UID)), "the old pod goes")
	taint(p)
	system.Node.PauseReporting(false)
	p.recovers()
	took(t, "node gone: after the taint out-of-service", tainted)
	p.sound()
}

// TestNodeGone_ComesBack_Long: a node that was only cut off reports, and nobody has done anything in the meantime; not
// even with an object that is deleted.
func TestNodeGone_ComesBack_Long(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		t.Run(fmt.Sprintf("deleted=%t", deleted), func(t *testing.T) {
			p, pod := cutOff(t)
			p.Expect(system.Client.Delete(p.Ctx, pod, client.GracePeriodSeconds(1))).To(Succeed())
			p.Refuses(infrav1.ReasonRunnerUnreachable, "net-tf-runner", cluster.NodeName)
			if deleted {
				p.Expect(system.Client.Delete(p.Ctx, p.Get())).To(Succeed())
				p.Consistently(func() bool { return gone(p.Story) }).Should(BeFalse(), "what runs may still make something")
			}
			p.gate.open(p.Story)
			back := time.Now()
			system.Node.PauseReporting(false)
			if deleted {
				p.Eventually(func() bool { return gone(p.Story) }).Should(BeTrue())
				p.LeavesNothing()
			} else {
				p.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
				p.Expect(p.Get().Status.AppliesCompleted).To(Equal(int64(1)))
			}
			took(t, "node gone: after it has come back: "+t.Name(), back)
			p.sound()
		})
	}
}
