package controllers

import (
	"context"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

const (
	// afterConflict gives the cache time to see what this pass has not seen.
	afterConflict = time.Second
	// maxMessage is the length of a condition's message, in runes, as the incumbent cuts it.
	maxMessage = 20000
)

// report writes what the pass has found: at most one patch of the status, under the version that was observed. Events
// follow the patch, so that nothing is announced that did not stick.
func (r *TerraformReconciler) report(ctx context.Context, before, tf *infrav1.Terraform, o *observation, d decide.Decision) (ctrl.Result, error) {
	if d.Action == decide.AddFinalizer || d.Action == decide.CleanFinalizers || d.Action == decide.RemoveFinalizer {
		r.announceAbandoned(ctx, tf, o, d)
		return ctrl.Result{}, nil
	}
	applyDecision(tf, o, d)
	if !equality.Semantic.DeepEqual(before.Status, tf.Status) {
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		err := r.Client.Status().Patch(ctx, tf, patch, client.FieldOwner(infrav1.FieldManager))
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: afterConflict}, nil
		}
		if err != nil {
			return ctrl.Result{}, wrap(client.IgnoreNotFound(err), "patch status")
		}
	}
	r.announce(before, tf, o)
	r.recordMetrics(ctx, tf)
	if o.settled != nil {
		if err := r.pruneHistory(ctx, tf, o.runs); err != nil {
			return ctrl.Result{}, err
		}
	}
	return r.requeue(d), nil
}

func (r *TerraformReconciler) recordMetrics(ctx context.Context, tf *infrav1.Terraform) {
	r.Metrics.RecordReadiness(ctx, tf)
	r.Metrics.RecordSuspend(ctx, tf, tf.Spec.Suspend)
}

// requeue says when to look again without being woken.
func (r *TerraformReconciler) requeue(d decide.Decision) ctrl.Result {
	switch {
	case d.Posture == decide.Queued:
		return ctrl.Result{RequeueAfter: r.Jitter(queueLook)}
	case d.RequeueAfter <= 0 || d.RequeueAfter >= never:
		return ctrl.Result{}
	case d.Posture == decide.Resting:
		return ctrl.Result{RequeueAfter: r.Jitter(d.RequeueAfter)}
	}
	return ctrl.Result{RequeueAfter: d.RequeueAfter}
}

// applyDecision puts the decision into the status, in memory.
func applyDecision(tf *infrav1.Terraform, o *observation, d decide.Decision) {
	st := &tf.Status
	switch d.Action {
	case decide.Reserve:
		st.RunSequence++
		st.ActiveRun = &infrav1.ActiveRun{Name: RunName(tf, st.RunSequence), Sequence: st.RunSequence, Session: d.Order.Session}
		if d.Order.Operation == decide.OpApply {
			st.AppliesStarted++
		}
	case decide.Start:
		st.ActiveRun.Session = d.Order.Session // what is wanted may have changed since the reservation
	case decide.Drop:
		st.ActiveRun = nil
	default:
	}
	setReady(tf, d.Ready, o.now)
	setPosture(tf, d, o.now)
	setQueue(tf, o, d)
	answered := d.Action == decide.Rest && (d.Posture == decide.Stuck || d.Posture == decide.Retrying)
	if answered && o.facts.Requested && st.ActiveRun == nil {
		st.LastHandledReconcileAt = tf.Annotations[meta.ReconcileRequestAnnotation]
	}
	if d.Posture != decide.Unchanged && d.Posture != decide.Paused {
		observeGeneration(tf)
	}
}

func setReady(tf *infrav1.Terraform, ready decide.Ready, now time.Time) {
	statuses := map[decide.Status]metav1.ConditionStatus{
		decide.True: metav1.ConditionTrue, decide.False: metav1.ConditionFalse, decide.Unknown: metav1.ConditionUnknown,
	}
	if ready.Status != decide.Keep {
		setCondition(tf, meta.ReadyCondition, statuses[ready.Status], ready.Reason, ready.Message, now)
		return
	}
	if apimeta.FindStatusCondition(tf.Status.Conditions, meta.ReadyCondition) == nil {
		setCondition(tf, meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Reconciliation in progress", now)
	}
}

func setPosture(tf *infrav1.Terraform, d decide.Decision, now time.Time) {
	conditions := &tf.Status.Conditions
	switch d.Posture {
	case decide.Unchanged, decide.Queued: // setQueue says the latter
		return
	case decide.Resting, decide.Paused:
		apimeta.RemoveStatusCondition(conditions, meta.ReconcilingCondition)
		apimeta.RemoveStatusCondition(conditions, meta.StalledCondition)
	case decide.Working:
		apimeta.RemoveStatusCondition(conditions, meta.StalledCondition)
		setCondition(tf, meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, d.Progress, now)
	case decide.Retrying:
		apimeta.RemoveStatusCondition(conditions, meta.StalledCondition)
		setCondition(tf, meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingWithRetryReason, d.Progress, now)
	case decide.Stuck:
		apimeta.RemoveStatusCondition(conditions, meta.ReconcilingCondition)
		stalled := d.Stalled
		if stalled.Reason == "" {
			stalled = decide.Stalled{Reason: d.Ready.Reason, Message: d.Ready.Message}
		}
		setCondition(tf, meta.StalledCondition, metav1.ConditionTrue, stalled.Reason, stalled.Message, now)
	}
}

// setCondition writes a condition; its transition time moves only with its status.
func setCondition(tf *infrav1.Terraform, conditionType string, status metav1.ConditionStatus, reason, message string, now time.Time) {
	apimeta.SetStatusCondition(&tf.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: limit(message),
		ObservedGeneration: tf.Generation, LastTransitionTime: metav1.NewTime(now),
	})
}

func limit(message string) string {
	if runes := []rune(message); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "..."
	}
	return message
}

// observeGeneration says of every condition that it has been looked at in this generation: what none of the rules has
// changed still holds.
func observeGeneration(tf *infrav1.Terraform) {
	tf.Status.ObservedGeneration = tf.Generation
	for i := range tf.Status.Conditions {
		tf.Status.Conditions[i].ObservedGeneration = tf.Generation
	}
}
