package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestEgress_ARunnerThatReachesNoAPIServerLeavesWord: it can't report, so that the controller passes on what the pod has left.
// That it can't is done by an address at which nobody listens.
func TestEgress_ARunnerThatReachesNoAPIServerLeavesWord(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) {
		tf.Spec.RunnerPodTemplate.Spec.Env = []corev1.EnvVar{{Name: "KUBERNETES_SERVICE_HOST", Value: "127.0.0.1"}, {Name: "KUBERNETES_SERVICE_PORT", Value: "1"}}
	})
	s.Refuses(infrav1.ReasonRunnerLost, "its container ended with exit code 1", "no connection to 127.0.0.1:1 (the API server)",
		"a NetworkPolicy that denies egress in namespace "+s.Tenant.Namespace+" has to allow TCP port 1 to it")
}
