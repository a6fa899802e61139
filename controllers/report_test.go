package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions/check"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func object(conditions ...metav1.Condition) *infrav1.Terraform {
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "net", Generation: 2, Annotations: map[string]string{meta.ReconcileRequestAnnotation: "noon"}}}
	tf.APIVersion, tf.Kind = infrav1.GroupVersion.String(), infrav1.TerraformKind
	tf.Status.ObservedGeneration = 1
	for _, c := range conditions {
		c.ObservedGeneration = 1
		apimeta.SetStatusCondition(&tf.Status.Conditions, c)
	}
	return tf
}

var (
	wasReady    = metav1.Condition{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: "TerraformAppliedSucceed", Message: "Applied successfully: a"}
	wasApplied  = metav1.Condition{Type: infrav1.ConditionApply, Status: metav1.ConditionTrue, Reason: "TerraformAppliedSucceed", Message: "Applied successfully"}
	wasStalled  = metav1.Condition{Type: meta.StalledCondition, Status: metav1.ConditionTrue, Reason: "NotImplemented", Message: "no"}
	wasNotReady = metav1.Condition{Type: meta.ReadyCondition, Status: metav1.ConditionFalse, Reason: "NotImplemented", Message: "no"}
)

// TestApplyDecision_IsLegal: every status that is left behind is one that kstatus and Flux understand. A plan that waits
// on a new target is the design's one exception to Flux's checker: Ready is Unknown there without Reconciling.
func TestApplyDecision_IsLegal(t *testing.T) {
	compat.Shows(t, "status.observedGeneration", "status.conditions", "condition.Reconciling/Progressing", "weak.20")
	polarity := &check.Conditions{NegativePolarity: []string{meta.StalledCondition, meta.ReconcilingCondition}}
	ready := func(s decide.Status, reason string) decide.Ready {
		return decide.Ready{Status: s, Reason: reason, Message: reason}
	}
	cases := map[string]struct {
		tf      *infrav1.Terraform
		d       decide.Decision
		checker *check.Checker
	}{
		"in sync":           {object(wasReady, wasApplied), decide.Decision{Posture: decide.Resting}, check.NewChecker(nil, polarity)},
		"becomes ready":     {object(wasNotReady, wasApplied), decide.Decision{Posture: decide.Resting, Ready: ready(decide.True, "NoDrift")}, check.NewChecker(nil, polarity)},
		"drift":             {object(wasReady, wasApplied), decide.Decision{Posture: decide.Resting, Ready: ready(decide.False, "DriftDetected")}, check.NewChecker(nil, polarity)},
		"stuck":             {object(wasReady), decide.Decision{Posture: decide.Stuck, Ready: ready(decide.False, "NotImplemented")}, check.NewChecker(nil, polarity)},
		"stuck no more":     {object(wasNotReady, wasStalled), decide.Decision{Posture: decide.Retrying, Ready: ready(decide.False, "ArtifactFailed")}, check.NewChecker(nil, polarity)},
		"retrying":          {object(wasReady), decide.Decision{Posture: decide.Retrying, Ready: ready(decide.False, "TFExecPlanFailed")}, check.NewChecker(nil, polarity)},
		"asking webhooks":   {object(), decide.Decision{Posture: decide.Working, Action: decide.AskWebhooks, Ready: ready(decide.Unknown, "Progressing")}, check.NewInProgressChecker(nil)},
		"webhooks disagree": {object(wasReady), decide.Decision{Posture: decide.Retrying, Ready: ready(decide.False, "PostPlanningWebhookFailed")}, check.NewChecker(nil, polarity)},
		"planning at first": {object(), decide.Decision{Posture: decide.Working, Action: decide.Reserve, Ready: ready(decide.Unknown, "Progressing")}, check.NewInProgressChecker(nil)},
		"planning, silent":  {object(), decide.Decision{Posture: decide.Working, Action: decide.Reserve}, check.NewInProgressChecker(nil)},
		"planning again":    {object(wasReady), decide.Decision{Posture: decide.Working, Action: decide.Reserve, Ready: ready(decide.Unknown, "Progressing")}, check.NewInProgressChecker(nil)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			applyDecision(tc.tf, &observation{now: noon}, tc.d)
			tc.checker.DisableFetch = true
			tc.checker.WithT(g).CheckErr(context.Background(), tc.tf)
			g.Expect(tc.tf.Status.ObservedGeneration).To(Equal(int64(2)))
		})
	}
}

func TestApplyDecision_KeepsTheTransitionTimeOfWhatDoesNotChange(t *testing.T) {
	compat.Shows(t, "weak.21")
	g := NewWithT(t)
	tf := object(wasReady)
	tf.Status.Conditions[0].LastTransitionTime = metav1.NewTime(noon.Add(-time.Hour))
	applyDecision(tf, &observation{now: noon}, decide.Decision{Posture: decide.Resting, Ready: decide.Ready{Status: decide.True, Reason: "NoDrift", Message: "No drift: a"}})
	g.Expect(tf.Status.Conditions[0].Reason).To(Equal("NoDrift"))
	g.Expect(tf.Status.Conditions[0].LastTransitionTime.Time).To(Equal(noon.Add(-time.Hour)))
}

