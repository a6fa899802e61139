package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// What webhooks say of a plan before it is applied.

// policy is a server that judges plans. It answers as told, and remembers what it was sent.
type policy struct {
	*httptest.Server
	mu     sync.Mutex
	answer string
	hangs  bool
	sent   []string
	gone   chan struct{}
}

func newPolicy(t *testing.T, answer string) *policy {
	t.Helper()
	p := &policy{answer: answer, gone: make(chan struct{})}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	t.Cleanup(func() { close(p.gone) })
	return p
}

func (p *policy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.sent = append(p.sent, string(body))
	answer, hangs := p.answer, p.hangs
	p.mu.Unlock()
	if hangs {
		select {
		case <-p.gone:
		case <-r.Context().Done():
		}
		return
	}
	if answer == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"internal":"correct-horse"}`)
		return
	}
	io.WriteString(w, answer)
}

func (p *policy) answers(answer string, hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer, p.hangs = answer, hangs
}

func (p *policy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// hook asks the policy, with a token in the address.
func (p *policy) hook(kind string) infrav1.Webhook {
	return infrav1.Webhook{
		Stage: "post-planning", URL: p.URL + "/v1/check?token=correct-horse", PayloadType: kind,
		TestExpression: "${{ .passed }}", ErrorMessageTemplate: "violated: ${{ .why }}",
	}
}

func webhooks(hooks ...infrav1.Webhook) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.Webhooks = hooks
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 4 * time.Second}
	}
}

// unpacked is the plan that a run has left for webhooks.
func unpacked(s *story.Story, run *infrav1.TerraformRun) map[string]any {
	r, err := gzip.NewReader(bytes.NewReader(run.Status.Plan.JSON))
	s.Expect(err).NotTo(HaveOccurred())
	var plan map[string]any
	s.Expect(json.NewDecoder(r).Decode(&plan)).To(Succeed())
	return plan
}

const (
	passes = `{"passed": true}`
	denies = `{"passed": false, "why": "too large", "internal": "correct-horse"}`
)

func TestWebhooks_AllowAndSeeNoSecret(t *testing.T) {
	compat.Shows(t, "spec.webhooks")
	t.Parallel()
	all, spec, plan, off := newPolicy(t, passes), newPolicy(t, passes), newPolicy(t, passes), newPolicy(t, denies)
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting + `
variable "password" { sensitive = true }
resource "terraform_data" "secret" { input = "user:${var.password}" }
resource "terraform_data" "repeats" { input = nonsensitive("as ${var.password}") }
output "password" {
  value     = var.password
  sensitive = true
}
`})
	s.Expect(system.Client.Create(s.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}, StringData: map[string]string{"password": "correct-horse", "name": "battery-staple"},
	})).To(Succeed())
	disabled := off.hook("SpecAndPlan")
	no := false
	disabled.Enabled = &no
	s.Create(story.Auto, webhooks(disabled, all.hook(""), spec.hook("SpecOnly"), plan.hook("PlanOnly")), func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "inputs"}}
	})
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Webhooks.Allowed).To(BeTrue())
	for _, p := range []*policy{all, spec, plan} {
		s.Expect(p.asked()).To(HaveLen(1), "each is asked once")
		s.Expect(p.asked()[0]).NotTo(Or(ContainSubstring("correct-horse"), ContainSubstring("battery-staple")), "no secret, and no credentials of webhooks")
	}
	s.Expect(off.asked()).To(BeEmpty(), "one that is switched off is not asked")

	var both struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct{ ApprovePlan string }
		Status   map[string]json.RawMessage
	}
	s.Expect(json.Unmarshal([]byte(all.asked()[0]), &both)).To(Succeed())
	s.Expect(both.Kind + "/" + both.Metadata.Name + " " + both.Spec.ApprovePlan).To(Equal("Terraform/net auto"))
	s.Expect(both.Status).To(HaveLen(1), "the status is the plan alone")
	s.Expect(both.Status["tfplan"]).To(MatchJSON(plan.asked()[0]))
	s.Expect(spec.asked()[0]).NotTo(ContainSubstring("resource_changes"))
	var sent struct {
		Changes []struct {
			Address, Type string
			Change        struct {
				Actions []string
				After   map[string]any
			}
		} `json:"resource_changes"`
	}
	s.Expect(json.Unmarshal([]byte(plan.asked()[0]), &sent)).To(Succeed())
	s.Expect(sent.Changes).To(HaveLen(3))
	for _, c := range sent.Changes {
		s.Expect(c.Type + " " + strings.Join(c.Change.Actions, ",")).To(Equal("terraform_data create"))
		want := map[string]string{"greeting": "hello ***", "secret": "(sensitive value)", "repeats": "as ***"}[strings.TrimPrefix(c.Address, "terraform_data.")]
		s.Expect(c.Change.After["input"]).To(Equal(want), c.Address)
	}
	for _, run := range s.Runs() {
		text, err := json.Marshal(run)
		s.Expect(err).NotTo(HaveOccurred())
		s.Expect(string(text)).NotTo(ContainSubstring("correct-horse"), "a run knows no addresses of webhooks")
		if run.Spec.Operation == infrav1.OperationPlan && run.Status.Plan != nil && len(run.Status.Plan.JSON) > 0 {
			s.Expect(unpacked(s, &run)).To(HaveKey("planned_values"))
		}
	}
}

func TestWebhooks_DenyAndChangeTheirMind(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/PostPlanningWebhookFailed", "spec.webhooks", "use.webhooks")
	t.Parallel()
	p := newPolicy(t, denies)
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, webhooks(p.hook("PlanOnly")))
	tf := s.Becomes(metav1.ConditionFalse, "PostPlanningWebhookFailed", HavePrefix("violated: too large (plan plan-main-"))
	s.Hears("PostPlanningWebhookFailed", HavePrefix("violated: too large"))
	plan := conditions.Get(tf, infrav1.ConditionPlan)
	s.Expect(plan.Reason + " " + plan.Message).To(Equal("PostPlanningWebhookFailed violated: too large"))
	s.Expect(tf.Status.Plan.Pending).NotTo(BeEmpty(), "the plan stays")
	s.Eventually(func() int { return len(p.asked()) }).Should(BeNumerically(">=", 3), "it is asked again")
	tf = s.Get()
	s.Expect(tf.Status.AppliesStarted).To(BeZero())
	s.Expect(tf.Status.ReconciliationFailures).To(BeZero(), "a plan that is held is no failed run")
	s.Expect(tf.Status.RunSequence).To(Equal(int64(1)), "and is not made again for it")
	text, err := json.Marshal(tf.Status)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(string(text)).NotTo(ContainSubstring("correct-horse"), "neither the address nor the rest of an answer is told")

	p.answers(passes, false)
	tf = s.Applied(s.Revision())
	s.Expect(conditions.IsTrue(tf, infrav1.ConditionPlan)).To(BeTrue())

	// A deletion approves its plan; the policy does not.
	p.answers(denies, false)
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	s.Refuses("PostPlanningWebhookFailed", "violated: too large", "The deletion waits for it", infrav1.AbandonAnnotation)
	s.Expect(s.Get().Status.AppliesStarted).To(Equal(int64(1)))
	p.answers(passes, false)
	s.Eventually(func() error { return system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}) }).ShouldNot(Succeed())
}

// TestWebhooks_OutOfReachHoldThePlan: nobody is there, no answer comes, an error is answered, the address is refused.
func TestWebhooks_OutOfReachHoldThePlan(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, passes)
	away := newPolicy(t, passes)
	away.Close()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, webhooks(away.hook("SpecOnly")))
	held := func(says string) {
		s.Becomes(metav1.ConditionFalse, "PostPlanningWebhookFailed", And(HavePrefix("spec.webhooks[0] ("), ContainSubstring(says), Not(ContainSubstring("correct-horse"))))
	}
	held("connection refused")
	s.Change(webhooks(infrav1.Webhook{Stage: "post-planning", URL: "http://169.254.169.254/latest/", TestExpression: "true", PayloadType: "SpecOnly"}))
	held("(169.254.169.254): can't be called: ")
	held("it is a link-local address")
	p.answers("", false)
	s.Change(webhooks(p.hook("SpecOnly")))
	held("answered 503 Service Unavailable, expected 200")
	p.answers("", true)
	held("no answer within 10s")
	// A webhook that is sent the plan needs one that was made for it.
	p.answers(denies, false)
	s.Change(webhooks(p.hook("PlanOnly")))
	s.Becomes(metav1.ConditionFalse, "PostPlanningWebhookFailed", HavePrefix("violated: too large"))
	s.Expect(s.Get().Status.AppliesStarted).To(BeZero())
	s.Expect(s.Get().Status.RunSequence).To(Equal(int64(2)))
	p.answers(passes, false)
	s.Applied(s.Revision())
}

// TestWebhooks_AreAskedOnceAboutAPlan: an approval that comes later, a plan that is made anew and a controller that is
// started anew ask nobody again.
func TestWebhooks_AreAskedOnceAboutAPlan(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, passes)
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(webhooks(p.hook("SpecAndPlan")))
	id := s.Held()
	s.Expect(s.Get().Status.Webhooks.Allowed).To(BeTrue(), "they are asked before a person is")
	s.Request()
	s.Expect(s.Held()).To(Equal(id))
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Applied(s.Revision())
	s.Expect(p.asked()).To(HaveLen(1))
}
