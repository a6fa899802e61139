package plan

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestTarget(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*v1alpha2.TerraformSpec)
		moves  bool
	}{
		"nothing":       {"the same is the same", func(*v1alpha2.TerraformSpec) {}, false},
		"approval":      {"approving must not make the approved plan stale", func(s *v1alpha2.TerraformSpec) { s.ApprovePlan = "plan-main-1" }, false},
		"interval":      {"when to look is not what to see", func(s *v1alpha2.TerraformSpec) { s.Interval = metav1.Duration{Duration: time.Hour} }, false},
		"retryInterval": {"nor when to try again", func(s *v1alpha2.TerraformSpec) { s.RetryInterval = &metav1.Duration{} }, false},
		"suspend":       {"a pause changes no plan", func(s *v1alpha2.TerraformSpec) { s.Suspend = true }, false},
		"on deletion":   {"what happens at the end changes no plan", func(s *v1alpha2.TerraformSpec) { s.DestroyResourcesOnDeletion = true }, false},
		"refresh":       {"nor when to look once more", func(s *v1alpha2.TerraformSpec) { s.RefreshBeforeApply = true }, false},
		"another token": {"a token is changed now and then", func(s *v1alpha2.TerraformSpec) {
			s.Cloud.Token, s.Cloud.TokenSecretRef = "new", &meta.SecretKeyReference{Name: "cloud"}
		}, false},
		"another organization": {"that has another state", func(s *v1alpha2.TerraformSpec) { s.Cloud.Organization = "b" }, true},

		"path": {"another module is another plan", func(s *v1alpha2.TerraformSpec) { s.Path = "b" }, true},
		"vars": {"so are other variables", func(s *v1alpha2.TerraformSpec) { s.Vars = []v1alpha2.Variable{{Name: "x"}} }, true},
		"outputs": {"outputs are written by a plan without changes, too", func(s *v1alpha2.TerraformSpec) {
			s.WriteOutputsToSecret = &v1alpha2.WriteOutputsToSecretSpec{Name: "o"}
		}, true},
		"outputs to read": {"in whichever form", func(s *v1alpha2.TerraformSpec) {
			s.WriteOutputsToConfigMap = &v1alpha2.WriteOutputsToConfigMapSpec{Name: "o"}
		}, true},
		"health": {"and so are health checks done", func(s *v1alpha2.TerraformSpec) { s.HealthChecks = []v1alpha2.HealthCheck{{Name: "h"}} }, true},
		"image":  {"a mended image is a new start", func(s *v1alpha2.TerraformSpec) { s.RunnerPodTemplate.Spec.Image = "x" }, true},
		"webhooks": {"a webhook that takes a plan needs one that was made for it", func(s *v1alpha2.TerraformSpec) {
			s.Webhooks = []v1alpha2.Webhook{{URL: "https://a"}, {URL: "https://b"}}
		}, true},
		"webhooks without a plan": {"others judge the plan that there is", func(s *v1alpha2.TerraformSpec) {
			s.Webhooks = []v1alpha2.Webhook{{PayloadType: v1alpha2.PayloadSpecOnly}, {Enabled: ptr.To(false)}}
		}, false},
		"engine":  {"another engine is another plan", func(s *v1alpha2.TerraformSpec) { s.Engine = &v1alpha2.EngineSpec{Version: "1.12.6"} }, true},
		"account": {"and so is a mended account", func(s *v1alpha2.TerraformSpec) { s.ServiceAccountName = "x" }, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			spec := v1alpha2.TerraformSpec{Path: "a", UpgradeOnInit: ptr.To(true), Cloud: &v1alpha2.CloudSpec{Organization: "a", Token: "old"}}
			was, err := Target(&spec, "main@sha1:1", false)
			g.Expect(err).NotTo(HaveOccurred())
			tc.change(&spec)
			is, err := Target(&spec, "main@sha1:1", false)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(is != was).To(Equal(tc.moves), tc.reason)
			for _, other := range []struct {
				revision string
				destroy  bool
			}{{"main@sha1:2", false}, {"main@sha1:1", true}} {
				moved, err := Target(&spec, other.revision, other.destroy)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(moved).NotTo(Equal(is), "revision and destroy move every target")
			}
		})
	}
}
