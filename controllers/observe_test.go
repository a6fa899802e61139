package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestPlanIn_FollowsIntervalAndMode(t *testing.T) {
	compat.Shows(t, "spec.disableDriftDetection", "use.drift-detection-disabled", "use.intervals")
	planned := metav1.NewTime(noon.Add(-4 * time.Minute))
	for name, tc := range map[string]struct {
		reason string
		change func(*infrav1.Terraform)
		want   time.Duration
	}{
		"interval":          {"it counts from the last plan", func(*infrav1.Terraform) {}, 6 * time.Minute},
		"never planned":     {"the first plan is due", func(tf *infrav1.Terraform) { tf.Status.LastPlanAt = nil }, 0},
		"no drift wanted":   {"nobody wants to know", func(tf *infrav1.Terraform) { tf.Spec.DisableDriftDetection = true }, never},
		"forced":            {"force looks nevertheless", func(tf *infrav1.Terraform) { tf.Spec.DisableDriftDetection, tf.Spec.Force = true, true }, 6 * time.Minute},
		"destroyed":         {"nothing is left to drift", func(tf *infrav1.Terraform) { tf.Spec.Destroy = true }, never},
		"without interval":  {"what is no time is no interval", func(tf *infrav1.Terraform) { tf.Spec.Interval.Duration = 0 }, never},
		"negative interval": {"nor is one in the past", func(tf *infrav1.Terraform) { tf.Spec.Interval.Duration = -time.Hour }, never},
	} {
		t.Run(name, func(t *testing.T) {
			tf := &infrav1.Terraform{Spec: infrav1.TerraformSpec{Interval: metav1.Duration{Duration: 10 * time.Minute}}}
			tf.Status.LastPlanAt = &planned
			tc.change(tf)
			NewWithT(t).Expect(planIn(tf, noon)).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestFailureOf_HasTheReasonThatUsersKnow(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/DriftDetectionFailed", "weak.13")
	for name, tc := range map[string]struct {
		reason  string
		failure *infrav1.RunFailure
		applied string
		want    string
	}{
		"a plan":            {"it was to be applied", &infrav1.RunFailure{Reason: infrav1.ReasonTFExecPlanFailed, Message: "m"}, "before", "TFExecPlanFailed: m"},
		"a look for drift":  {"everything is applied", &infrav1.RunFailure{Reason: infrav1.ReasonTFExecPlanFailed, Message: "m"}, "here", "DriftDetectionFailed: m"},
		"another step":      {"is what it is", &infrav1.RunFailure{Reason: infrav1.ReasonTFExecInitFailed, Message: "m"}, "here", "TFExecInitFailed: m"},
		"nothing was given": {"the runner had no time to say", nil, "here", "RunnerLost: the run ended without a reason"},
	} {
		t.Run(name, func(t *testing.T) {
			run := &infrav1.TerraformRun{Spec: infrav1.TerraformRunSpec{Target: "here"}, Status: infrav1.TerraformRunStatus{Failure: tc.failure}}
			reason, message := failureOf(run, tc.applied)
			NewWithT(t).Expect(reason+": "+message).To(Equal(tc.want), tc.reason)
		})
	}
}
