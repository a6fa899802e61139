package controllers

import (
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Reasons of events that are no condition reasons.
const (
	eventPlanned      = "TerraformPlanSucceed"
	eventDestroyed    = "TerraformDestroySucceed"
	eventApproved     = "TerraformPlanApproved"
	eventFieldIgnored = "FieldIgnored"

	revisionKey = "infra.contrib.fluxcd.io/revision"
)

// announce emits the events of a pass: what a run has come to, an approval that was seen, fields that are ignored, and
// trouble that is no run's.
func (r *TerraformReconciler) announce(before, tf *infrav1.Terraform, o *observation) {
	e := announcer{r, tf, map[string]string{revisionKey: o.source.Revision}}
	if o.settled != nil {
		e.run(o.settled)
	}
	if a := tf.Status.Approval; o.approved {
		e.normal(eventApproved, fmt.Sprintf("Plan %s is approved (%s)", a.PlanID, a.How))
	}
	if tf.Generation != before.Status.ObservedGeneration && tf.Generation == tf.Status.ObservedGeneration {
		if message := ignoredMessage(&tf.Spec); message != "" {
			e.warning(eventFieldIgnored, message)
		}
	}
	was, is := readyOf(before), readyOf(tf)
	if is.Status == metav1.ConditionFalse && (was.Reason != is.Reason || was.Message != is.Message) && o.settled == nil {
		e.warning(is.Reason, is.Message)
	}
}

func readyOf(tf *infrav1.Terraform) metav1.Condition {
	if c := apimeta.FindStatusCondition(tf.Status.Conditions, meta.ReadyCondition); c != nil {
		return *c
	}
	return metav1.Condition{}
}

type announcer struct {
	r        *TerraformReconciler
	tf       *infrav1.Terraform
	metadata map[string]string
}

func (e announcer) normal(reason, message string) {
	e.r.Recorder.AnnotatedEventf(e.tf, e.metadata, corev1.EventTypeNormal, reason, "%s", message)
}

func (e announcer) warning(reason, message string) {
	e.r.Recorder.AnnotatedEventf(e.tf, e.metadata, corev1.EventTypeWarning, reason, "%s", message)
}

func (e announcer) run(run *infrav1.TerraformRun) {
	e.metadata[revisionKey] = run.Spec.Source.Revision
	st := &e.tf.Status
	if run.Status.Unlocked != "" {
		e.warning(infrav1.ReasonForceUnlock, fmt.Sprintf("Lock %s was released: %s", run.Status.Unlocked, run.Spec.Unlock.Evidence))
	}
	e.keepsakeAndState(run)
	switch {
	case run.Status.Phase != infrav1.RunSucceeded:
		reason, message := failureOf(run, st.Plan.AppliedTarget)
		e.warning(reason, message)
		return
	case run.Spec.Operation == infrav1.OperationApply && run.Spec.Terraform.Destroy:
		e.normal(eventDestroyed, "Destroy applied successfully: "+run.Spec.Source.Revision)
	case run.Spec.Operation == infrav1.OperationApply:
		e.normal(infrav1.ReasonAppliedSucceed, "Applied successfully: "+run.Spec.Source.Revision)
	case st.Plan.Pending != "" && st.Plan.IsDriftDetectionPlan:
		e.warning(infrav1.ReasonDriftDetected, fmt.Sprintf("Drift detected (%s). %s", st.Plan.Summary, howToApprove(st.Plan.Pending)))
	case st.Plan.Pending != "":
		e.normal(eventPlanned, fmt.Sprintf("Planned (%s).\nPlan generated: %s", st.Plan.Summary, howToApprove(st.Plan.Pending)))
	}
	if n := len(run.Status.OutputsWritten); n > 0 && run.Spec.Operation == infrav1.OperationApply {
		e.normal(infrav1.ReasonOutputsWritten, fmt.Sprintf("Outputs written.\n%d output(s)", len(run.Status.Outputs)))
	}
}

func howToApprove(id string) string {
	return fmt.Sprintf("set approvePlan: %q to approve this plan.", id)
}
