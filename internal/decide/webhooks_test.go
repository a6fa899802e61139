package decide

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestGateOf(t *testing.T) {
	const again = 15 * time.Second
	at := metav1.NewTime(now.Add(-5 * time.Second))
	verdict := func(change func(*v1alpha2.WebhookVerdict)) *v1alpha2.WebhookVerdict {
		v := &v1alpha2.WebhookVerdict{PlanID: "plan-1", Run: "run-1", Digest: "d", Message: "no", At: at}
		change(v)
		return v
	}
	same := func(*v1alpha2.WebhookVerdict) {}
	allows := func(v *v1alpha2.WebhookVerdict) { v.Allowed, v.Message = true, "" }
	cases := map[string]struct {
		reason  string
		digest  string
		pending string
		run     string
		verdict *v1alpha2.WebhookVerdict
		gate    Gate
		askIn   time.Duration
	}{
		"no webhooks":          {"nobody is to be asked", "", "plan-1", "run-1", nil, GateOpen, 0},
		"no plan":              {"there is nothing to ask", "d", "", "run-1", nil, GateOpen, 0},
		"no verdict":           {"nobody has been asked", "d", "plan-1", "run-1", nil, GateUnasked, 0},
		"allowed":              {"all have agreed", "d", "plan-1", "run-1", verdict(allows), GateOpen, 0},
		"allowed, made anew":   {"the same plan is the same plan", "d", "plan-1", "run-2", verdict(allows), GateOpen, 0},
		"allowed, other plan":  {"another plan is another question", "d", "plan-2", "run-2", verdict(allows), GateUnasked, 0},
		"allowed, other hooks": {"other webhooks have not been asked", "e", "plan-1", "run-1", verdict(allows), GateUnasked, 0},
		"denied":               {"it is asked again after a while", "d", "plan-1", "run-1", verdict(same), GateShut, 10 * time.Second},
		"denied, made anew":    {"a plan that somebody has asked for is asked about at once", "d", "plan-1", "run-2", verdict(same), GateUnasked, 0},
		"denied in the future": {"a clock that was set back keeps nobody waiting", "d", "plan-1", "run-1",
			verdict(func(v *v1alpha2.WebhookVerdict) { v.At = metav1.NewTime(now.Add(time.Hour)) }), GateShut, again},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			st := &v1alpha2.TerraformStatus{Plan: v1alpha2.PlanStatus{Pending: tc.pending, Run: tc.run}, Webhooks: tc.verdict}
			gate, message, askIn := GateOf(st, tc.digest, again, now)
			g.Expect(gate).To(Equal(tc.gate), tc.reason)
			g.Expect(askIn).To(Equal(tc.askIn), tc.reason)
			g.Expect(message != "").To(Equal(gate == GateShut), tc.reason)
		})
	}
}

func TestJudge_KeepsTheConditionPlanInStep(t *testing.T) {
	g := NewWithT(t)
	tf := &v1alpha2.Terraform{}
	plan := func() *metav1.Condition {
		return apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionPlan)
	}
	Judge(tf, &Plan{}, now)
	Judge(tf, &Plan{ID: "plan-1"}, now)
	Judge(tf, &Plan{ID: "plan-1", Gate: GateUnasked}, now)
	g.Expect(plan()).To(BeNil(), "there is nothing to say")
	Judge(tf, &Plan{ID: "plan-1", Gate: GateShut, GateMessage: "too large"}, now)
	g.Expect(*plan()).To(And(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "PostPlanningWebhookFailed"), HaveField("Message", "too large")))
	Judge(tf, &Plan{ID: "plan-1", Gate: GateUnasked}, now)
	g.Expect(plan().Reason).To(Equal("PostPlanningWebhookFailed"), "until there is an answer the last one stands")
	Judge(tf, &Plan{ID: "plan-1"}, now)
	g.Expect(*plan()).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", "TerraformPlannedWithChanges"), HaveField("Message", "Plan generated")))
}
