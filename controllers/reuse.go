package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// shapeDigits is the length of a pod's shape.
const shapeDigits = 16

// podShape stands for all that pods of different runs may differ in: a pod takes a second run only if one that was made for
// it would have the same shape.
func podShape(spec *corev1.PodSpec) string {
	spec = spec.DeepCopy()
	spec.Hostname = ""
	for i := range spec.Containers {
		env := spec.Containers[i].Env
		for k := range env {
			if env[k].Name == envRunName {
				env[k].Value = ""
			}
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return "" // a pod's spec is always encoded
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:shapeDigits]
}

// podWaits says that the pod's runner has made the pending plan and can be told to apply it: nobody has told it anything
// else, and it is such a pod as the apply needs.
func (r *TerraformReconciler) podWaits(tf *infrav1.Terraform, o *observation) bool {
	st, pod := &tf.Status, o.pod
	if pod == nil || o.run != nil || st.Plan.Pending == "" || pod.DeletionTimestamp != nil {
		return false
	}
	if processEnded(pod) || phaseOver(pod) || runnerStatus(pod).State.Running == nil {
		return false
	}
	of := pod.Labels[infrav1.RunNameLabel]
	if of != infrav1.SafeLabelValue(st.Plan.Run) && !toldTo(pod, st.ActiveRun) {
		return false
	}
	apply := &infrav1.TerraformRun{Spec: infrav1.TerraformRunSpec{Operation: infrav1.OperationApply, Terraform: frozen(&tf.Spec, st.Plan.IsDestroyPlan)}}
	made := BuildPod(PodInput{Terraform: tf, Run: apply, Config: r.Runner})
	return pod.Annotations[infrav1.PodShapeAnnotation] == podShape(&made.Spec)
}

// toldTo says that the pod was made for another run, and given to this one.
func toldTo(pod *corev1.Pod, active *infrav1.ActiveRun) bool {
	return active != nil && pod.Labels[infrav1.RunNameLabel] == infrav1.SafeLabelValue(active.Name) &&
		pod.Labels[infrav1.RunSequenceLabel] != strconv.FormatInt(active.Sequence, 10)
}

// adopt gives a pod that waits to the reserved run, before that run exists: whoever takes the pod for one that has done its
// work, and is about to delete it, has then an old version of it.
func (r *TerraformReconciler) adopt(ctx context.Context, tf *infrav1.Terraform, o *observation, order decide.Order) error {
	if o.facts.Pod.State != decide.PodWaiting || order.Operation != decide.OpApply {
		return nil
	}
	changed := o.pod.DeepCopy()
	changed.Labels[infrav1.RunNameLabel] = infrav1.SafeLabelValue(tf.Status.ActiveRun.Name)
	patch := client.MergeFromWithOptions(o.pod, client.MergeFromWithOptimisticLock{})
	err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager))
	if err == nil {
		o.adopted = true
	}
	return client.IgnoreNotFound(err)
}

// podOf says that the pod is to do the run. It takes no run with another hostname.
func podOf(pod *corev1.Pod, run *infrav1.TerraformRun) bool {
	return pod.Labels[infrav1.RunNameLabel] == infrav1.SafeLabelValue(run.Name) && pod.Spec.Hostname == run.Spec.Hostname
}

// handedOver says that the run was given to the pod of another one, its plan: it has that one's hostname.
func handedOver(run *infrav1.TerraformRun, runs []infrav1.TerraformRun) bool {
	return slices.ContainsFunc(runs, func(other infrav1.TerraformRun) bool {
		return other.Name != run.Name && other.Spec.Hostname == run.Spec.Hostname
	})
}

// neverTakes says that the pod, though it bears the active run's name, does not do that run: the run is meant for a pod with
// another hostname.
func (r *TerraformReconciler) neverTakes(ctx context.Context, pod *corev1.Pod, name string) (bool, error) {
	run := &infrav1.TerraformRun{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, run)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	claimedByIt := run.Status.Runner != nil && run.Status.Runner.PodUID == string(pod.UID)
	return !podOf(pod, run) && !claimedByIt, nil
}
