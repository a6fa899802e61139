package decide

import (
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Gate is what the webhooks of spec.webhooks say of the pending plan. A plan is not applied while it is shut.
type Gate int

const (
	// GateOpen: all have agreed, or there are none.
	GateOpen Gate = iota
	// GateUnasked: they have not been asked about this plan.
	GateUnasked
	// GateShut: one does not agree, or could not be asked.
	GateShut
)

// webhooksDue: they are asked once about each plan, whoever is to approve it, and again for as long as they do not agree.
func webhooksDue(f *Facts) bool {
	due := f.Plan.Gate == GateUnasked || f.Plan.Gate == GateShut && f.Plan.AskIn <= 0
	return due && webhooksMatter(f)
}

// webhooksMatter: what is only reported, or a person has refused, is not applied whatever they say.
func webhooksMatter(f *Facts) bool {
	return f.Plan.ID != "" && !f.Plan.Rejected && (!f.Disabled || f.Deleting)
}

func webhooksDisagree(f *Facts) bool { return f.Plan.Gate == GateShut && webhooksMatter(f) }

// askWebhooks leaves Ready alone: there is no answer yet, or still the last one.
func askWebhooks(f *Facts) Decision {
	d := Decision{Action: AskWebhooks, Posture: Working, Progress: "Asking webhooks", RequeueAfter: nextLook(f)}
	if f.Plan.Gate == GateShut {
		again := holdForWebhooks(f)
		d.Posture, d.Ready, d.Progress = again.Posture, again.Ready, again.Progress
	}
	return d
}

func holdForWebhooks(f *Facts) Decision {
	message := fmt.Sprintf("%s (plan %s, %s, is not applied)", f.Plan.GateMessage, f.Plan.ID, f.Plan.Summary)
	if f.Deleting {
		message += ". The deletion waits for it: set spec.destroyResourcesOnDeletion to false, or annotate the object with " +
			v1alpha2.AbandonAnnotation + "=<why>, to let it go and keep its resources"
	}
	d := Decision{
		Posture: Retrying, Progress: "waiting to ask webhooks again", RequeueAfter: f.Plan.AskIn,
		Ready: Ready{False, v1alpha2.ReasonWebhookFailed, message},
	}
	if look := nextLook(f); look > 0 {
		d.RequeueAfter = min(d.RequeueAfter, look)
	}
	return d
}

// nextLook is the time to the next plan by interval; 0 when none is due by itself.
func nextLook(f *Facts) time.Duration {
	if f.Plan.Volatile {
		return 0
	}
	return f.PlanIn
}

// Judge keeps the condition Plan in step with what the webhooks say of the pending plan, in memory.
func Judge(tf *v1alpha2.Terraform, plan *Plan, now time.Time) {
	condition := metav1.Condition{
		Type: v1alpha2.ConditionPlan, ObservedGeneration: tf.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	failed := false
	if was := apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionPlan); was != nil {
		failed = was.Reason == v1alpha2.ReasonWebhookFailed
		condition.ObservedGeneration = was.ObservedGeneration
	}
	switch {
	case plan.ID != "" && plan.Gate == GateShut:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha2.ReasonWebhookFailed, plan.GateMessage
	case plan.ID != "" && plan.Gate == GateOpen && failed:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha2.ReasonPlannedWithChanges, "Plan generated"
	default:
		return
	}
	apimeta.SetStatusCondition(&tf.Status.Conditions, condition)
}

// judged: there is a verdict on the pending plan. One that agrees counts however often the plan is made anew, another one only
// until then.
func judged(st *v1alpha2.TerraformStatus, digest string) bool {
	v := st.Webhooks
	return v != nil && v.PlanID == st.Plan.Pending && v.Digest == digest && (v.Allowed || v.Run == st.Plan.Run)
}

// GateOf is the gate of the pending plan, by the verdict in the status. Digest stands for those that are to be asked, ""
// for nobody; one that does not agree is asked again after that time.
func GateOf(st *v1alpha2.TerraformStatus, digest string, again time.Duration, now time.Time) (gate Gate, message string, askIn time.Duration) {
	switch {
	case digest == "" || st.Plan.Pending == "":
		return GateOpen, "", 0
	case !judged(st, digest):
		return GateUnasked, "", 0
	case st.Webhooks.Allowed:
		return GateOpen, "", 0
	}
	return GateShut, st.Webhooks.Message, min(st.Webhooks.At.Add(again).Sub(now), again)
}
