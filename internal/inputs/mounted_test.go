package inputs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

func TestMounted_IsWhatVolumesHaveOfSecrets(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	write := func(path, content string) {
		path = filepath.Join(root, path)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	}
	// As the kubelet lays a volume out: what stands in its root are links.
	write("secret/..2026/key", "hidden1")
	write("secret/..2026/below/key", "hidden2")
	write("secret/..2026/flag", "true")
	write("secret/..2026/image", "\xff\xfe\xfd\xfc")
	write("secret/..2026/large", strings.Repeat("x", 1<<20+1))
	g.Expect(os.Symlink("..2026", filepath.Join(root, "secret/..data"))).To(Succeed())
	g.Expect(os.Symlink("..data/key", filepath.Join(root, "secret/key"))).To(Succeed())
	g.Expect(os.Symlink("..data/gone", filepath.Join(root, "secret/gone"))).To(Succeed())
	write("part", "hidden3")
	write("both/token", "hidden4")
	write("vault/token", "hidden5")
	write("map/key", "public")
	write("other/key", "public")
	volume := func(name string, source corev1.VolumeSource) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: source}
	}
	mount := func(name, path string) corev1.VolumeMount {
		return corev1.VolumeMount{Name: name, MountPath: filepath.Join(root, path)}
	}
	values, err := inputs.Mounted(&v1alpha2.RunnerPodSpec{
		Volumes: []corev1.Volume{
			volume("secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "a"}}),
			volume("both", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{DownwardAPI: &corev1.DownwardAPIProjection{}}, {Secret: &corev1.SecretProjection{}},
			}}}),
			volume("vault", corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "secrets-store.csi.k8s.io"}}),
			volume("map", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}),
			volume("other", corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "disks"}}),
		},
		VolumeMounts: []corev1.VolumeMount{
			mount("secret", "secret"), mount("secret", "part"), mount("secret", "not-there"), mount("both", "both"), mount("vault", "vault"),
			mount("map", "map"), mount("other", "other"),
		},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(values).To(ConsistOf("hidden1", "hidden2", "hidden3", "hidden4", "hidden5"))
}

func TestMounted_SaysWhatCantBeRead(t *testing.T) {
	_, err := inputs.Mounted(&v1alpha2.RunnerPodSpec{
		Volumes:      []corev1.Volume{{Name: "keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}},
		VolumeMounts: []corev1.VolumeMount{{Name: "keys", MountPath: strings.Repeat("x", 1000)}},
	})
	NewWithT(t).Expect(err).To(MatchError(HavePrefix("spec.runnerPodTemplate.spec.volumeMounts[0]: read what is secret in it: ")))
}