func TestConditions_HaveABoundedMessage(t *testing.T) {
	compat.Shows(t, "condition.messages", "limit.scripts")
	g := NewWithT(t)
	tf := object()
	applyDecision(tf, &observation{now: noon}, decide.Decision{Posture: decide.Retrying, Ready: decide.Ready{
		Status: decide.False, Reason: "TFExecPlanFailed", Message: strings.Repeat("ä😀", 20000),
	}})
	message := readyOf(tf).Message
	g.Expect(message).To(HaveSuffix("..."))
	g.Expect(utf8.RuneCountInString(message)).To(Equal(20003), "the API server takes 32768")
	g.Expect(utf8.ValidString(message)).To(BeTrue(), "it is cut between characters")
}

func TestApplyDecision_ReservesAndDrops(t *testing.T) {
	g := NewWithT(t)
	tf := object(wasReady)
	applyDecision(tf, &observation{now: noon}, decide.Decision{Action: decide.Reserve, Posture: decide.Working})
	g.Expect(tf.Status.ActiveRun).To(Equal(&infrav1.ActiveRun{Name: RunName(tf, 1), Sequence: 1}))
	applyDecision(tf, &observation{now: noon}, decide.Decision{Action: decide.Drop})
	g.Expect(tf.Status.ActiveRun).To(BeNil())
	g.Expect(tf.Status.RunSequence).To(Equal(int64(1)), "a sequence is never used twice")
}

func TestApplyDecision_AnswersARequestThatCanLeadToNoPlan(t *testing.T) {
	compat.Shows(t, "status.lastHandledReconcileAt")
	g := NewWithT(t)
	tf := object()
	o := &observation{now: noon, facts: decide.Facts{Requested: true}}
	applyDecision(tf, o, decide.Decision{Posture: decide.Resting})
	g.Expect(tf.Status.LastHandledReconcileAt).To(BeEmpty(), "a suspended object answers when it is resumed")
	applyDecision(tf, o, decide.Decision{Posture: decide.Stuck, Ready: decide.Ready{Status: decide.False, Reason: "NotImplemented"}})
	g.Expect(tf.Status.LastHandledReconcileAt).To(Equal("noon"))
}

func TestSurplus(t *testing.T) {
	type change func(*infrav1.TerraformRun)
	phase := func(p infrav1.RunPhase) change { return func(r *infrav1.TerraformRun) { r.Status.Phase = p } }
	changes := func(r *infrav1.TerraformRun) { r.Status.Plan = &infrav1.RunPlan{HasChanges: true} }
	apply := func(r *infrav1.TerraformRun) { r.Spec.Operation = infrav1.OperationApply }
	begun := func(r *infrav1.TerraformRun) { r.Status.ApplyStartedAt = &metav1.Time{Time: noon} }
	session := func(r *infrav1.TerraformRun) { r.Spec.Session = &infrav1.Session{} }
	failed, cancelled, running := phase(infrav1.RunFailed), phase(infrav1.RunCancelled), phase(infrav1.RunRunning)
	// Each case has its runs in the order of their sequence, which begins at 8: numbers are no texts.
	for name, tc := range map[string]struct {
		reason             string
		runs               [][]change
		planRun            string
		changed, unchanged int
		want               []string
	}{
		"each kind by its own limit": {
			reason: "the oldest go", changed: 1, unchanged: 1,
			runs: [][]change{{changes}, {failed}, {}, {}, {failed}, {changes}}, want: []string{"10", "9", "8"},
		},
		"failures": {
			reason: "what has never begun pushes out nothing that somebody has approved", changed: 2, unchanged: 1,
			runs: [][]change{{changes}, {apply, begun}, {apply, failed}, {failed}, {cancelled}, {cancelled, changes}}, want: []string{"11", "10"},
		},
		"an apply that failed": {
			reason: "it may have changed something", changed: 2, unchanged: 1,
			runs: [][]change{{apply, begun, failed}, {apply, begun, cancelled}, {failed}, {failed}, {failed}}, want: []string{"10"},
		},
		"a session": {
			reason: "somebody may have changed something in it", changed: 1, unchanged: 1,
			runs: [][]change{{session, failed}, {failed}}, want: nil,
		},
		"the present plan": {
			reason: "a person reads it", planRun: "8", changed: 1, unchanged: 1,
			runs: [][]change{{changes}, {apply, begun}, {apply, begun}}, want: []string{"9"},
		},
		"the newest": {
			reason: "the next decision depends on it", changed: 0, unchanged: 0,
			runs: [][]change{{changes}, {failed}, {}}, want: []string{"9", "8"},
		},
		"at work": {
			reason: "it is no history", changed: 0, unchanged: 0, runs: [][]change{{running}, {}}, want: nil,
		},
		"few": {
			reason: "nobody asks for less", changed: 10, unchanged: 10, runs: [][]change{{changes}, {failed}, {}}, want: nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var runs []infrav1.TerraformRun
			for i, changes := range tc.runs {
				run := infrav1.TerraformRun{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(8 + i)}}
				run.Labels = map[string]string{infrav1.RunSequenceLabel: run.Name}
				run.Spec.Operation, run.Status.Phase = infrav1.OperationPlan, infrav1.RunSucceeded
				for _, change := range changes {
					change(&run)
				}
				runs = append(runs, run)
			}
			slices.Reverse(runs) // the API lists by name
			var gone []string
			for _, run := range surplus(runs, tc.planRun, tc.changed, tc.unchanged) {
				gone = append(gone, run.Name)
			}
			NewWithT(t).Expect(gone).To(Equal(tc.want), tc.reason)
		})
	}
}
