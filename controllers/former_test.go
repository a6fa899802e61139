package controllers

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// formerPod is a runner of the incumbent: it names no run.
func formerPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := runnerPod()
	started := metav1.NewTime(noon.Add(-time.Hour))
	pod.Labels = map[string]string{infrav1.NameLabel: infrav1.NameValue, infrav1.CreatedByLabel: infrav1.CreatedByValue}
	pod.Status.StartTime = &started
	for _, c := range change {
		c(pod)
	}
	return pod
}

func endedAtNoon(p *corev1.Pod) {
	state(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(noon)}})(p)
}

func TestFormerRunner_IsOneWhoseProcessHasEndedForGood(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		pod    *corev1.Pod
		want   bool
	}{
		"ended when it was told to": {"the kubelet says so, and starts it no more", formerPod(deleted, endedAtNoon), true},
		"failed":                    {"a pod that is over starts nothing any more", formerPod(phase(corev1.PodFailed), endedAtNoon), true},
		"ended by itself":           {"its pod starts it again", formerPod(endedAtNoon), false},
		"going":                     {"a deletion is no end", formerPod(deleted), false},
		"gone":                      {"a pod that is missing proves nothing", nil, false},
		"ours":                      {"our runs speak for themselves", runnerPod(deleted, endedAtNoon), false},
		"of a dead node":            {"its phase is not the kubelet's word on the process", formerPod(deleted, phase(corev1.PodFailed)), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := formerRunner(tc.pod)
			g.Expect(got != nil).To(Equal(tc.want), tc.reason)
			if tc.want {
				g.Expect(*got).To(Equal(infrav1.FormerRunner{
					PodUID: "1", Hostname: "net-tf-runner", StartedAt: metav1.NewTime(noon.Add(-time.Hour)), EndedAt: metav1.NewTime(noon),
				}))
			}
		})
	}
}

func TestHostnameOf_IsWhatTheKubeletMakesOfIt(t *testing.T) {
	g := NewWithT(t)
	named := func(name string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Name = name } }
	g.Expect(hostnameOf(formerPod())).To(Equal("net-tf-runner"))
	g.Expect(hostnameOf(formerPod(func(p *corev1.Pod) { p.Spec.Hostname = "net" }))).To(Equal("net"), "with subdomains")
	g.Expect(hostnameOf(formerPod(named(strings.Repeat("a", 60) + "-tf-runner")))).To(Equal(strings.Repeat("a", 60) + "-tf"))
	g.Expect(hostnameOf(formerPod(named(strings.Repeat("a", 62) + "-tf-runner")))).To(Equal(strings.Repeat("a", 62)))
}

func TestFormerGrace_LetsAnApplyEnd(t *testing.T) {
	compat.Shows(t, "condition.Apply=Unknown/Progressing")
	for name, tc := range map[string]struct {
		reason string
		own    *int64
		apply  metav1.ConditionStatus
		want   int64
	}{
		"idle":                     {"the pod says how long it needs", ptr.To(int64(30)), metav1.ConditionTrue, 30},
		"never applied":            {"nothing can be going on", ptr.To(int64(5)), "", 5},
		"perhaps applying":         {"the engine may take as long as the runner would let it", ptr.To(int64(30)), metav1.ConditionUnknown, 90},
		"perhaps applying, longer": {"a user who gives more has a reason", ptr.To(int64(600)), metav1.ConditionUnknown, 600},
	} {
		t.Run(name, func(t *testing.T) {
			tf := &infrav1.Terraform{}
			if tc.apply != "" {
				setCondition(tf, infrav1.ConditionApply, tc.apply, "Progressing", "Apply started", noon)
			}
			options := &client.DeleteOptions{}
			formerGrace(tf, formerPod(func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = tc.own })).ApplyToDelete(options)
			NewWithT(t).Expect(options.GracePeriodSeconds).To(HaveValue(Equal(tc.want)), tc.reason)
		})
	}
}

func TestMayHaveResources_OfAnObjectThatTheIncumbentLeft(t *testing.T) {
	begun := metav1.Condition{Type: infrav1.ConditionApply, Status: metav1.ConditionFalse, Reason: infrav1.ReasonAppliedFail}
	for name, tc := range map[string]struct {
		reason string
		status infrav1.TerraformStatus
		want   bool
	}{
		"new":                {"there is nothing", infrav1.TerraformStatus{}, false},
		"planned":            {"a plan makes nothing", infrav1.TerraformStatus{LastPlannedRevision: "main@sha1:aaaa", LastAttemptedRevision: "main@sha1:aaaa"}, false},
		"applied":            {"what was applied is there", infrav1.TerraformStatus{LastAppliedRevision: "main@sha1:aaaa"}, true},
		"applied, forgotten": {"the id is left", infrav1.TerraformStatus{Plan: infrav1.PlanStatus{LastApplied: "plan-main-aaaa"}}, true},
		"half applied":       {"the first apply has failed, after it had made something", infrav1.TerraformStatus{Conditions: []metav1.Condition{begun}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(mayHaveResources(&tc.status, nil)).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestUnlockOrder_NamesTheRunnerThatTheIncumbentLeft(t *testing.T) {
	g := NewWithT(t)
	former := formerRunner(formerPod(deleted, endedAtNoon))
	tf := &infrav1.Terraform{Status: infrav1.TerraformStatus{FormerRunner: former}}
	order := unlockOrder(tf, nil)
	g.Expect(order.FormerRunner).To(Equal(former))
	g.Expect(order.Evidence).To(ContainSubstring("has ended"))

	tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "yes", LockIdentifier: "lock-1"}
	order = unlockOrder(tf, nil)
	g.Expect(order.ID).To(Equal("lock-1"))
	g.Expect(order.FormerRunner).To(Equal(former), "an order of a person takes nothing away")
	g.Expect(order.Evidence).To(ContainSubstring("forceUnlock: yes"))
}

func TestObserveApproval_TakesNoWordForAPlanOfTheIncumbent(t *testing.T) {
	g := NewWithT(t)
	tf := &infrav1.Terraform{Spec: infrav1.TerraformSpec{ApprovePlan: "plan-main-b8e362c206"}}
	tf.Status.Plan.Pending, tf.Status.LastPlannedRevision = "plan-main-b8e362c206", "main@sha1:b8e362c206aabbcc"
	o := &observation{now: noon}
	g.Expect((&TerraformReconciler{}).observeApproval(t.Context(), tf, o)).To(Succeed())
	g.Expect(tf.Status.Approval).To(BeNil(), "the id names a revision, and not what was planned")
	g.Expect(o.approved).To(BeFalse())
	g.Expect(tf.Status.SeenToken).To(Equal("plan-main-b8e362c206"), "nor does it count for the plan that is made in its place")
}
