package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// slowStart is how long a pod may be pending without a known reason before that is said.
const slowStart = 30 * time.Second

// maxLastWord bounds what is taken over of a runner's last word, in bytes.
const maxLastWord = 1 << 10

// The kubelet's reasons for an image that it can't pull.
const (
	errImagePull     = "ErrImagePull"
	imagePullBackOff = "ImagePullBackOff"
)

// podFacts is what the API tells of a runner's process.
func podFacts(pod *corev1.Pod, run *infrav1.TerraformRun, now time.Time) decide.Pod {
	if pod == nil {
		return decide.Pod{}
	}
	claimed := run != nil && run.Status.Runner != nil
	facts := decide.Pod{OfRun: run != nil && podOf(pod, run)}
	if claimed {
		// Another pod of that name, or one whose label this cache is behind with: only who has claimed the run counts.
		facts.OfRun = hasClaimed(pod, run)
	}
	switch {
	case processEnded(pod), !claimed && phaseOver(pod):
		facts.State = decide.PodEnded
	case claimed || runnerStatus(pod).State.Running != nil:
		facts.State = decide.PodRunning
	default:
		facts.State = decide.PodPending
		facts.Stuck = whyPending(pod, now)
	}
	return facts
}

// processEnded is the proof that the runner's process has ended or will never begin: the kubelet reports its container
// terminated, the pod was never bound to a node and is going, the kubelet has refused it, or a person says so. That a
// pod is missing or marked for deletion proves nothing.
func processEnded(pod *corev1.Pod) bool {
	if pod.Annotations[infrav1.ProcessEndedAnnotation] != "" {
		return true
	}
	if runnerStatus(pod).State.Terminated != nil {
		return true
	}
	return pod.Spec.NodeName == "" && (pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed)
}

// phaseOver: the pod is over as a whole. Where nobody has claimed the run that is enough: an init container has failed, the
// kubelet has refused the pod, or it went while its image was pulled; and a run that is ended now can't be claimed any more.
func phaseOver(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

func runnerStatus(pod *corev1.Pod) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == RunnerContainer {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

// whyPending says why a pod does not start, with what to look at; "" as long as it may be just about to.
func whyPending(pod *corev1.Pod, now time.Time) string {
	prefix := fmt.Sprintf("runner pod %s/%s does not start: ", pod.Namespace, pod.Name)
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return prefix + "it can't be scheduled: " + c.Message + "; look at spec.runnerPodTemplate.spec"
		}
	}
	for _, s := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w != nil && !harmless(w.Reason) {
			return prefix + waitingText(pod, s.Name, w)
		}
	}
	if age := now.Sub(pod.CreationTimestamp.Time); age > slowStart {
		return fmt.Sprintf("%sit has been pending for more than %s; its events say why (kubectl describe pod -n %s %s)", prefix, slowStart, pod.Namespace, pod.Name)
	}
	return ""
}

func harmless(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// waitingText names container, cause and field. An image that can't be pulled is told in one way, though the kubelet
// goes to and fro between two reasons for it: else the condition would.
func waitingText(pod *corev1.Pod, container string, w *corev1.ContainerStateWaiting) string {
	if w.Reason != errImagePull && w.Reason != imagePullBackOff {
		return fmt.Sprintf("container %s: %s: %s; look at spec.runnerPodTemplate.spec", container, w.Reason, w.Message)
	}
	image := ""
	for _, c := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		if c.Name == container {
			image = c.Image
		}
	}
	cause := w.Message
	if _, after, found := strings.Cut(cause, errImagePull+": "); found {
		cause = after
	}
	return fmt.Sprintf("container %s: image %q can't be pulled: %s; look at spec.runnerPodTemplate.spec.image", container, image, cause)
}

// howEnded describes the end of a runner's process that has not reported.
func howEnded(pod *corev1.Pod) string {
	if pod.Annotations[infrav1.ProcessEndedAnnotation] != "" {
		return "a person says that its process has ended"
	}
	if t := runnerStatus(pod).State.Terminated; t != nil {
		text := fmt.Sprintf("its container ended with exit code %d", t.ExitCode)
		if t.Signal != 0 {
			text += fmt.Sprintf(" by signal %d", t.Signal)
		}
		if t.Reason != "" {
			text += " (" + t.Reason + ")"
		}
		if said := strings.TrimSpace(t.Message); said != "" {
			text += ": " + plan.Truncate(said, maxLastWord)
		}
		return text
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			return fmt.Sprintf("init container %s ended with exit code %d: %s", s.Name, t.ExitCode, t.Message)
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("the pod never ran: %s %s", pod.Status.Reason, pod.Status.Message), " ")
}
