package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestAnnounceAbandoned_SaysWhyAndWhatIsLeft(t *testing.T) {
	cases := map[string]struct {
		reason string
		why    string
		state  *infrav1.StateStatus
		action decide.Action
		want   string
	}{
		"let go":          {"who reads the events later learns who was to look after the rest", "account closed", &infrav1.StateStatus{Resources: 3}, decide.RemoveFinalizer, "Warning Abandoned Abandoned by annotation: account closed. The 3 resource(s)"},
		"no state known":  {"resources may be left all the same", "x", nil, decide.RemoveFinalizer, "Its resources are left as they are"},
		"the usual end":   {"an object that goes as it should is nobody's trouble", "", nil, decide.RemoveFinalizer, ""},
		"not deleted yet": {"the word counts when the object goes", "x", nil, decide.AddFinalizer, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			recorder := record.NewFakeRecorder(9)
			tf := object()
			tf.Annotations[infrav1.AbandonAnnotation] = tc.why
			tf.Status.State = tc.state
			o := &observation{facts: decide.Facts{Deleting: true, Abandoned: tc.why != ""}}
			(&TerraformReconciler{Recorder: recorder}).announceAbandoned(t.Context(), tf, o, decide.Decision{Action: tc.action})
			if tc.want == "" {
				g.Expect(recorder.Events).To(BeEmpty(), tc.reason)
				return
			}
			g.Expect(recorder.Events).To(Receive(ContainSubstring(tc.want)), tc.reason)
		})
	}
}

func TestAnnounce_WhatComesAfterAnApply(t *testing.T) {
	compat.Shows(t, "event.TerraformAppliedSucceed", "event.HealthChecksFailed")
	g := NewWithT(t)
	recorder := record.NewFakeRecorder(9)
	tf := object()
	e := announcer{&TerraformReconciler{Recorder: recorder}, tf, map[string]string{}}
	run := &infrav1.TerraformRun{
		Spec: infrav1.TerraformRunSpec{Operation: infrav1.OperationApply, Source: infrav1.RunSource{Revision: "main@sha1:aaaa"}},
		Status: infrav1.TerraformRunStatus{
			Phase: infrav1.RunFailed, ApplyFinishedAt: &metav1.Time{}, OutputsWithheld: []string{"token"},
			Failure: &infrav1.RunFailure{Reason: infrav1.ReasonHealthChecksFailed, Message: "1 of 1 health checks failed"},
		},
	}
	e.run(run)
	g.Expect(recorder.Events).To(Receive(HavePrefix("Normal OutputsWithheld Not written to the ConfigMap")))
	g.Expect(recorder.Events).To(Receive(HavePrefix("Normal TerraformAppliedSucceed Applied successfully: main@sha1:aaaa")), "the apply has succeeded")
	g.Expect(recorder.Events).To(Receive(HavePrefix("Warning HealthChecksFailed 1 of 1 health checks failed")))

	run.Spec.Operation, run.Spec.Reason, run.Status.ApplyFinishedAt = infrav1.OperationPlan, decide.ReasonInterval, nil
	e.run(run)
	g.Expect(recorder.Events).To(Receive(HavePrefix("Warning HealthChecksFailed")))
	g.Expect(recorder.Events).To(BeEmpty(), "what is withheld is not said at each look")
}

