package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// report writes what the worker knows to the pod's status, when that says something new. A pod whose deletion was
// asked for and that has no process left is then removed; its finalizers may still hold it.
func (w *worker) report(ctx context.Context) error {
	if w.gone {
		return nil
	}
	pods := w.node.api.CoreV1().Pods(w.pod.Namespace)
	if status := w.status(); w.reported == nil || !equality.Semantic.DeepEqual(*w.reported, status) {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": w.pod.UID}, "status": status})
		if err != nil {
			return fmt.Errorf("encoding the status: %w", err)
		}
		_, err = pods.Patch(ctx, w.pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && !superseded(err) {
			return fmt.Errorf("reporting the status: %w", err)
		}
		w.reported = &status
	}
	if w.pod.DeletionTimestamp == nil || w.running() || w.removed {
		return nil
	}
	now := int64(0)
	err := pods.Delete(ctx, w.pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(w.pod.UID)),
	})
	if err != nil && !superseded(err) {
		return fmt.Errorf("removing the pod: %w", err)
	}
	w.removed = true
	return nil
}

// superseded tells that the pod is no longer there, or another of its name is: the watch will say so too.
func superseded(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

func (w *worker) status() corev1.PodStatus {
	s := corev1.PodStatus{
		ObservedGeneration: w.pod.Generation,
		Phase:              w.phase(),
		Conditions:         w.pod.Status.Conditions,
		StartTime:          &w.startTime,
	}
	if w.reported != nil {
		s.Conditions = w.reported.Conditions
	}
	s.Conditions = append([]corev1.PodCondition(nil), s.Conditions...)
	if w.refusal != "" {
		s.Reason, s.Message = reasonUnsupported, w.refusal
		return s
	}
	s.HostIP, s.HostIPs = hostIP, []corev1.HostIP{{IP: hostIP}}
	s.PodIP, s.PodIPs = hostIP, []corev1.PodIP{{IP: hostIP}}
	for _, c := range w.containers {
		if c.init {
			s.InitContainerStatuses = append(s.InitContainerStatuses, c.status(w.pod.UID))
		} else {
			s.ContainerStatuses = append(s.ContainerStatuses, c.status(w.pod.UID))
		}
	}
	w.setConditions(&s)
	return s
}

func (c *container) status(uid types.UID) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.spec.Name, State: c.state, Image: c.spec.Image}
	started := c.state.Running != nil
	if started || c.state.Terminated != nil {
		s.ImageID, s.ContainerID = c.spec.Image, c.id(uid)
	}
	s.Started = &started
	s.Ready = started
	if c.init {
		s.Ready = c.succeeded()
	}
	return s
}

func (c *container) id(uid types.UID) string { return fmt.Sprintf("local://%s/%s", uid, c.spec.Name) }

func (c *container) succeeded() bool {
	return c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
}
func (c *container) failed() bool {
	return c.state.Terminated != nil && c.state.Terminated.ExitCode != 0
}

func (w *worker) phase() corev1.PodPhase {
	if w.refusal != "" {
		return corev1.PodFailed
	}
	begun, ended, failed := false, true, false
	for _, c := range w.containers {
		if c.init && c.failed() {
			return corev1.PodFailed
		}
		if !c.init {
			begun = begun || c.state.Waiting == nil
			ended = ended && c.state.Terminated != nil
			failed = failed || c.failed()
		}
	}
	switch {
	case ended && failed:
		return corev1.PodFailed
	case ended:
		return corev1.PodSucceeded
	case w.pod.DeletionTimestamp != nil && !w.running():
		return corev1.PodFailed // deleted before it could start
	case begun:
		return corev1.PodRunning
	}
	return corev1.PodPending
}

func (w *worker) setConditions(s *corev1.PodStatus) {
	initialized, ready := true, true
	for _, c := range w.containers {
		initialized = initialized && (!c.init || c.succeeded())
		ready = ready && (c.init || c.state.Running != nil)
	}
	reason := "ContainersNotReady"
	switch s.Phase {
	case corev1.PodSucceeded:
		reason = "PodCompleted"
	case corev1.PodFailed:
		reason = "PodFailed"
	}
	set := func(t corev1.PodConditionType, ok bool, reason string) {
		c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue}
		if !ok {
			c.Status, c.Reason = corev1.ConditionFalse, reason
		}
		setCondition(s, c)
	}
	set(corev1.PodScheduled, true, "")
	set(corev1.PodInitialized, initialized, "ContainersNotInitialized")
	set(corev1.ContainersReady, ready, reason)
	set(corev1.PodReady, ready, reason)
}

// setCondition keeps the time of the last transition when the status stays.
func setCondition(s *corev1.PodStatus, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.NewTime(time.Now().Truncate(time.Second))
	for i, old := range s.Conditions {
		if old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			s.Conditions[i] = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}
