package node

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// scheduleAll binds pods until the queue is shut down.
func (n *Node) scheduleAll(ctx context.Context) {
	for {
		key, shutdown := n.queue.Get()
		if shutdown {
			return
		}
		if err := n.schedule(ctx, key); err != nil {
			n.opts.Log.Error(err, "scheduling", "pod", key)
			n.queue.AddRateLimited(key)
		} else {
			n.queue.Forget(key)
		}
		n.queue.Done(key)
	}
}

func (n *Node) schedule(ctx context.Context, key types.NamespacedName) error {
	pod, err := n.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the pod: %w", err)
	}
	ours := pod.Spec.SchedulerName == corev1.DefaultSchedulerName && len(pod.Spec.SchedulingGates) == 0
	if !ours || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return nil
	}
	node, err := n.nodes.Get(n.opts.Name)
	if err != nil {
		return fmt.Errorf("reading the node: %w", err)
	}
	if why := n.misfit(pod, node); why != "" {
		return n.unschedulable(ctx, pod, why)
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node.Name},
	}
	err = n.sched.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("binding: %w", err)
	}
	return nil
}

// misfit says, as a scheduler would, why the pod can't run on the node; nothing when it can.
func (n *Node) misfit(pod *corev1.Pod, node *corev1.Node) string {
	if !labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels)) {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	taints := node.Spec.Taints
	if node.Spec.Unschedulable {
		taints = append(slices.Clip(taints), corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	for _, taint := range taints {
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !n.tolerated(pod, &taint) {
			return fmt.Sprintf("node(s) had untolerated taint(s) {%s: %s}", taint.Key, taint.Value)
		}
	}
	return ""
}

func (n *Node) tolerated(pod *corev1.Pod, taint *corev1.Taint) bool {
	for i := range pod.Spec.Tolerations {
		if pod.Spec.Tolerations[i].ToleratesTaint(n.opts.Log, taint, false) {
			return true
		}
	}
	return false
}

func (n *Node) unschedulable(ctx context.Context, pod *corev1.Pod, why string) error {
	message := "0/1 nodes are available: 1 " + why + "."
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Message == message {
			return nil
		}
	}
	pod = pod.DeepCopy()
	setCondition(&pod.Status, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
	})
	n.events.Event(pod, corev1.EventTypeWarning, "FailedScheduling", message)
	// With the resource version, so that a pod that somebody has bound since is left alone.
	_, err := n.sched.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("reporting the pod unschedulable: %w", err)
	}
	return nil
}
