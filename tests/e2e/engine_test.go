package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// otherTofu is the image's tofu, which claims to be of another version.
const otherTofu = `#!/bin/sh
if [ "$1" = version ]; then /usr/local/bin/tofu "$@" | sed 's/1\.12\.[0-9]*/1.11.9/'; exit; fi
exec /usr/local/bin/tofu "$@"
`

// mountEngines mounts a folder with tofu 1.11.9 into an object's runners, as users do.
func mountEngines(s *story.Story) func(*infrav1.Terraform) {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "tofu-1.11.9"}, Data: map[string]string{"tofu": otherTofu},
	})).To(Succeed())
	return func(tf *infrav1.Terraform) {
		pod := &tf.Spec.RunnerPodTemplate.Spec
		pod.Volumes = []corev1.Volume{{Name: "engine", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "tofu-1.11.9"}, DefaultMode: ptr.To[int32](0o555),
		}}}}
		pod.VolumeMounts = []corev1.VolumeMount{{Name: "engine", MountPath: "/engines/tofu_1.11.9"}}
		pod.Env = []corev1.EnvVar{{Name: "ENGINES_DIR", Value: "/engines"}, {Name: "ENGINE_DOWNLOADS", Value: "true"}}
	}
}

func TestEngine_IsChosenByTheObject(t *testing.T) {
	compat.Shows(t, "spec.engine")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(mountEngines(s), func(tf *infrav1.Terraform) { tf.Spec.Engine = &infrav1.EngineSpec{Version: "~> 1.11.0"} })
	id := s.Held()
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Applied(s.Revision())
	for _, run := range s.Runs() {
		s.Expect(run.Status.Engine).To(Equal(&infrav1.EngineIdentity{Name: "tofu", Version: "1.11.9"}), "plan and apply alike")
	}

	// Another engine makes a plan due, though neither source nor variables have changed.
	begun := s.Get().Status.RunSequence
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Engine = &infrav1.EngineSpec{Version: "1.12.6"} })
	s.Eventually(func() int64 { return s.Get().Status.RunSequence }).Should(BeNumerically(">", begun))
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, ContainSubstring("main@sha1:"))
	s.Expect(s.Runs()).To(ContainElement(HaveField("Status.Engine", Equal(&infrav1.EngineIdentity{Name: "tofu", Version: "1.12.6"}))))

	// The controller does not allow downloads here, and a pod's template can't.
	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.Engine = &infrav1.EngineSpec{Name: "terraform", Version: "1.99.0"}
	})
	s.Refuses(infrav1.ReasonTFExecNewFailed, "spec.engine: no terraform 1.99.0 was found, and downloads are not allowed here",
		"tofu 1.11.9 (/engines/tofu_1.11.9/tofu)", "ENGINES_DIR")
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Engine = nil })
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, ContainSubstring("main@sha1:"))
}
