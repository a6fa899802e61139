package controllers

import (
	"context"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// Reasons of events that are no condition reasons.
const (
	eventPlanned      = "TerraformPlanSucceed"
	eventDestroyed    = "TerraformDestroySucceed"
	eventApproved     = "TerraformPlanApproved"
	eventNotCovered   = "ApprovalDoesNotCover"
	eventFieldIgnored = "FieldIgnored"
	eventVolatile     = "TerraformPlanVolatile"
	eventAbandoned    = "Abandoned"
	eventWithheld     = "OutputsWithheld"

	revisionKey = "infra.contrib.fluxcd.io/revision"
)

// announce emits the events of a pass: what a run has come to, an approval that was seen, fields that are ignored, and
// trouble that is no run's.
func (r *TerraformReconciler) announce(before, tf *infrav1.Terraform, o *observation) {
	e := announcer{r, tf, map[string]string{revisionKey: o.source.Revision}}
	if o.settled != nil {
		e.run(o.settled)
	}
	e.sessionOpened(before, o)
	if a := tf.Status.Approval; o.approved {
		e.normal(eventApproved, fmt.Sprintf("Plan %s is approved (%s)", a.PlanID, byAndHow(a)))
	}
	if o.refused || o.settled != nil && before.Status.RefusedApproval == nil && tf.Status.RefusedApproval != nil {
		e.warning(eventNotCovered, "Plan "+tf.Status.Plan.Pending+" is held."+refusedMessage(tf.Status.RefusedApproval))
	}
	if decide.Volatile(&tf.Status) && !decide.Volatile(&before.Status) {
		e.normal(eventVolatile, fmt.Sprintf("Plan %s is different each time it is made, as with plantimestamp(): it is not refreshed any more "+
			"until source or spec change, somebody asks, or it is applied.", tf.Status.Plan.Pending))
	}
	if tf.Generation != before.Status.ObservedGeneration && tf.Generation == tf.Status.ObservedGeneration {
		for _, n := range notices(&tf.Spec) {
			e.warning(n.reason, n.message)
		}
	}
	if was, is := readyOf(before), readyOf(tf); o.settled == nil && newTrouble(was, is) && !toldByRun(is, o.facts.Last) {
		e.trouble(is)
	}
}

// announceAbandoned says, once the object is free to go, that a person has given its resources up, and why.
func (r *TerraformReconciler) announceAbandoned(ctx context.Context, tf *infrav1.Terraform, o *observation, d decide.Decision) {
	if d.Action != decide.RemoveFinalizer || !o.facts.Abandoned {
		return
	}
	why := tf.Annotations[infrav1.AbandonAnnotation]
	// A namespace that is being deleted takes no event.
	ctrl.LoggerFrom(ctx).Info("abandoned", "reason", why, "revision", tf.Status.LastAppliedRevision)
	left := "Its resources are left as they are"
	if st := tf.Status.State; st != nil && st.Resources > 0 {
		left = fmt.Sprintf("The %d resource(s) of its state are left as they are", st.Resources)
	}
	e := announcer{r, tf, map[string]string{revisionKey: tf.Status.LastAppliedRevision}}
	e.warning(eventAbandoned, fmt.Sprintf("Abandoned by annotation: %s. %s, and nothing looks after them any more.", why, left))
}

// byAndHow says who has approved, where they have said it, and how.
func byAndHow(a *infrav1.Approval) string {
	if a.By == "" {
		return string(a.How)
	}
	return string(a.How) + ", by " + a.By
}

func newTrouble(was, is metav1.Condition) bool {
	return is.Status == metav1.ConditionFalse && (was.Reason != is.Reason || was.Message != is.Message)
}

// toldByRun: there was an event for it when the run ended.
func toldByRun(is metav1.Condition, last decide.Last) bool {
	return is.Reason == infrav1.ReasonDriftDetected || last.Failed && is.Reason == last.Reason && is.Message == last.Message
}

// trouble that is only waiting is no warning.
func (e announcer) trouble(ready metav1.Condition) {
	if ready.Reason == infrav1.ReasonDependencyNotReady {
		e.normal(ready.Reason, "Dependencies do not meet ready condition: "+ready.Message)
		return
	}
	e.warning(ready.Reason, ready.Message)
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
	if run.Spec.Session != nil {
		e.sessionEnded(run)
		return
	}
	st := &e.tf.Status
	if run.Status.Unlocked != "" && run.Spec.Unlock != nil {
		e.warning(infrav1.ReasonForceUnlock, fmt.Sprintf("Lock %s was released: %s", run.Status.Unlocked, run.Spec.Unlock.Evidence))
	}
	e.keepsakeAndState(run)
	e.withheld(run)
	switch {
	case run.Status.Phase != infrav1.RunSucceeded:
		if run.Status.ApplyFinishedAt != nil {
			e.applied(run)
		}
		e.failed(run)
	case run.Spec.Operation == infrav1.OperationApply:
		e.applied(run)
	case st.Plan.Pending != "" && decide.Approved(st):
		e.normal(eventPlanned, fmt.Sprintf("Planned (%s): plan %s holds only changes that were approved %s", st.Plan.Summary, st.Plan.Pending, approvedWhen(st)))
	case st.Plan.Pending != "" && st.Plan.IsDriftDetectionPlan:
		e.warning(infrav1.ReasonDriftDetected, fmt.Sprintf("Drift detected (%s). %s", st.Plan.Summary, howToApprove(st.Plan.Pending)))
	case st.Plan.Pending != "":
		e.normal(eventPlanned, fmt.Sprintf("Planned (%s).\nPlan generated: %s", st.Plan.Summary, howToApprove(st.Plan.Pending)))
	}
}

func (e announcer) failed(run *infrav1.TerraformRun) {
	if run.Status.Phase == infrav1.RunCancelled && !decide.CancelledByPerson(run) {
		return // overtaken by something newer, which has events of its own
	}
	reason, message := failureOf(run, e.tf.Status.Plan.AppliedTarget)
	e.warning(reason, message)
}

func (e announcer) applied(run *infrav1.TerraformRun) {
	if run.Spec.Terraform.Destroy {
		e.normal(eventDestroyed, "Destroy applied successfully: "+run.Spec.Source.Revision)
	} else {
		e.normal(infrav1.ReasonAppliedSucceed, "Applied successfully: "+run.Spec.Source.Revision)
	}
	if len(run.Status.OutputsWritten) > 0 {
		e.normal(infrav1.ReasonOutputsWritten, fmt.Sprintf("Outputs written.\n%d output(s)", len(run.Status.Outputs)))
	}
}

// withheld says, but not at each look at the interval, which outputs a ConfigMap is no place for.
func (e announcer) withheld(run *infrav1.TerraformRun) {
	if names := run.Status.OutputsWithheld; len(names) > 0 && run.Spec.Reason != decide.ReasonInterval {
		e.normal(eventWithheld, fmt.Sprintf("Not written to the ConfigMap of spec.writeOutputsToConfigMap, because they are sensitive: %s",
			strings.Join(names, ", ")))
	}
}

// approvedWhen says how the pending plan was approved before it was made: with another one, or with one of the same id.
func approvedWhen(st *infrav1.TerraformStatus) string {
	if st.Approval.PlanID == st.Plan.Pending {
		return "before"
	}
	return "with " + st.Approval.PlanID
}

func howToApprove(id string) string {
	return fmt.Sprintf("set approvePlan: %q to approve this plan.", id)
}
