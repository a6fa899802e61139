package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// What happens after a plan or an apply: health checks, outputs, what is stored to be read.

// application answers with 503 until it is healthy, and wants a token.
func application(t *testing.T, healthy *atomic.Bool) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("token") != "correct-horse":
			w.WriteHeader(http.StatusUnauthorized)
		case !healthy.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func moduleOf(server *httptest.Server) map[string]string {
	return map[string]string{"main.tf": story.Greeting + `
output "url" { value = "` + server.URL + `" }
output "token" {
  value     = "correct-horse"
  sensitive = true
}
`}
}

func healthCheck(url string) infrav1.HealthCheck {
	return infrav1.HealthCheck{Name: "app", Type: "http", URL: url, Timeout: &metav1.Duration{Duration: time.Second}}
}

func TestHealthChecks_KeepReadyFalseUntilTheySucceed(t *testing.T) {
	compat.Shows(t, "spec.healthChecks", "condition.HealthCheck", "event.HealthChecksFailed", "use.health-checks", "weak.4")
	t.Parallel()
	var healthy atomic.Bool
	server := application(t, &healthy)
	s := story.New(t, system, moduleOf(server))
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 6 * time.Second}
		tf.Spec.Remediation = &infrav1.Remediation{}
		tf.Spec.HealthChecks = []infrav1.HealthCheck{
			healthCheck("${{ .url }}/healthz?token=${{ .token }}"),
			{Name: "port", Type: "tcp", Address: server.Listener.Addr().String()},
		}
	})
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonHealthChecksFailed,
		Equal("1 of 2 health checks failed: app: GET "+server.URL+"/healthz: answered 503 Service Unavailable (tried for 1s)"))
	s.Hears(infrav1.ReasonAppliedSucceed, HavePrefix("Applied successfully: main@sha1:"))
	s.Hears(infrav1.ReasonHealthChecksFailed, ContainSubstring("answered 503"))
	tf := s.Get()
	s.Expect(conditions.IsTrue(tf, infrav1.ConditionApply)).To(BeTrue(), "the apply has succeeded")
	s.Expect(conditions.IsFalse(tf, infrav1.ConditionHealthCheck)).To(BeTrue())
	s.Expect(tf.Status.LastAppliedRevision).NotTo(BeEmpty())
	s.Eventually(func() int64 { return s.Get().Status.RunSequence }).Should(BeNumerically(">=", 4), "it is tried again, without limit")
	s.Expect(conditions.IsFalse(s.Get(), "Ready")).To(BeTrue(), "and Ready stays False")

	healthy.Store(true)
	tf = s.Becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, HavePrefix("No drift: main@sha1:"))
	s.Expect(conditions.GetReason(tf, infrav1.ConditionHealthCheck)).To(Equal(infrav1.ReasonHealthChecksSucceed))
	s.Expect(tf.Status.AppliesStarted).To(Equal(int64(1)), "nothing was applied again")
	s.Expect(tf.Status.ReconciliationFailures).To(BeZero())

	healthy.Store(false)
	s.Request()
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonHealthChecksFailed, ContainSubstring("answered 503"))
	for _, run := range s.Runs() {
		for _, result := range run.Status.HealthChecks {
			s.Expect(result.Message).NotTo(ContainSubstring("correct-horse"))
		}
	}
}

func TestHealthChecks_AreDoneAtOnceWhenTheyAreMended(t *testing.T) {
	t.Parallel()
	var healthy atomic.Bool
	healthy.Store(true)
	s := story.New(t, system, moduleOf(application(t, &healthy)))
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.HealthChecks = []infrav1.HealthCheck{healthCheck("${{ .ulr }}/?token=${{ .token }}")}
	})
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonHealthChecksFailed,
		And(ContainSubstring(`spec.healthChecks[0].url: `), HaveSuffix(`map has no entry for key "ulr"; the outputs are: greeting, token, url`)))
	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.HealthChecks = []infrav1.HealthCheck{healthCheck("${{ .url }}/?token=${{ .token }}")}
	})
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, HavePrefix("No drift: main@sha1:"))
}

func configMap(s *story.Story, name string) *corev1.ConfigMap {
	found := &corev1.ConfigMap{}
	s.Expect(system.Client.Get(s.Ctx, s.Key(name), found)).To(Succeed())
	return found
}

