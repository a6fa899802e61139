package node_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/node"
)

// The images: "empty" shows the host's programs, "configured" has a configuration and a file of its own.
func makeImages(dir string) (map[string]string, error) {
	images := map[string]string{"empty": filepath.Join(dir, "empty"), "configured": filepath.Join(dir, "configured")}
	for _, folder := range images {
		if err := os.MkdirAll(filepath.Join(folder, "opt"), 0o755); err != nil {
			return nil, err
		}
	}
	config, err := json.Marshal(map[string]any{
		"entrypoint": []string{"sh", "-c"}, "env": []string{"FROM_IMAGE=yes"}, "user": 65532, "workingDir": "/opt/work",
	})
	if err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{"image.json": config, "opt/file": []byte("of the image\n")} {
		if err := os.WriteFile(filepath.Join(images["configured"], name), data, 0o644); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// shell is a container that runs a script on the host's programs.
func shell(name, script string) corev1.Container {
	return corev1.Container{Name: name, Image: "empty", Command: []string{"sh", "-c", script}}
}

type bench struct {
	*WithT
	ctx       context.Context
	t         *testing.T
	namespace string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	return newSerialBench(t)
}

func newSerialBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{WithT: NewWithT(t), ctx: t.Context(), t: t}
	b.SetDefaultEventuallyTimeout(20 * time.Second)
	b.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	namespace, err := local.Namespace(b.ctx, "node")
	b.Expect(err).NotTo(HaveOccurred())
	b.namespace = namespace
	return b
}

// create makes a pod; change alters it before.
func (b *bench) create(name string, change func(*corev1.Pod), containers ...corev1.Container) *corev1.Pod {
	b.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: containers},
	}
	if change != nil {
		change(pod)
	}
	b.Expect(local.Client.Create(b.ctx, pod)).To(Succeed())
	return pod
}

func (b *bench) get(pod *corev1.Pod) func() (*corev1.Pod, error) {
	return func() (*corev1.Pod, error) {
		return pod, local.Client.Get(b.ctx, client.ObjectKeyFromObject(pod), pod)
	}
}

// reaches waits for a phase of the pod.
func (b *bench) reaches(pod *corev1.Pod, phase corev1.PodPhase) {
	b.t.Helper()
	b.Eventually(b.get(pod)).Should(HaveField("Status.Phase", phase))
}

// logs are what the container wrote until the pod reached a phase.
func (b *bench) logs(pod *corev1.Pod, phase corev1.PodPhase) string {
	b.t.Helper()
	b.reaches(pod, phase)
	logs, err := local.Node.Logs(pod.Namespace, pod.Name, pod.Spec.Containers[0].Name)
	b.Expect(err).NotTo(HaveOccurred())
	return logs
}

// container waits until the status of a container matches.
func (b *bench) container(pod *corev1.Pod, name string, match types.GomegaMatcher) {
	b.t.Helper()
	b.Eventually(func() (corev1.ContainerState, error) {
		err := local.Client.Get(b.ctx, client.ObjectKeyFromObject(pod), pod)
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if s.Name == name {
				return s.State, err
			}
		}
		return corev1.ContainerState{}, err
	}).Should(match)
}

func waits(reason string, message types.GomegaMatcher) types.GomegaMatcher {
	return HaveField("Waiting", And(Not(BeNil()), HaveField("Reason", reason), HaveField("Message", message)))
}

func ended(exitCode int32, reason string) types.GomegaMatcher {
	return HaveField("Terminated", And(Not(BeNil()), HaveField("ExitCode", exitCode), HaveField("Reason", reason)))
}

// says waits until the container has written a text.
func (b *bench) says(pod *corev1.Pod, container, text string) {
	b.t.Helper()
	b.Eventually(func() (string, error) { return local.Node.Logs(pod.Namespace, pod.Name, container) }).Should(ContainSubstring(text))
}

// processes are those of the pod that run now.
func processes(pod *corev1.Pod) func() []node.Process {
	return func() []node.Process {
		return slices.DeleteFunc(local.Node.Processes(), func(p node.Process) bool { return p.PodUID != pod.UID })
	}
}

func (b *bench) gone(pod *corev1.Pod) {
	b.t.Helper()
	b.Eventually(func() bool {
		return apierrors.IsNotFound(local.Client.Get(b.ctx, client.ObjectKeyFromObject(pod), pod))
	}).Should(BeTrue())
}

func (b *bench) secret(name string, data map[string]string) {
	b.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}, StringData: data}
	b.Expect(local.Client.Create(b.ctx, s)).To(Succeed())
}

func (b *bench) configMap(name string, data map[string]string) {
	b.t.Helper()
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}, Data: data}
	b.Expect(local.Client.Create(b.ctx, c)).To(Succeed())
}
