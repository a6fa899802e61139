package decide

import (
	"math"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestBackoff(t *testing.T) {
	compat.Shows(t, "spec.retryStrategy", "spec.maxRetryInterval", "weak.9")
	cases := map[string]struct {
		reason   string
		base     time.Duration
		failures int64
		want     time.Duration
	}{
		"none yet":      {"a wait is never shorter than retryInterval", 15 * time.Second, 0, 15 * time.Second},
		"first":         {"the first failure waits for retryInterval", 15 * time.Second, 1, 15 * time.Second},
		"third":         {"each failure doubles", 15 * time.Second, 3, time.Minute},
		"at the limit":  {"no longer than the limit", 15 * time.Second, 14, 24 * time.Hour},
		"long ago":      {"not below the limit again", 15 * time.Second, 31, 24 * time.Hour},
		"overflow":      {"whatever the count", 15 * time.Second, 64, 24 * time.Hour},
		"largest":       {"whatever the count", time.Nanosecond, math.MaxInt64, 24 * time.Hour},
		"long interval": {"the limit holds for retryInterval, too", 48 * time.Hour, 1, 24 * time.Hour},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(Backoff(tc.base, 24*time.Hour, tc.failures)).To(Equal(tc.want), tc.reason)
		})
	}
	last := time.Duration(0)
	for n := range int64(200) {
		d := Backoff(5*time.Minute, 24*time.Hour, n)
		NewWithT(t).Expect(d).To(BeNumerically(">=", last), "failure %d", n)
		last = d
	}
}

// TestSettle_CountsFailuresInARow follows one object through runs, and says after each how many failures are counted.
func TestSettle_CountsFailuresInARow(t *testing.T) {
	compat.Shows(t, "status.reconciliationFailures", "weak.7")
	fails := failing(v1alpha2.ReasonTFExecApplyFailed)
	at := func(target string) func(*v1alpha2.TerraformRun) {
		return func(run *v1alpha2.TerraformRun) { run.Spec.Target, run.Spec.RequestedAt = target, "" }
	}
	const plan, apply, failed, succeeded = v1alpha2.OperationPlan, v1alpha2.OperationApply, v1alpha2.RunFailed, v1alpha2.RunSucceeded
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.ReconciliationFailures = 0
	for _, step := range []struct {
		reason string
		run    *v1alpha2.TerraformRun
		want   int64
	}{
		{"the first", finishedRun(plan, failed, fails, at("a")), 1},
		{"another", finishedRun(plan, failed, fails, at("a")), 2},
		{"a new target counts anew", finishedRun(plan, failed, fails, at("b")), 1},
		{"a plan is a success", finishedRun(plan, succeeded, withChanges, at("b")), 0},
		{"its apply is not", finishedRun(apply, failed, fails, at("b")), 1},
		{"a plan for another try of an apply is no success yet", finishedRun(plan, succeeded, withChanges, at("b")), 1},
		{"so that the tries are counted", finishedRun(apply, failed, fails, at("b")), 2},
		{"nothing left to apply is a success", finishedRun(plan, succeeded, at("b")), 0},
		{"failed again", finishedRun(apply, failed, fails, at("b")), 1},
		{"failed again", finishedRun(apply, failed, fails, at("b")), 2},
		{"a request counts anew", finishedRun(plan, failed, fails), 1},
		{"a cancelled run is no failure", finishedRun(plan, v1alpha2.RunCancelled, failing(v1alpha2.ReasonCancelled), at("here")), 1},
		{"an apply that succeeds ends it", finishedRun(apply, succeeded, at("here")), 0},
	} {
		tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1", Sequence: 1}
		Settle(tf, step.run, now, day)
		g.Expect(tf.Status.ReconciliationFailures).To(Equal(step.want), step.reason)
	}
	g.Expect(tf.Status.LastFailure).To(BeNil())
}

func TestSettle_ForcedPlanIsApproved(t *testing.T) {
	forced := func(run *v1alpha2.TerraformRun) { run.Spec.Reason = ReasonForced }
	g := NewWithT(t)
	tf := activeTerraform()
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, forced), now, day)
	g.Expect(tf.Status.Approval.PlanID).To(Equal("plan-new"))
	g.Expect(tf.Status.Approval.How).To(Equal(v1alpha2.ApprovalByForce))
	g.Expect(tf.Status.LastHandledForceAt).To(Equal("noon"))

	tf = activeTerraform()
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing("x"), forced), now, day)
	g.Expect(tf.Status.Approval).To(BeNil(), "a plan that failed approves nothing later")
	g.Expect(tf.Status.LastHandledForceAt).To(Equal("noon"))
}

func TestSettle_ReleasedLock(t *testing.T) {
	compat.Shows(t, "status.lock.lastApplied", "condition.StateLocked")
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.Lock.Pending = "lock-1"
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing("x"), func(run *v1alpha2.TerraformRun) {
		run.Status.Unlocked = "lock-1"
	}), now, day)
	g.Expect(tf.Status.Lock).To(Equal(v1alpha2.LockStatus{LastApplied: "lock-1"}))
}

func TestOrder_Class(t *testing.T) {
	g := NewWithT(t)
	for reason, want := range map[string]v1alpha2.QueueClass{
		ReasonApproved: v1alpha2.QueueApproved, ReasonForced: v1alpha2.QueueApproved, ReasonDeletion: v1alpha2.QueueApproved,
		ReasonFirstPlan: v1alpha2.QueueTarget, ReasonTargetChanged: v1alpha2.QueueTarget, ReasonRequested: v1alpha2.QueueTarget,
		ReasonAutoApproved: v1alpha2.QueueTarget, ReasonRetry: v1alpha2.QueueRetry, ReasonInterval: v1alpha2.QueueDrift,
	} {
		g.Expect(Order{Reason: reason}.Class()).To(Equal(want), reason)
	}
}