func TestOutputs_InASecretAndAConfigMap(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToSecret", "spec.writeOutputsToSecret.outputs", "spec.writeOutputsToConfigMap",
		"outputs.typed", "outputs.after-destroy", "outputs.by-hand", "weak.10", "weak.12",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting + `
output "zones" { value = ["a", "b"] }
output "token" {
  value     = "correct-horse"
  sensitive = true
}
`})
	s.Create(story.Auto, story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
		tf.Spec.WriteOutputsToSecret.Outputs = []string{"zones:azs", "token", "greeting"}
		tf.Spec.WriteOutputsToConfigMap = &infrav1.WriteOutputsToConfigMapSpec{Name: "net-outputs"}
	})
	tf := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, HavePrefix("Outputs written: main@sha1:"))
	s.Expect(tf.Spec.WriteOutputsToSecret.Outputs).To(Equal([]string{"zones:azs", "token", "greeting"}), "the spec is the user's")
	s.Expect(tf.Generation).To(Equal(int64(1)))
	s.Hears("OutputsWithheld", ContainSubstring("they are sensitive: token"))
	data := s.Secret("net-outputs").Data
	s.Expect(data).To(HaveLen(4))
	s.Expect(string(data["azs__type"])).To(MatchJSON(`["tuple",["string","string"]]`))
	public := map[string]string{"greeting": "hello world", "zones": `["a","b"]`}
	s.Expect(configMap(s, "net-outputs").Data).To(Equal(public))

	// What is changed or removed by hand comes back with the next look.
	edited := configMap(s, "net-outputs")
	edited.Data = map[string]string{"greeting": "by hand"}
	s.Expect(system.Client.Update(s.Ctx, edited)).To(Succeed())
	s.Expect(system.Client.Delete(s.Ctx, s.Secret("net-outputs"))).To(Succeed())
	s.Request()
	s.Expect(s.Secret("net-outputs").Data).To(Equal(data))
	s.Expect(configMap(s, "net-outputs").Data).To(Equal(public))

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Destroy = true })
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, HavePrefix("Destroy applied successfully"))
	for _, obj := range []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}} {
		s.Expect(apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net-outputs"), obj))).To(BeTrue(), "the outputs go with the resources")
	}
}

func TestReadablePlan_IsStoredAndGoesWithThePlan(t *testing.T) {
	compat.Shows(t, "spec.storeReadablePlan", "readable.json", "readable.text")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Expect(system.Client.Create(s.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}, StringData: map[string]string{"name": "correct-horse"},
	})).To(Succeed())
	s.Create(func(tf *infrav1.Terraform) {
		tf.Spec.StoreReadablePlan = "human"
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "inputs"}}
	})
	id := s.Held()
	text := configMap(s, "tfplan-default-net")
	s.Expect(text.Annotations).To(HaveKeyWithValue("savedPlan", id))
	s.Expect(text.Data["tfplan"]).To(And(ContainSubstring("terraform_data.greeting will be created"), ContainSubstring("Plan: 1 to add"), ContainSubstring("hello ***")))
	s.Expect(text.Data["tfplan"]).NotTo(ContainSubstring("correct-horse"), "who reads ConfigMaps need not read Secrets")

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.StoreReadablePlan = "json" })
	s.Request()
	s.Expect(s.Held()).To(Equal(id), "how it is shown is no change of the plan")
	unzipped, err := gzip.NewReader(bytes.NewReader(s.Secret("tfplan-default-net.json").Data["tfplan"]))
	s.Expect(err).NotTo(HaveOccurred())
	var plan struct {
		Changes []struct{ Address string } `json:"resource_changes"`
	}
	s.Expect(json.NewDecoder(unzipped).Decode(&plan)).To(Succeed())
	s.Expect(plan.Changes).To(ConsistOf(HaveField("Address", "terraform_data.greeting")))
	s.Expect(apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("tfplan-default-net"), &corev1.ConfigMap{}))).To(BeTrue())

	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Applied(s.Revision())
	s.Request()
	s.Becomes(metav1.ConditionTrue, "", Not(BeEmpty()))
	s.Expect(apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("tfplan-default-net.json"), &corev1.Secret{}))).To(BeTrue(), "there is nothing to apply any more")
}

func TestRefreshBeforeApply_HoldsWhatHasChangedSinceItWasApproved(t *testing.T) {
	compat.Shows(t, "spec.refreshBeforeApply", "weak.16")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.RefreshBeforeApply = true })
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Applied(s.Revision())

	// The plan changes what is there; before it is approved somebody removes it.
	_, err := s.Tenant.Commit(s.Ctx, "blue", map[string]string{"main.tf": strings.Replace(story.Driftable, `"green"`, `"blue"`, 1)})
	s.Expect(err).NotTo(HaveOccurred())
	id := s.Held()
	s.Expect(s.Get().Status.Plan.Summary).To(Equal("+0 ~1 -0"))
	s.Expect(system.Client.Delete(s.Ctx, configMap(s, "settings"))).To(Succeed())
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Hears(infrav1.ReasonPlanNotApplicable, HavePrefix("spec.refreshBeforeApply: "))
	s.Eventually(func() string { return s.Get().Status.Plan.Summary }).Should(Equal("+1 ~0 -0"))
	again := s.Held()
	s.Expect(again).NotTo(Equal(id), "another change than the one that was approved")

	s.Annotate(infrav1.ApprovePlanAnnotation, again)
	s.Applied(s.Revision())
	s.Expect(s.Color()).To(Equal("blue"), "what is as it was when it was approved is applied")
	s.Expect(s.Get().Status.Plan.LastApplied).To(Equal(again))
}
