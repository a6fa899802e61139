package node_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/node"
)

// These tests are not parallel: a second node would bind other tests' pods, too.

func startNode(ctx context.Context, name, dir string) (*node.Node, error) {
	config, err := clientcmd.BuildConfigFromFlags("", local.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return node.Start(ctx, node.Options{Config: config, Name: name, Dir: dir, Images: map[string]string{"empty": dir}, Log: logger()})
}

func on(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = name
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr[int64](65532)}
	}
}

func (b *bench) removeNode(name string) {
	n := &corev1.Node{}
	n.Name = name
	b.t.Cleanup(func() { b.Expect(local.Client.Delete(context.WithoutCancel(b.ctx), n)).To(Succeed()) })
}

func TestStop_LooksLikeALostMachine(t *testing.T) {
	b := newSerialBench(t)
	dir := t.TempDir()
	second, err := startNode(b.ctx, "second", dir)
	b.Expect(err).NotTo(HaveOccurred())
	b.removeNode("second")
	pod := b.create("pod", on("second"), shell("main", "trap '' TERM; sleep 60"))
	b.reaches(pod, corev1.PodRunning)
	pid := second.Processes()[0].PID

	second.Stop()
	b.Expect(syscall.Kill(pid, 0)).To(MatchError(syscall.ESRCH))
	b.Expect(b.get(pod)()).To(HaveField("Status.Phase", corev1.PodRunning))
	left, err := filepath.Glob(filepath.Join(dir, "pods", "*", "*"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(left).To(ConsistOf(HaveSuffix("main.log")))

	again, err := startNode(b.ctx, "second", dir)
	b.Expect(err).NotTo(HaveOccurred())
	defer again.Stop()
	b.container(pod, "main", ended(137, "ContainerStatusUnknown"))
	b.reaches(pod, corev1.PodFailed)
	b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
	b.gone(pod)
}

// TestMain runs it in the process that the next test starts and kills.
func helper() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("NODE_TEST_KUBECONFIG"))
	if err != nil {
		return fail(err)
	}
	dir := os.Getenv("NODE_TEST_DIR")
	n, err := node.Start(ctx, node.Options{Config: config, Name: "helper", Dir: dir, Images: map[string]string{"empty": dir}, Log: logger()})
	if err != nil {
		return fail(err)
	}
	defer n.Stop()
	<-ctx.Done()
	return 0
}

func TestContainers_DieWithTheNodesProcess(t *testing.T) {
	b := newSerialBench(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NODE_TEST_KUBECONFIG="+local.Kubeconfig(), "NODE_TEST_DIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	b.Expect(cmd.Start()).To(Succeed())
	b.removeNode("helper")
	name := fmt.Sprintf("62.%d", os.Getpid()) // a sleep that only this test makes
	pod := b.create("pod", on("helper"), shell("main", "sleep "+name+" & sleep "+name))
	b.reaches(pod, corev1.PodRunning)
	sleep := ContainElement("sleep\x00" + name + "\x00")
	b.Eventually(func() []string { return hostCommands(b) }).Should(sleep)

	b.Expect(cmd.Process.Kill()).To(Succeed())
	b.Expect(cmd.Wait()).To(MatchError("signal: killed"))
	b.Eventually(func() []string { return hostCommands(b) }).ShouldNot(sleep)
	b.Expect(local.Client.Delete(b.ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
}
