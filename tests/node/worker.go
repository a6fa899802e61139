package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// retryEvery is the pause before what failed for want of something else (a Secret, the API server) is tried again.
const retryEvery = time.Second

// worker takes one pod from its binding to its removal. One goroutine drives it, level by level: each step does
// what can be done now, reports, and says when to look again if nothing happens before.
type worker struct {
	node       *Node
	pod        *corev1.Pod // as seen last
	gone       bool        // from the API
	removed    bool        // by us
	refusal    string      // why the pod can't be run here at all
	dir        string
	volumes    time.Time // until when they are good; zero before they are made
	retryAt    time.Time // to make them
	mountError string    // why they could not be made
	containers []*container
	startTime  metav1.Time
	deadline   time.Time // of the grace period
	reported   *corev1.PodStatus
	wake       chan struct{}
	exits      chan exit
}

type container struct {
	spec    *corev1.Container
	init    bool
	state   corev1.ContainerState
	process *process // while it runs
	asked   bool     // to end, by SIGTERM
	retryAt time.Time
	pulls   int // failed ones
}

// waiting is the error of a container, or of all, that can't start yet.
type waiting struct {
	reason, message string
	asleep          bool // until the pod changes: time alone won't help
}

func (w *waiting) Error() string { return w.reason + ": " + w.message }

func newWorker(n *Node, pod *corev1.Pod) *worker {
	w := &worker{
		node:      n,
		pod:       pod,
		refusal:   unsupported(pod),
		dir:       filepath.Join(n.opts.Dir, "pods", fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID)),
		startTime: metav1.Now().Rfc3339Copy(),
		wake:      make(chan struct{}, 1),
		exits:     make(chan exit, len(pod.Spec.InitContainers)+len(pod.Spec.Containers)),
	}
	for i := range pod.Spec.InitContainers {
		w.add(&pod.Spec.InitContainers[i], pod.Status.InitContainerStatuses, true)
	}
	for i := range pod.Spec.Containers {
		w.add(&pod.Spec.Containers[i], pod.Status.ContainerStatuses, false)
	}
	if pod.Status.StartTime != nil {
		w.startTime = *pod.Status.StartTime
	}
	return w
}

func (w *worker) add(spec *corev1.Container, statuses []corev1.ContainerStatus, init bool) {
	reason := "ContainerCreating"
	if len(w.pod.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	c := &container{spec: spec, init: init}
	c.wait(reason, "")
	for _, s := range statuses {
		switch {
		case s.Name != spec.Name:
		case s.State.Terminated != nil:
			c.state = s.State
		case s.State.Running != nil: // on a node of this name that has ended since, and its processes with it
			c.state = s.State
			c.lost()
		}
	}
	w.containers = append(w.containers, c)
}

func (c *container) wait(reason, message string) {
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// kick makes the worker look at its pod. Never blocks.
func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	defer w.cleanUp()
	for {
		var timer <-chan time.Time
		if again := w.step(ctx); again > 0 {
			timer = time.After(again)
		}
		if w.gone && !w.running() {
			return
		}
		select {
		case <-w.wake:
		case <-timer:
		case e := <-w.exits:
			w.exited(e)
		case <-ctx.Done():
			w.kill()
			return
		}
	}
}

func (w *worker) step(ctx context.Context) (again time.Duration) {
	w.observe()
	switch {
	case w.refusal != "":
	case w.pod.DeletionTimestamp != nil:
		again = w.terminate()
	case !w.gone:
		again = w.advance(ctx)
	}
	if err := w.report(ctx); err != nil {
		if !errors.Is(err, errCut) && ctx.Err() == nil {
			w.node.opts.Log.Error(err, "reporting", "pod", w.pod.Name, "namespace", w.pod.Namespace)
		}
		again = sooner(again, retryEvery)
	}
	return again
}

// sooner is the lesser of two pauses, of which zero means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

func (w *worker) observe() {
	if w.node.cut.Load() {
		return
	}
	pod, err := w.node.pods.Pods(w.pod.Namespace).Get(w.pod.Name)
	if err != nil || pod.UID != w.pod.UID {
		w.gone = true // a lister fails in no other way
		return
	}
	w.pod = pod
	for i := range pod.Spec.InitContainers { // images may change
		w.containers[i].spec = &pod.Spec.InitContainers[i]
	}
	for i := range pod.Spec.Containers {
		w.containers[len(pod.Spec.InitContainers)+i].spec = &pod.Spec.Containers[i]
	}
}

// advance starts what can be started: first the volumes, then one init container after the other, then the rest.
func (w *worker) advance(ctx context.Context) (again time.Duration) {
	if w.phase() == corev1.PodSucceeded || w.phase() == corev1.PodFailed {
		return 0
	}
	if left := time.Until(w.retryAt); left > 0 {
		return left
	}
	if again = time.Until(w.volumes); again <= 0 {
		until, err := w.makeVolumes(ctx)
		if err != nil {
			w.mountFailed(err)
			w.retryAt = time.Now().Add(retryEvery)
			return retryEvery
		}
		w.volumes = until
		again = time.Until(until)
	}
	for _, c := range w.containers {
		if c.state.Waiting != nil {
			again = sooner(again, w.start(ctx, c))
		}
		if c.init && !c.succeeded() {
			break
		}
	}
	return again
}

func (w *worker) mountFailed(err error) {
	if w.mountError == err.Error() {
		return
	}
	w.mountError = err.Error()
	w.node.events.Event(w.pod, corev1.EventTypeWarning, "FailedMount", err.Error())
	w.node.opts.Log.Info("volumes not ready", "pod", w.pod.Name, "namespace", w.pod.Namespace, "reason", err.Error())
}

func (w *worker) start(ctx context.Context, c *container) (again time.Duration) {
	if left := time.Until(c.retryAt); left > 0 {
		return left
	}
	p, err := w.launch(ctx, c)
	var wait *waiting
	switch {
	case err == nil:
		c.process = p
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(p.started)}}
		w.node.events.Eventf(w.pod, corev1.EventTypeNormal, "Started", "Started container %s", c.spec.Name)
		return 0
	case errors.As(err, &wait):
		if c.state.Waiting.Message != wait.message {
			w.node.events.Event(w.pod, corev1.EventTypeWarning, "Failed", err.Error())
		}
		c.wait(wait.reason, wait.message)
		c.retryAt = time.Now().Add(retryEvery)
		if wait.asleep {
			return 0
		}
		return retryEvery
	}
	w.node.events.Event(w.pod, corev1.EventTypeWarning, "Failed", err.Error())
	c.terminated(corev1.ContainerStateTerminated{Reason: "StartError", ExitCode: 128, Message: err.Error()})
	return 0
}

