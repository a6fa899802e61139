package runner_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestExecute_ChecksHealthWhenNothingIsLeftToApply(t *testing.T) {
	compat.Shows(t, "spec.healthChecks")
	g := NewWithT(t)
	var healthy atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !healthy.Load() || r.URL.Path != "/sensitive-output" {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	w := newWorld(t, map[string]string{"main.tf": `
resource "terraform_data" "x" { input = 1 }
output "base" { value = "` + server.URL + `" }
output "path" {
  value     = "sensitive-output"
  sensitive = true
}
`}, func(spec *v1alpha2.TerraformSpec) {
		second := &metav1.Duration{Duration: time.Second}
		spec.HealthChecks = []v1alpha2.HealthCheck{
			{Name: "web", Type: "http", URL: "${{ .base }}/${{ .path }}", Timeout: second},
			{Name: "port", Type: "tcp", Address: server.Listener.Addr().String(), Timeout: second},
		}
		spec.WriteOutputsToConfigMap = &v1alpha2.WriteOutputsToConfigMapSpec{Name: "out"}
		spec.RefreshBeforeApply = true
	})

	planned := w.plan()
	g.Expect(planned.Status.HealthChecks).To(BeEmpty(), "there is something to apply first")
	g.Expect(planned.Status.Step).To(Equal(v1alpha2.StepOutputs))

	applied := w.execute(t.Context(), w.applyRun(planned, nil)).Status
	g.Expect(applied.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(applied.Step).To(Equal(v1alpha2.StepHealthChecks))
	g.Expect(applied.ApplyFinishedAt).NotTo(BeNil(), "it is no failed apply")
	g.Expect(applied.State.Resources).To(BeEquivalentTo(1))
	g.Expect(applied.HealthChecks).To(Equal([]v1alpha2.HealthCheckResult{
		{Name: "web", Message: "GET " + server.URL + "/***: answered 503 Service Unavailable (tried for 1s)"}, {Name: "port", Healthy: true},
	}))
	g.Expect(applied.Failure.Reason).To(Equal(v1alpha2.ReasonHealthChecksFailed))
	g.Expect(applied.Failure.Message).To(Equal("1 of 2 health checks failed: web: " + applied.HealthChecks[0].Message))
	g.Expect(applied.OutputsWritten).To(Equal([]string{"base"}))
	g.Expect(applied.OutputsWithheld).To(Equal([]string{"path"}))
	public := &corev1.ConfigMap{}
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "out"}, public)).To(Succeed())
	g.Expect(public.Data).To(Equal(map[string]string{"base": server.URL}))

	healthy.Store(true)
	again := w.plan().Status
	g.Expect(again.HealthChecks).To(HaveEach(HaveField("Healthy", true)))
	g.Expect(w.log.String()).NotTo(ContainSubstring("sensitive-output"))

	healthy.Store(false)
	w.change(func(spec *v1alpha2.TerraformSpec) { spec.Destroy = true })
	g.Expect(w.apply(w.plan()).Status.HealthChecks).To(BeEmpty(), "nothing is left that could be healthy")
}

func TestExecute_StoresThePlanToBeRead(t *testing.T) {
	compat.Shows(t, "plan-secret.without-changes", "cleanup.plan-after-apply")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": `resource "terraform_data" "x" { input = 1 }`}, func(spec *v1alpha2.TerraformSpec) {
		spec.StoreReadablePlan = "json"
	})
	planned := w.plan()
	g.Expect(w.secretsLike("tfplan-default-demo.json")).To(HaveLen(1))
	w.apply(planned)
	w.plan()
	g.Expect(w.secretsLike("tfplan")).To(BeEmpty(), "nothing is left to apply")
}
