package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
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
