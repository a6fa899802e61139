package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// TestPodSecrets_AreKnownBeforeAnythingIsStarted: an API server that gives no answer for a while costs no secret, and an account
// without the right to read one costs no run.
func TestPodSecrets_AreKnownBeforeAnythingIsStarted(t *testing.T) {
	const value = "hunter2-of-the-pod"
	for _, tc := range []struct {
		reason string
		fails  int32
		err    error
		hidden bool
		logged string
	}{
		{"it is read", 0, nil, true, ""},
		{"the API server is away for a moment", 3, apierrors.NewServiceUnavailable("restarting"), true, ""},
		{"the right takes effect late", 2, apierrors.NewForbidden(corev1.Resource("secrets"), "all", nil), true, ""},
		{"the right is missing", 1 << 20, apierrors.NewForbidden(corev1.Resource("secrets"), "all", nil), false, "values in the environment can't be hidden"},
		{"the Secret has gone", 1 << 20, apierrors.NewNotFound(corev1.Resource("secrets"), "all"), false, `/all\" does not exist`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, map[string]string{"main.tf": "variable \"word\" {}\noutput \"word\" { value = var.word }\n"}, func(s *v1alpha2.TerraformSpec) {
				s.RunnerPodTemplate.Spec.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "all"}}}}
			})
			api.Create(t, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "all"}, StringData: map[string]string{"TF_VAR_word": value},
			})
			t.Setenv("TF_VAR_word", value)
			var fails atomic.Int32
			fails.Store(tc.fails)
			w.cfg.Client = interceptor.NewClient(w.cfg.Client, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if key.Name == "all" && fails.Add(-1) >= 0 {
						return tc.err
					}
					return c.Get(ctx, key, o, opts...)
				},
			})
			got := w.plan()
			g.Expect(got.Status.Plan.Rendered).To(ContainSubstring("word"))
			if tc.hidden {
				g.Expect(got.Status.Plan.Rendered).NotTo(ContainSubstring(value))
				g.Expect(w.log.String()).NotTo(ContainSubstring(value))
				return
			}
			g.Expect(w.log.String()).To(ContainSubstring(tc.logged))
		})
	}
}

// TestPodSecrets_AreAlsoWhatIsMounted: whatever becomes of those in the environment. The pod's own tokens are, too.
func TestPodSecrets_AreAlsoWhatIsMounted(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(dir, "key"), []byte("hunter2-of-the-volume"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, "key.json"), []byte(`{"project_id": "a-project", "password": "hunter2-of-the-document"}`), 0o600)).To(Succeed())
	document := fmt.Sprintf("jsondecode(file(%q))", filepath.Join(dir, "key.json"))
	w := newWorld(t, map[string]string{"main.tf": "output \"words\" { value = [\"seen\", \"hunter2-of-the-volume\", \"the-token\", " + document + ".project_id, " + document + ".password] }\n"},
		func(s *v1alpha2.TerraformSpec) {
			s.RunnerPodTemplate.Spec = mountedAt(dir)
			s.RunnerPodTemplate.Spec.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}}}}
		})
	got := w.plan()
	g.Expect(got.Status.Plan.Rendered).To(And(ContainSubstring("seen"), ContainSubstring("a-project"), Not(ContainSubstring("hunter2")), Not(ContainSubstring("the-token"))))
	g.Expect(w.log.String()).To(And(ContainSubstring("values in the environment can't be hidden"), Not(ContainSubstring("hunter2-of-the-volume"))))
}

func TestPodSecrets_ThatCantBeKnownKeepARunFromItsWork(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": ""}, func(s *v1alpha2.TerraformSpec) {
		s.RunnerPodTemplate.Spec = mountedAt("/" + strings.Repeat("x", 1000))
	})
	got := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(got.Status.Failure).NotTo(BeNil())
	g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonVarsGenerationFailed))
	g.Expect(got.Status.Failure.Message).To(HavePrefix("spec.runnerPodTemplate.spec.volumeMounts[0]: "))
}

func mountedAt(path string) v1alpha2.RunnerPodSpec {
	return v1alpha2.RunnerPodSpec{
		Volumes:      []corev1.Volume{{Name: "keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "keys"}}}},
		VolumeMounts: []corev1.VolumeMount{{Name: "keys", MountPath: path}},
	}
}
