package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// overdueAfter is how long after the end of its grace a pod may still be there before its node is taken for dead.
const overdueAfter = 15 * time.Second

// overdue says that the pod was to be gone by now. Its deletionTimestamp is the end of its grace.
func overdue(pod *corev1.Pod, now time.Time) bool {
	return pod.DeletionTimestamp != nil && now.Sub(pod.DeletionTimestamp.Time) > overdueAfter
}

// observeNode looks, when a runner is not to be heard of, whether its node is tainted out-of-service: by that an
// administrator says that the machine is switched off. That a Node object is missing says nothing.
func (r *TerraformReconciler) observeNode(ctx context.Context, o *observation) error {
	if !o.runnerSilent() {
		return nil
	}
	name := o.run.Status.Runner.Node
	if o.pod != nil {
		name = o.pod.Spec.NodeName
	}
	if name == "" {
		return nil
	}
	node := &corev1.Node{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: name}, node)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get node %s: %w", name, err)
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeOutOfService {
			o.outOfService = name
		}
	}
	return nil
}

// runnerSilent says that a runner works on the active run whose pod is gone, or going.
func (o *observation) runnerSilent() bool {
	if o.run == nil || o.run.Status.Runner == nil {
		return false
	}
	return o.pod == nil || o.pod.DeletionTimestamp != nil && !processEnded(o.pod)
}

// concludePod makes the facts of the runner's process: from its pod and, where that does not tell, from its node, or from
// a person's word on the run.
func (o *observation) concludePod() {
	f := &o.facts.Pod
	*f = podFacts(o.pod, o.run, o.now)
	if o.pod != nil {
		if o.waits {
			f.State = decide.PodWaiting
		}
		f.Leaving, f.Overdue = o.pod.DeletionTimestamp != nil, overdue(o.pod, o.now)
	}
	if !o.runnerSilent() {
		return
	}
	if o.outOfService != "" || o.run.Annotations[infrav1.ProcessEndedAnnotation] != "" {
		f.State, f.OfRun = decide.PodEnded, true
		return
	}
	f.Where = fmt.Sprintf("runner pod %s/%s on node %q, run %s", o.run.Namespace, o.run.Spec.PodName, o.run.Status.Runner.Node, o.run.Name)
}

// howEnded describes the end of a runner's process that has not reported.
func (o *observation) howEnded() string {
	switch {
	case o.outOfService != "":
		return fmt.Sprintf("its node %s is tainted %s", o.outOfService, corev1.TaintNodeOutOfService)
	case o.run.Annotations[infrav1.ProcessEndedAnnotation] != "" || o.pod == nil:
		return "a person says that its process has ended: " + limit(o.run.Annotations[infrav1.ProcessEndedAnnotation])
	}
	return howEnded(o.pod)
}
