package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func runnerPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "infra", Name: "net-tf-runner", UID: "1", CreationTimestamp: metav1.NewTime(noon.Add(-time.Second)),
			Labels: map[string]string{infrav1.RunNameLabel: "net-1", infrav1.RunSequenceLabel: "2"},
		},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: RunnerContainer, Image: "example.com/runner:1"}}},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func state(s corev1.ContainerState) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: RunnerContainer, State: s}}
	}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return state(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func deleted(p *corev1.Pod) { at := metav1.NewTime(noon); p.DeletionTimestamp = &at }

func unbound(p *corev1.Pod) { p.Spec.NodeName = "" }

func ofThePlan(p *corev1.Pod) { p.Labels[infrav1.RunSequenceLabel] = "1" }

func phase(phase corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = phase }
}

func TestPodFacts(t *testing.T) {
	running := state(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	terminated := state(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137}})
	const prefix = "runner pod infra/net-tf-runner does not start: "
	cases := map[string]struct {
		reason  string
		pod     *corev1.Pod
		claimed bool
		want    decide.Pod
	}{
		"none":             {"no pod, no facts", nil, false, decide.Pod{}},
		"just made":        {"a young pod is nothing to complain about", runnerPod(), false, decide.Pod{State: decide.PodPending, OfRun: true}},
		"creating":         {"nor one whose container is being made", runnerPod(waiting("ContainerCreating", "")), false, decide.Pod{State: decide.PodPending, OfRun: true}},
		"running":          {"the kubelet says so", runnerPod(running), false, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"claimed":          {"the runner says so", runnerPod(), true, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"of another run":   {"the label tells", runnerPod(running, func(p *corev1.Pod) { p.Labels[infrav1.RunNameLabel] = "net-0" }), false, decide.Pod{State: decide.PodRunning}},
		"other hostname":   {"a pod takes no run that is not meant for it", runnerPod(running, func(p *corev1.Pod) { p.Spec.Hostname = "net-y" }), false, decide.Pod{State: decide.PodRunning}},
		"adopted":          {"the pod of the plan takes the apply", runnerPod(running, ofThePlan), false, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"adopted, ended":   {"it did not wait for it", runnerPod(terminated, ofThePlan), false, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"cache behind":     {"only who has claimed the run counts, not the label", runnerPod(running, func(p *corev1.Pod) { p.Labels[infrav1.RunNameLabel] = "net-0" }), true, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"adopted, died":    {"it has begun", runnerPod(terminated, ofThePlan), true, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"terminated":       {"the kubelet's word is proof", runnerPod(terminated), true, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"being deleted":    {"a deletion is no proof: the process has its grace", runnerPod(running, deleted), true, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"failed phase":     {"nor is the phase of a pod whose container runs", runnerPod(running, phase(corev1.PodFailed)), true, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"never bound":      {"what no node has ever had can't run", runnerPod(unbound, deleted), false, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"replaced":         {"another pod of that name is not the one that has claimed the run", runnerPod(terminated, func(p *corev1.Pod) { p.UID = "2" }), true, decide.Pod{State: decide.PodEnded}},
		"init failed":      {"a pod is over when its init container has failed", runnerPod(waiting("PodInitializing", ""), phase(corev1.PodFailed)), false, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"evicted, claimed": {"but not when a runner has claimed the run: then only its container counts", runnerPod(phase(corev1.PodFailed)), true, decide.Pod{State: decide.PodRunning, OfRun: true}},
		"refused by node":  {"a pod that the kubelet refuses has no containers", runnerPod(phase(corev1.PodFailed)), false, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"a person's word": {"somebody has looked", runnerPod(running, func(p *corev1.Pod) {
			p.Annotations = map[string]string{infrav1.ProcessEndedAnnotation: "node burnt down"}
		}), true, decide.Pod{State: decide.PodEnded, OfRun: true}},
		"no image": {"field, value and cause are named", runnerPod(waiting("ErrImagePull", "not found")), false, decide.Pod{
			State: decide.PodPending, OfRun: true,
			Stuck: prefix + `container tf-runner: image "example.com/runner:1" can't be pulled: not found; look at spec.runnerPodTemplate.spec.image`,
		}},
		"still no image": {"the second reason for it reads like the first", runnerPod(waiting("ImagePullBackOff", `Back-off pulling image "example.com/runner:1": ErrImagePull: not found`)), false, decide.Pod{
			State: decide.PodPending, OfRun: true,
			Stuck: prefix + `container tf-runner: image "example.com/runner:1" can't be pulled: not found; look at spec.runnerPodTemplate.spec.image`,
		}},
		"no secret for env": {"so is a missing Secret", runnerPod(waiting("CreateContainerConfigError", `secret "x" not found`)), false, decide.Pod{
			State: decide.PodPending, OfRun: true,
			Stuck: prefix + `container tf-runner: CreateContainerConfigError: secret "x" not found; look at spec.runnerPodTemplate.spec`,
		}},
		"unschedulable": {"so is the scheduler's trouble", runnerPod(unbound, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes"}}
		}), false, decide.Pod{
			State: decide.PodPending, OfRun: true, Stuck: prefix + "it can't be scheduled: 0/1 nodes; look at spec.runnerPodTemplate.spec",
		}},
		"slow": {"a pod that says nothing for long is stuck", runnerPod(func(p *corev1.Pod) {
			p.CreationTimestamp = metav1.NewTime(noon.Add(-time.Minute))
		}), false, decide.Pod{
			State: decide.PodPending, OfRun: true,
			Stuck: prefix + "it has been pending for more than 30s; its events say why (kubectl describe pod -n infra net-tf-runner)",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run := &infrav1.TerraformRun{ObjectMeta: metav1.ObjectMeta{Name: "net-1", Labels: map[string]string{infrav1.RunSequenceLabel: "2"}}}
			if tc.claimed {
				run.Status.Runner = &infrav1.RunnerIdentity{PodUID: "1"}
			}
			NewWithT(t).Expect(podFacts(tc.pod, run, noon)).To(Equal(tc.want), tc.reason)
		})
	}
}
