package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

const finalizer = "example.com/keep"

func keep(pod *corev1.Pod) { pod.Finalizers = []string{finalizer} }

func (b *bench) release(pod *corev1.Pod) {
	b.t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	b.Expect(client.IgnoreNotFound(local.Client.Patch(b.ctx, pod, patch))).To(Succeed())
}

func TestPod_RunsToItsEnd(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, shell("main", "echo hello; id -u; hostname; cat /proc/1/comm; exec sh -c 'echo pid $PPID'"))
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("hello\n0\npod\nsh\npid 0\n"))
	b.container(pod, "main", ended(0, "Completed"))
	end := pod.Status.ContainerStatuses[0].State.Terminated
	b.Expect(end.StartedAt.IsZero()).To(BeFalse())
	b.Expect(end.FinishedAt.Time).To(BeTemporally(">=", end.StartedAt.Time))
	b.Expect(pod.Status.StartTime).NotTo(BeNil())
	b.Expect(pod.Status.PodIP).To(Equal("127.0.0.1"))
	b.Expect(pod.Status.HostIP).To(Equal("127.0.0.1"))
	b.Expect(pod.Status.Conditions).To(ContainElements(
		And(HaveField("Type", corev1.PodScheduled), HaveField("Status", corev1.ConditionTrue)),
		And(HaveField("Type", corev1.PodInitialized), HaveField("Status", corev1.ConditionTrue)),
		And(HaveField("Type", corev1.PodReady), HaveField("Status", corev1.ConditionFalse), HaveField("Reason", "PodCompleted")),
	))
}

func TestPod_FailsWithItsExitCode(t *testing.T) {
	b := newBench(t)
	bad := shell("main", "echo because > /dev/termination-log; exit 7")
	pod := b.create("pod", nil, bad, shell("other", "true"))
	b.reaches(pod, corev1.PodFailed)
	b.container(pod, "main", And(ended(7, "Error"), HaveField("Terminated.Message", "because\n")))
	b.container(pod, "other", ended(0, "Completed"))
}

func TestPod_RunsInitContainersInOrder(t *testing.T) {
	b := newBench(t)
	share := corev1.VolumeMount{Name: "share", MountPath: "/share"}
	step := func(name, script string) corev1.Container {
		c := shell(name, script)
		c.VolumeMounts = []corev1.VolumeMount{share}
		return c
	}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "share", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.InitContainers = []corev1.Container{step("one", "echo one >> /share/log"), step("two", "echo two >> /share/log")}
	}, step("main", "echo main >> /share/log; cat /share/log"))
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("one\ntwo\nmain\n"))
}

func TestPod_FailsWithItsInitContainer(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{shell("first", "exit 3")}
	}, shell("main", "echo never"))
	b.reaches(pod, corev1.PodFailed)
	b.container(pod, "first", ended(3, "Error"))
	b.container(pod, "main", waits("PodInitializing", BeEmpty()))
}

func TestPod_IsReadyWhileItRuns(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, shell("main", "trap 'exit 0' TERM; sleep 60 & wait"))
	b.reaches(pod, corev1.PodRunning)
	b.Expect(pod.Status.Conditions).To(ContainElements(
		And(HaveField("Type", corev1.PodReady), HaveField("Status", corev1.ConditionTrue), HaveField("Reason", "")),
		And(HaveField("Type", corev1.ContainersReady), HaveField("Status", corev1.ConditionTrue)),
	))
	b.Expect(processes(pod)()).To(ConsistOf(HaveField("Container", "main")))
}

func TestDeletion_AsksThenReportsThenRemoves(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", keep, shell("main", "trap 'echo asked; exit 5' TERM; echo up; sleep 60 & wait"))
	b.says(pod, "main", "up")
	b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
	b.container(pod, "main", ended(5, "Error"))
	b.says(pod, "main", "asked")
	b.Expect(pod.Status.Phase).To(Equal(corev1.PodFailed))
	b.Expect(processes(pod)()).To(BeEmpty())
	b.release(pod)
	b.gone(pod)
}