// TestAnnounce_TheEndOfARun: an alert goes by type and reason, and the revision is with each of them.
func TestAnnounce_TheEndOfARun(t *testing.T) {
	compat.Shows(t, "event.DriftDetectionFailed", "event.TerraformPlanSucceed", "event.DriftDetected",
		"event.OutputsWritingFailed",
	)
	run := func(op infrav1.Operation, phase infrav1.RunPhase, change func(*infrav1.TerraformRun)) *infrav1.TerraformRun {
		run := &infrav1.TerraformRun{
			Spec:   infrav1.TerraformRunSpec{Operation: op, Target: "here", Source: infrav1.RunSource{Revision: "main@sha1:aaaa"}},
			Status: infrav1.TerraformRunStatus{Phase: phase},
		}
		change(run)
		return run
	}
	fails := func(reason string) func(*infrav1.TerraformRun) {
		return func(run *infrav1.TerraformRun) {
			run.Status.Failure = &infrav1.RunFailure{Reason: reason, Message: "because"}
		}
	}
	const plan, apply = infrav1.OperationPlan, infrav1.OperationApply
	for name, tc := range map[string]struct {
		reason string
		run    *infrav1.TerraformRun
		status infrav1.PlanStatus
		want   []string
	}{
		"a plan that is covered": {
			"it is another one than was approved", run(plan, infrav1.RunSucceeded, func(*infrav1.TerraformRun) {}),
			infrav1.PlanStatus{Pending: "plan-2", Summary: "+1 ~0 -0"},
			[]string{"Normal TerraformPlanSucceed Planned (+1 ~0 -0): plan plan-2 holds only changes that were approved with plan-0"},
		},
		"a plan that was approved before": {
			"it is the same", run(plan, infrav1.RunSucceeded, func(*infrav1.TerraformRun) {}),
			infrav1.PlanStatus{Pending: "plan-0", Summary: "+1 ~0 -0"},
			[]string{"Normal TerraformPlanSucceed Planned (+1 ~0 -0): plan plan-0 holds only changes that were approved before"},
		},
		"a plan waits": {
			"the id is what a person needs", run(plan, infrav1.RunSucceeded, func(*infrav1.TerraformRun) {}),
			infrav1.PlanStatus{Pending: "plan-1", Summary: "+1 ~0 -0"},
			[]string{"Normal TerraformPlanSucceed Planned (+1 ~0 -0).\nPlan generated: set approvePlan: \"plan-1\" to approve this plan."},
		},
		"drift": {
			"in a word, and not the whole plan", run(plan, infrav1.RunSucceeded, func(*infrav1.TerraformRun) {}),
			infrav1.PlanStatus{Pending: "plan-1", Summary: "+1 ~0 -0", IsDriftDetectionPlan: true},
			[]string{"Warning DriftDetected Drift detected (+1 ~0 -0). set approvePlan: \"plan-1\" to approve this plan."},
		},
		"a look for drift fails": {
			"nothing was to be applied", run(plan, infrav1.RunFailed, fails(infrav1.ReasonTFExecPlanFailed)),
			infrav1.PlanStatus{AppliedTarget: "here"}, []string{"Warning DriftDetectionFailed because"},
		},
		"an apply fails": {
			"an alert is a warning", run(apply, infrav1.RunFailed, fails(infrav1.ReasonTFExecApplyFailed)),
			infrav1.PlanStatus{}, []string{"Warning TFExecApplyFailed because"},
		},
		"outputs were written": {
			"that is no failure", run(apply, infrav1.RunSucceeded, func(run *infrav1.TerraformRun) {
				run.Status.Outputs, run.Status.OutputsWritten = []string{"a", "b"}, []string{"a", "b", "b__type"}
			}),
			infrav1.PlanStatus{},
			[]string{"Normal TerraformAppliedSucceed Applied successfully: main@sha1:aaaa", "Normal TerraformOutputsWritten Outputs written.\n2 output(s)"},
		},
		"overtaken": {
			"what comes instead has events of its own", run(plan, infrav1.RunCancelled, fails(infrav1.ReasonCancelled)), infrav1.PlanStatus{}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			recorder := record.NewFakeRecorder(9)
			tf := object()
			tf.Status.Plan, tf.Status.Approval = tc.status, &infrav1.Approval{PlanID: "plan-0", CoveredPlan: "plan-2"}
			announcer{&TerraformReconciler{Recorder: recorder}, tf, map[string]string{}}.run(tc.run)
			g.Expect(recorder.Events).To(HaveLen(len(tc.want)), tc.reason)
			for _, want := range tc.want {
				g.Expect(recorder.Events).To(Receive(HavePrefix(want)), tc.reason)
			}
		})
	}
}
