package decide

import (
	"testing"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func checked(healthy bool) func(*v1alpha2.TerraformRun) {
	return func(run *v1alpha2.TerraformRun) {
		run.Spec.Terraform.HealthChecks = []v1alpha2.HealthCheck{{Name: "app"}}
		run.Spec.RequestedAt = "" // a request begins to count anew
		run.Status.Step = v1alpha2.StepHealthChecks
		run.Status.HealthChecks = []v1alpha2.HealthCheckResult{{Name: "app", Healthy: healthy}}
		if run.Spec.Operation == v1alpha2.OperationApply {
			run.Status.ApplyFinishedAt = run.Status.FinishedAt
		}
		if !healthy {
			failing(v1alpha2.ReasonHealthChecksFailed)(run)
		}
	}
}

func interrupted(run *v1alpha2.TerraformRun) {
	checked(false)(run)
	run.Status.HealthChecks = nil
	failing(v1alpha2.ReasonInterrupted)(run)
}

func TestSettle_Health(t *testing.T) {
	compat.Shows(t, "status.lastSuccessfulReconcileAt", "condition.HealthCheck", "weak.4")
	finished := func(op v1alpha2.Operation, phase v1alpha2.RunPhase, change ...func(*v1alpha2.TerraformRun)) *v1alpha2.TerraformRun {
		return finishedRun(op, phase, append([]func(*v1alpha2.TerraformRun){func(run *v1alpha2.TerraformRun) { run.Spec.RequestedAt = "" }}, change...)...)
	}
	const failed, succeeded = v1alpha2.ReasonHealthChecksFailed, v1alpha2.ReasonHealthChecksSucceed
	cases := map[string]struct {
		reason   string
		run      *v1alpha2.TerraformRun
		want     string // reason of the condition; "": there is none
		applied  string // target
		failures int64
	}{
		"apply, healthy":    {"all is well", finished(v1alpha2.OperationApply, v1alpha2.RunSucceeded, checked(true)), succeeded, "here", 0},
		"apply, unhealthy":  {"the apply counts: nothing is applied again", finished(v1alpha2.OperationApply, v1alpha2.RunFailed, checked(false)), failed, "here", 1},
		"plan, healthy":     {"a check that was tried again", finished(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, checked(true)), succeeded, "here", 0},
		"plan, unhealthy":   {"the plan counts, and the failures go on, so that the wait can grow", finished(v1alpha2.OperationPlan, v1alpha2.RunFailed, checked(false)), failed, "here", 3},
		"plan, interrupted": {"what was not checked is not known", finished(v1alpha2.OperationPlan, v1alpha2.RunFailed, interrupted), failed, "before", 3},
		"plan, changes": {"drift says nothing of health", finished(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, func(run *v1alpha2.TerraformRun) {
			run.Spec.Terraform.HealthChecks = []v1alpha2.HealthCheck{{Name: "app"}}
		}), failed, "before", 0},
		"no checks any more": {"what is not asked is not answered", finished(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), "", "here", 0},
		"destroyed": {"nothing is left to be healthy", finished(v1alpha2.OperationApply, v1alpha2.RunSucceeded, func(run *v1alpha2.TerraformRun) {
			run.Spec.Terraform.HealthChecks, run.Spec.Terraform.Destroy = []v1alpha2.HealthCheck{{Name: "app"}}, true
		}), "", "here", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.Conditions = []metav1.Condition{{Type: v1alpha2.ConditionHealthCheck, Status: metav1.ConditionFalse, Reason: failed}}
			Settle(tf, tc.run, now, day)
			got := ""
			if c := apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionHealthCheck); c != nil {
				got = c.Reason
			}
			g.Expect(got).To(Equal(tc.want), tc.reason)
			g.Expect(tf.Status.Plan.AppliedTarget).To(Equal(tc.applied), tc.reason)
			g.Expect(tf.Status.ReconciliationFailures).To(Equal(tc.failures), tc.reason)
			g.Expect(tf.Status.LastSuccessfulReconcileAt != nil).To(Equal(tc.run.Status.Phase == v1alpha2.RunSucceeded), tc.reason)
			g.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionApply) != nil).To(Equal(tc.run.Status.ApplyFinishedAt != nil || name == "destroyed"))
		})
	}
}
