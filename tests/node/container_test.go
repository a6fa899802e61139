package node_test

import (
	"os"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func ptr[T any](v T) *T { return &v }

func TestContainer_HasARootOfItsOwn(t *testing.T) {
	b := newBench(t)
	script := `echo x > /written-by-a-container && cat /written-by-a-container
		ls /.host 2>&1; touch /tmp/t /run/r && ls /tmp /run; cat /opt/file
		cat /proc/*/comm | sort -u | tr '\n' ' '; echo to-null > /dev/null; ls /dev | wc -l; ls /sys | head -1; touch /sys/x 2>&1`
	main := shell("main", script)
	main.Image = "configured"
	main.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr[int64](0)}
	pod := b.create("pod", nil, main)
	logs := b.logs(pod, corev1.PodFailed)
	b.Expect(logs).To(HavePrefix("x\nls: cannot access '/.host': No such file or directory\n/run:\nr\nsecrets\n\n/tmp:\nt\nof the image\n"))
	b.Expect(logs).To(ContainSubstring("Read-only file system"))
	b.Expect(logs).NotTo(ContainSubstring("node.test"))
	b.Expect("/written-by-a-container").NotTo(BeAnExistingFile())
	mounts, err := os.ReadFile("/proc/self/mounts")
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(mounts)).NotTo(ContainSubstring(string(pod.UID)))
}

func TestContainer_UsesTheImagesConfiguration(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, corev1.Container{
		Name: "main", Image: "configured", Args: []string{"echo $FROM_IMAGE; pwd; id -u; echo $HOME"},
	})
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("yes\n/opt/work\n65532\n/\n"))
}

func TestContainer_WithReadOnlyRoot(t *testing.T) {
	b := newBench(t)
	main := shell("main", "for d in / /run /tmp /etc /data /dev/shm; do touch $d/file 2>/dev/null && echo $d; done; true")
	main.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)}
	main.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}, main)
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("/data\n/dev/shm\n"))
}

func TestContainer_WritableTmpUnderAReadOnlyRoot(t *testing.T) {
	b := newBench(t)
	main := shell("main", "echo kept > /tmp/file && cat /tmp/file")
	main.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true), RunAsUser: ptr[int64](1000)}
	main.VolumeMounts = []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}, main)
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("kept\n"))
}

func TestContainer_Privileges(t *testing.T) {
	const script = `id -u; id -g; id -G; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -s '\t' ' '`
	for name, c := range map[string]struct {
		pod  *corev1.PodSecurityContext
		own  *corev1.SecurityContext
		want string
	}{
		"root keeps what runtimes leave to it": {nil, nil, "0\n0\n0\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nNoNewPrivs: 0\n"},
		"drop all": {nil, &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}, "0\n0\n0\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1\n"},
		"drop all, add one": {nil, &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"CHOWN"}},
		}, "0\n0\n0\nCapEff: 0000000000000001\nCapBnd: 0000000000000001\nNoNewPrivs: 0\n"},
		"the pod's user": {&corev1.PodSecurityContext{
			RunAsUser: ptr[int64](65532), RunAsGroup: ptr[int64](65533), FSGroup: ptr[int64](1337), RunAsNonRoot: ptr(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}, nil, "65532\n65533\n65533 1337\nCapEff: 0000000000000000\nCapBnd: 00000000a80425fb\nNoNewPrivs: 0\n"},
		"the container's user wins": {&corev1.PodSecurityContext{RunAsUser: ptr[int64](0)}, &corev1.SecurityContext{
			RunAsUser: ptr[int64](1000),
		}, "1000\n0\n0\nCapEff: 0000000000000000\nCapBnd: 00000000a80425fb\nNoNewPrivs: 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			main := shell("main", script)
			main.SecurityContext = c.own
			pod := b.create("pod", func(p *corev1.Pod) { p.Spec.SecurityContext = c.pod }, main)
			b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal(c.want))
		})
	}
}

func TestContainer_RefusesRootWhenNonRootIsAsked(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr(true)}
	}, shell("main", "true"))
	b.container(pod, "main", waits("CreateContainerConfigError", ContainSubstring("runAsNonRoot")))
	b.Expect(pod.Status.Phase).To(Equal(corev1.PodPending))
}

func TestContainer_OfAnUnknownImage(t *testing.T) {
	b := newBench(t)
	main := shell("main", "echo up")
	main.Image = "nowhere/none:v1"
	pod := b.create("pod", nil, main)
	b.container(pod, "main", waits("ErrImagePull", ContainSubstring("nowhere/none:v1")))
	b.container(pod, "main", waits("ImagePullBackOff", ContainSubstring("nowhere/none:v1")))
	patch := client.RawPatch("application/json-patch+json", []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"empty"}]`))
	b.Expect(local.Client.Patch(b.ctx, pod, patch)).To(Succeed())
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("up\n"))
}

func TestContainer_WhoseCommandIsMissing(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, corev1.Container{Name: "main", Image: "empty", Command: []string{"no-such-program"}})
	b.container(pod, "main", And(ended(128, "StartError"), HaveField("Terminated.Message", ContainSubstring("no-such-program"))))
	b.reaches(pod, corev1.PodFailed)
}

func TestContainer_WhoseCommandCantBeRun(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", nil, corev1.Container{Name: "main", Image: "empty", Command: []string{"/etc/passwd"}})
	b.container(pod, "main", And(ended(128, "StartError"), HaveField("Terminated.Message", ContainSubstring("permission denied"))))
	b.reaches(pod, corev1.PodFailed)
}

func TestContainer_HostnameOfThePodSpec(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", func(p *corev1.Pod) { p.Spec.Hostname = "networking-1a2b3c4d" }, shell("main", "hostname; uname -n; echo $HOSTNAME"))
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("networking-1a2b3c4d\nnetworking-1a2b3c4d\nnetworking-1a2b3c4d\n"))
}

func TestContainer_TerminationMessageFromTheLog(t *testing.T) {
	b := newBench(t)
	main := shell("main", "echo the last words; exit 1")
	main.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	pod := b.create("pod", nil, main)
	b.container(pod, "main", And(ended(1, "Error"), HaveField("Terminated.Message", "the last words\n")))
}