// terminated records an end; a container that never ran began and ended at once.
func (c *container) terminated(end corev1.ContainerStateTerminated) {
	if end.FinishedAt.IsZero() {
		end.FinishedAt = metav1.Now()
	}
	end.StartedAt = end.FinishedAt
	if c.state.Running != nil {
		end.StartedAt = c.state.Running.StartedAt
	}
	c.state = corev1.ContainerState{Terminated: &end}
	c.process = nil
}

func (w *worker) exited(e exit) {
	end := corev1.ContainerStateTerminated{
		Reason: "Completed", FinishedAt: metav1.NewTime(e.at), Message: w.message(e), ContainerID: e.container.id(w.pod.UID),
	}
	if e.status.Signaled() {
		end.Signal = int32(e.status.Signal())
		end.ExitCode = 128 + end.Signal
	} else {
		end.ExitCode = int32(e.status.ExitStatus())
	}
	if end.ExitCode != 0 {
		end.Reason = "Error"
	}
	e.container.terminated(end)
}

func (w *worker) running() bool {
	for _, c := range w.containers {
		if c.process != nil {
			return true
		}
	}
	return false
}

// terminate ends a pod whose deletion was asked for: SIGTERM, and SIGKILL when the grace period is over.
// A second deletion may shorten the period. A pod removed by force was never seen with a deletion: it runs on.
func (w *worker) terminate() (again time.Duration) {
	grace := time.Second // a kubelet gives at least that
	if s := w.pod.DeletionGracePeriodSeconds; s != nil {
		grace = max(grace, time.Duration(*s)*time.Second)
	}
	if until := time.Now().Add(grace); w.deadline.IsZero() || until.Before(w.deadline) {
		w.deadline = until
	}
	left := time.Until(w.deadline)
	for _, c := range w.containers {
		switch {
		case c.process == nil:
		case left <= 0:
			w.signal(c, syscall.SIGKILL)
		case !c.asked:
			c.asked = true
			w.node.events.Eventf(w.pod, corev1.EventTypeNormal, "Killing", "Stopping container %s", c.spec.Name)
			w.signal(c, syscall.SIGTERM)
		}
	}
	if !w.running() {
		w.lose()
		return 0
	}
	return max(left, 0)
}

func (w *worker) signal(c *container, s syscall.Signal) {
	if err := c.process.signal(s); err != nil {
		w.node.opts.Log.Error(err, "signalling", "pod", w.pod.Name, "container", c.spec.Name, "signal", s)
	}
}

// lose marks the containers that did not come to start as a kubelet does: as ended in an unknown way, but what
// comes after an unfinished init container surely never ran and stays waiting.
func (w *worker) lose() {
	for _, c := range w.containers {
		if c.init && !c.succeeded() {
			return
		}
		if c.state.Waiting != nil {
			c.lost()
		}
	}
}

func (c *container) lost() {
	c.terminated(corev1.ContainerStateTerminated{
		Reason: "ContainerStatusUnknown", ExitCode: 137, Message: "the container could not be located when the pod was terminated",
	})
}

// kill ends everything at once and waits for it.
func (w *worker) kill() {
	for _, c := range w.containers {
		if c.process != nil {
			w.signal(c, syscall.SIGKILL)
		}
	}
	for w.running() {
		w.exited(<-w.exits)
	}
}

// cleanUp removes everything but the logs.
func (w *worker) cleanUp() {
	for _, name := range []string{volumesDir, rootsDir} {
		if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
			w.node.opts.Log.Error(err, "cleaning up", "pod", w.pod.Name)
		}
	}
}