func TestDeletion_KillsWhenTheGraceIsOver(t *testing.T) {
	b := newBench(t)
	grace := int64(1)
	pod := b.create("pod", func(p *corev1.Pod) {
		keep(p)
		p.Spec.TerminationGracePeriodSeconds = &grace
	}, shell("main", "trap '' TERM; echo up; sleep 60 & wait; wait"))
	b.says(pod, "main", "up")
	b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
	b.container(pod, "main", And(ended(137, "Error"), HaveField("Terminated.Signal", int32(9))))
	b.release(pod)
	b.gone(pod)
}

func TestDeletion_OfAPodThatNeverStarted(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", keep, corev1.Container{Name: "main", Image: "nowhere/none:v1"})
	b.container(pod, "main", waits("ImagePullBackOff", Not(BeEmpty())))
	b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
	b.container(pod, "main", ended(137, "ContainerStatusUnknown"))
	b.Expect(pod.Status.Phase).To(Equal(corev1.PodFailed))
	b.release(pod)
	b.gone(pod)
}

func TestForcedDeletion_LeavesTheProcess(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, shell("main", "echo up; sleep 60"))
	b.says(pod, "main", "up")
	b.Expect(local.Client.Delete(b.ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
	b.gone(pod)
	next := b.create("pod", nil, shell("main", "echo next"))
	b.reaches(next, corev1.PodSucceeded)
	b.Expect(processes(pod)()).To(HaveLen(1), "the process goes on while another pod of its name ran")
	b.Expect(local.Node.Kill(pod.UID, syscall.SIGKILL)).To(Succeed())
	b.Eventually(processes(pod)).Should(BeEmpty())
	b.Expect(local.Node.Kill(pod.UID, syscall.SIGKILL)).NotTo(Succeed())
}

func TestEnd_OfTheFirstProcessEndsAll(t *testing.T) {
	b := newBench(t)
	name := fmt.Sprintf("61.%d", os.Getpid()) // a sleep that only this test makes
	pod := b.create("pod", nil, shell("main", "sleep "+name+" & echo up; read -t 1 x < /dev/zero; sleep 0.2"))
	b.reaches(pod, corev1.PodSucceeded)
	b.Expect(hostCommands(b)).NotTo(ContainElement("sleep\x00" + name + "\x00"))
}

func hostCommands(b *bench) (commands []string) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	b.Expect(err).NotTo(HaveOccurred())
	for _, path := range paths {
		if command, err := os.ReadFile(path); err == nil { // else it has ended
			commands = append(commands, string(command))
		}
	}
	return commands
}

// Not parallel: it cuts the node off that the other tests use.
func TestPauseReporting_CutsTheNodeOff(t *testing.T) {
	b := newSerialBench(t)
	pod := b.create("pod", nil, shell("main", "echo up; sleep 60"))
	b.reaches(pod, corev1.PodRunning)
	local.Node.PauseReporting(true)
	t.Cleanup(func() { local.Node.PauseReporting(false) })

	b.Expect(local.Node.Kill(pod.UID, syscall.SIGKILL)).To(Succeed())
	b.Eventually(processes(pod)).Should(BeEmpty())
	late := b.create("late", nil, shell("main", "true"))
	b.Eventually(b.get(late)).Should(HaveField("Spec.NodeName", cluster.NodeName))
	b.Consistently(b.get(pod), "500ms").Should(HaveField("Status.Phase", corev1.PodRunning))
	b.Expect(b.get(late)()).To(HaveField("Status.StartTime", BeNil()))

	local.Node.PauseReporting(false)
	b.container(pod, "main", ended(137, "Error"))
	b.reaches(late, corev1.PodSucceeded)
}

func TestNode_IsRegistered(t *testing.T) {
	b := newBench(t)
	n, lease := &corev1.Node{}, &coordinationv1.Lease{}
	b.Expect(local.Client.Get(b.ctx, client.ObjectKey{Name: cluster.NodeName}, n)).To(Succeed())
	b.Expect(n.Spec.Taints).To(BeEmpty())
	b.Expect(n.Status.Conditions).To(ContainElement(And(
		HaveField("Type", corev1.NodeReady), HaveField("Status", corev1.ConditionTrue))))
	b.Expect(n.Status.Capacity).To(HaveKey(corev1.ResourceCPU))
	b.Expect(local.Client.Get(b.ctx, client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: cluster.NodeName}, lease)).To(Succeed())
	b.Expect(lease.Spec.RenewTime.Time).To(BeTemporally("~", time.Now(), time.Minute))
}
