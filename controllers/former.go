package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// What the incumbent leaves behind when it is replaced, as far as the controller may touch it.

const (
	// formerApplyGrace is what a runner of the incumbent gets that may be applying. Its engine was interrupted when its controller
	// ended, and is killed by the runner itself a minute later: nothing is gained by waiting longer.
	formerApplyGrace = 90 * time.Second
	// maxHostname is where the kubelet cuts the name of a pod that is to be its hostname.
	maxHostname = 63
)

// isFormer says that a pod is a runner of the incumbent: ours name their run.
func isFormer(pod *corev1.Pod) bool {
	return pod.Labels[infrav1.NameLabel] == infrav1.NameValue && pod.Labels[infrav1.RunNameLabel] == ""
}

// observeFormer records that the runner that the incumbent has left has ended, in the status in memory, and looks, before a run
// is made, whether there are others in the namespace.
func (r *TerraformReconciler) observeFormer(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	if former := formerRunner(o.pod); former != nil && (tf.Status.FormerRunner == nil || tf.Status.FormerRunner.PodUID != former.PodUID) {
		tf.Status.FormerRunner, o.formerEnded = former, true
	}
	if tf.Status.ActiveRun == nil || o.run != nil {
		return nil
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(tf.Namespace), client.MatchingLabels{infrav1.NameLabel: infrav1.NameValue}); err != nil {
		return fmt.Errorf("list runner pods: %w", err)
	}
	o.tidyUp = !slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return isFormer(&pod) })
	return nil
}

// formerRunner describes a runner of the incumbent whose process has provably ended, and is not started again; nil for any
// other pod.
func formerRunner(pod *corev1.Pod) *infrav1.FormerRunner {
	if pod == nil || !isFormer(pod) || pod.DeletionTimestamp == nil && !phaseOver(pod) {
		return nil
	}
	ended := runnerStatus(pod).State.Terminated
	if ended == nil || pod.Status.StartTime == nil {
		return nil
	}
	return &infrav1.FormerRunner{
		PodUID: string(pod.UID), Hostname: hostnameOf(pod), StartedAt: *pod.Status.StartTime, EndedAt: ended.FinishedAt,
	}
}

// hostnameOf is the hostname that the kubelet gives a pod.
func hostnameOf(pod *corev1.Pod) string {
	if pod.Spec.Hostname != "" {
		return pod.Spec.Hostname
	}
	return strings.TrimRight(pod.Name[:min(len(pod.Name), maxHostname)], "-.")
}

// retire ends a runner of the incumbent in steps: it is kept from vanishing unseen, deleted, and let go when it is recorded
// that its process has ended. Only then its lock is known to be nobody's.
func (r *TerraformReconciler) retire(ctx context.Context, tf *infrav1.Terraform, o *observation, d decide.Decision) (decide.Decision, error) {
	pod := o.pod
	switch {
	case pod.DeletionTimestamp == nil && !controllerutil.ContainsFinalizer(pod, infrav1.RunnerFinalizer):
		changed := pod.DeepCopy()
		controllerutil.AddFinalizer(changed, infrav1.RunnerFinalizer)
		patch := client.MergeFromWithOptions(pod, client.MergeFromWithOptimisticLock{})
		return d, client.IgnoreNotFound(r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)))
	case pod.DeletionTimestamp == nil:
		return d, client.IgnoreNotFound(r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion}, formerGrace(tf, pod)))
	case o.formerEnded:
		d.RequeueAfter = afterConflict // first it is written
		return d, nil
	case isRecorded(tf, pod), runnerNeverWas(pod), overdue(pod, o.now):
		return d, r.removePod(ctx, pod, o.now)
	}
	return d, nil
}

func isRecorded(tf *infrav1.Terraform, pod *corev1.Pod) bool {
	return tf.Status.FormerRunner != nil && tf.Status.FormerRunner.PodUID == string(pod.UID)
}

// runnerNeverWas: the process has never begun, or there is nothing that could be recorded of its end.
func runnerNeverWas(pod *corev1.Pod) bool { return processEnded(pod) || phaseOver(pod) }

// formerGrace is the pod's own, and long enough for the end of an apply where one may be going on.
func formerGrace(tf *infrav1.Terraform, pod *corev1.Pod) client.DeleteOption {
	grace := int64(0)
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	if apimeta.IsStatusConditionPresentAndEqual(tf.Status.Conditions, infrav1.ConditionApply, metav1.ConditionUnknown) {
		grace = max(grace, int64(formerApplyGrace.Seconds()))
	}
	return client.GracePeriodSeconds(grace)
}

// hasStrayFinalizers says that the incumbent has named finalizers of the object after others that depend on it.
func hasStrayFinalizers(tf *infrav1.Terraform) bool {
	return slices.ContainsFunc(tf.Finalizers, isStray)
}

func isStray(finalizer string) bool {
	return strings.HasPrefix(finalizer, infrav1.DependencyFinalizerPrefix)
}

func (r *TerraformReconciler) cleanFinalizers(ctx context.Context, tf *infrav1.Terraform) error {
	changed := tf.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, isStray)
	patch := client.MergeFromWithOptions(tf, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)))
}

// appliedBefore says that an apply has been begun once, by whatever controller.
func appliedBefore(st *infrav1.TerraformStatus) bool {
	return st.LastAppliedRevision != "" || st.Plan.LastApplied != "" || apimeta.FindStatusCondition(st.Conditions, infrav1.ConditionApply) != nil
}
