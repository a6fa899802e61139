package inputs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// mounts is a folder in which volumes are mounted, and the pod that has them.
type mounts struct {
	g    Gomega
	root string
	pod  v1alpha2.RunnerPodSpec
}

func newMounts(t *testing.T) *mounts {
	t.Helper()
	return &mounts{g: NewWithT(t), root: t.TempDir()}
}

func (m *mounts) write(path, content string) {
	path = filepath.Join(m.root, path)
	m.g.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
	m.g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
}

func (m *mounts) link(path, target string) {
	m.g.Expect(os.Symlink(target, filepath.Join(m.root, path))).To(Succeed())
}

// mount lets the pod have the volume at these paths.
func (m *mounts) mount(source corev1.VolumeSource, paths ...string) {
	name := "volume-of-" + paths[0]
	m.pod.Volumes = append(m.pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	for _, path := range paths {
		m.pod.VolumeMounts = append(m.pod.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: filepath.Join(m.root, path)})
	}
}

func projected(sources ...corev1.VolumeProjection) corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}
}

func csi(driver string) corev1.VolumeSource {
	return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver}}
}

var (
	ofSecret    = corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "a"}}
	ofMap       = corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{Items: []corev1.KeyToPath{{Key: "k", Path: "below/config"}}}}
	ofNamespace = corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace"}}}}
)

func TestMounted_IsWhatVolumesHaveOfSecrets(t *testing.T) {
	m := newMounts(t)
	// As the kubelet lays a volume out: what stands in its root are links.
	m.write("secret/..2026/key", "hidden1")
	m.write("secret/..2026/below/key", "hidden2\n")
	m.write("secret/..2026/flag", "true\n")
	m.write("secret/..2026/image", "\xff\xfe\xfd\xfc")
	m.link("secret/..data", "..2026")
	m.link("secret/key", "..data/key")
	m.link("secret/gone", "..data/gone")
	m.write("part", "hidden3")
	m.write("real/key", "hidden4")
	m.link("linked", "real")
	m.mount(ofSecret, "secret", "part", "linked", "not-there")
	m.write("both/..2026/token", "hidden5")
	m.write("both/..2026/namespace", "default")
	m.write("both/..2026/below/config", "public")
	m.mount(projected(ofNamespace, ofMap, corev1.VolumeProjection{Secret: &corev1.SecretProjection{}}), "both")
	m.write("account/token", "hidden6")
	m.mount(projected(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}), "account")
	m.write("vault/token", "hidden7")
	m.mount(csi("secrets-store.csi.k8s.io"), "vault")
	m.write("cloud/token", "hidden8")
	m.mount(csi("secrets-store-gke.csi.k8s.io"), "cloud")
	m.write("map/key", "public")
	m.mount(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}, "map")
	m.write("facts/other", "public")
	m.mount(projected(ofNamespace, ofMap), "facts")
	m.write("disk/key", "public")
	m.mount(csi("disks"), "disk")
	m.write("besides", "hidden9")

	values, left, err := inputs.Mounted(&m.pod, filepath.Join(m.root, "besides"), "/not/there")
	m.g.Expect(err).NotTo(HaveOccurred())
	m.g.Expect(left).To(BeEmpty())
	m.g.Expect(values).To(ConsistOf("hidden1", "hidden2\n", "hidden3", "hidden4", "hidden5", "hidden6", "hidden7", "hidden8", "hidden9"))
}

func TestMounted_IsAbsoluteAsTheKubeletHasIt(t *testing.T) {
	m := newMounts(t)
	m.write("secret/key", "hidden")
	m.mount(ofSecret, "secret")
	m.pod.VolumeMounts[0].MountPath = strings.TrimPrefix(m.pod.VolumeMounts[0].MountPath, "/")
	values, _, err := inputs.Mounted(&m.pod)
	m.g.Expect(err).NotTo(HaveOccurred())
	m.g.Expect(values).To(Equal([]string{"hidden"}))
}

func TestMounted_IsBoundedInAll(t *testing.T) {
	m := newMounts(t)
	half := strings.Repeat("x", 1<<19)
	m.write("secret/a", half)
	m.write("secret/b", half+"\n")
	m.write("secret/c", half) // as a: it costs nothing
	m.write("secret/d", "1234")
	m.mount(ofSecret, "secret")
	values, left, err := inputs.Mounted(&m.pod)
	m.g.Expect(err).NotTo(HaveOccurred())
	m.g.Expect(left).To(Equal([]string{filepath.Join(m.root, "secret/b")}))
	m.g.Expect(values).To(Equal([]string{half, "1234"}))
}

func TestMounted_SaysWhatCantBeRead(t *testing.T) {
	m := newMounts(t)
	m.mount(ofSecret, strings.Repeat("x", 1000))
	_, _, err := inputs.Mounted(&m.pod)
	m.g.Expect(err).To(MatchError(HavePrefix("spec.runnerPodTemplate.spec.volumeMounts[0]: read what is secret in it: ")))
	m.g.Expect(err).NotTo(MatchError(fs.ErrNotExist))
}
