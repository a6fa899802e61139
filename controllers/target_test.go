package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestTarget(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*infrav1.TerraformSpec)
		moves  bool
	}{
		"nothing":       {"the same is the same", func(*infrav1.TerraformSpec) {}, false},
		"approval":      {"approving must not make the approved plan stale", func(s *infrav1.TerraformSpec) { s.ApprovePlan = "plan-main-1" }, false},
		"interval":      {"when to look is not what to see", func(s *infrav1.TerraformSpec) { s.Interval = metav1.Duration{Duration: time.Hour} }, false},
		"retryInterval": {"nor when to try again", func(s *infrav1.TerraformSpec) { s.RetryInterval = &metav1.Duration{} }, false},
		"suspend":       {"a pause changes no plan", func(s *infrav1.TerraformSpec) { s.Suspend = true }, false},
		"on deletion":   {"what happens at the end changes no plan", func(s *infrav1.TerraformSpec) { s.DestroyResourcesOnDeletion = true }, false},
		"refresh":       {"nor when to look once more", func(s *infrav1.TerraformSpec) { s.RefreshBeforeApply = true }, false},
		"another token": {"a token is changed now and then", func(s *infrav1.TerraformSpec) {
			s.Cloud.Token, s.Cloud.TokenSecretRef = "new", &meta.SecretKeyReference{Name: "cloud"}
		}, false},
		"another organization": {"that has another state", func(s *infrav1.TerraformSpec) { s.Cloud.Organization = "b" }, true},

		"path":    {"another module is another plan", func(s *infrav1.TerraformSpec) { s.Path = "b" }, true},
		"vars":    {"so are other variables", func(s *infrav1.TerraformSpec) { s.Vars = []infrav1.Variable{{Name: "x"}} }, true},
		"outputs": {"outputs are written by a plan without changes, too", func(s *infrav1.TerraformSpec) { s.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "o"} }, true},
		"outputs to read": {"in whichever form", func(s *infrav1.TerraformSpec) {
			s.WriteOutputsToConfigMap = &infrav1.WriteOutputsToConfigMapSpec{Name: "o"}
		}, true},
		"health": {"and so are health checks done", func(s *infrav1.TerraformSpec) { s.HealthChecks = []infrav1.HealthCheck{{Name: "h"}} }, true},
		"image":  {"a mended image is a new start", func(s *infrav1.TerraformSpec) { s.RunnerPodTemplate.Spec.Image = "x" }, true},
		"webhooks": {"a webhook that takes a plan needs one that was made for it", func(s *infrav1.TerraformSpec) {
			s.Webhooks = []infrav1.Webhook{{URL: "https://a"}, {URL: "https://b"}}
		}, true},
		"webhooks without a plan": {"others judge the plan that there is", func(s *infrav1.TerraformSpec) {
			s.Webhooks = []infrav1.Webhook{{PayloadType: infrav1.PayloadSpecOnly}, {Enabled: ptr.To(false)}}
		}, false},
		"engine":  {"another engine is another plan", func(s *infrav1.TerraformSpec) { s.Engine = &infrav1.EngineSpec{Version: "1.12.6"} }, true},
		"account": {"and so is a mended account", func(s *infrav1.TerraformSpec) { s.ServiceAccountName = "x" }, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			spec := infrav1.TerraformSpec{Path: "a", UpgradeOnInit: ptr.To(true), Cloud: &infrav1.CloudSpec{Organization: "a", Token: "old"}}
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

func TestFrozen_HoldsNoToken(t *testing.T) {
	g := NewWithT(t)
	spec := infrav1.TerraformSpec{Cloud: &infrav1.CloudSpec{Organization: "a", Token: "secret", TokenSecretRef: &meta.SecretKeyReference{Name: "cloud"}}}
	s := frozen(&spec, false)
	g.Expect(s.Cloud.Token).To(BeEmpty())
	g.Expect(s.Cloud.TokenSecretRef.Name).To(Equal("cloud"), "where it is, is no secret")
	g.Expect(spec.Cloud.Token).To(Equal("secret"))

	same := spec.DeepCopy()
	same.Cloud.Token = "changed"
	g.Expect(backendOf(same)).To(Equal(backendOf(&spec)), "it is the same state")
}

func TestRunName(t *testing.T) {
	compat.Shows(t, "limit.names")
	g := NewWithT(t)
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Name: "net", UID: types.UID("u1")}}
	g.Expect(RunName(tf, 1)).To(MatchRegexp(`^net-[0-9a-f]{8}$`))
	g.Expect(RunName(tf, 1)).To(Equal(RunName(tf, 1)), "two controllers make the same run")
	g.Expect(RunName(tf, 2)).NotTo(Equal(RunName(tf, 1)))
	again := tf.DeepCopy()
	again.UID = "u2"
	g.Expect(RunName(again, 1)).NotTo(Equal(RunName(tf, 1)), "an object made anew has runs of its own")
	tf.Name = strings.Repeat("a", 39) + "." + strings.Repeat("b", 200)
	g.Expect(RunName(tf, 1)).To(HavePrefix(strings.Repeat("a", 39) + "-"))
	g.Expect(len(RunName(tf, 1))).To(BeNumerically("<=", 63))
}
