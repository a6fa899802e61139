package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestRetryWait(t *testing.T) {
	compat.Shows(t, "spec.retryInterval", "spec.retryStrategy", "spec.maxRetryInterval", "use.intervals",
		"documented.retry-interval",
	)
	minute := metav1.Duration{Duration: time.Minute}
	cases := map[string]struct {
		reason string
		tf     infrav1.Terraform
		last   infrav1.TerraformRun
		why    string
		want   time.Duration
	}{
		"static": {
			reason: "retryInterval, whatever the count",
			tf:     infrav1.Terraform{Spec: infrav1.TerraformSpec{RetryInterval: &minute}, Status: infrav1.TerraformStatus{ReconciliationFailures: 9}},
			want:   time.Minute,
		},
		"exponential": {
			reason: "each failure doubles the wait",
			tf: infrav1.Terraform{
				Spec:   infrav1.TerraformSpec{RetryInterval: &minute, RetryStrategy: infrav1.ExponentialBackoff},
				Status: infrav1.TerraformStatus{ReconciliationFailures: 3},
			},
			want: 4 * time.Minute,
		},
		"exponential, with a limit": {
			reason: "maxRetryInterval is the limit",
			tf: infrav1.Terraform{
				Spec: infrav1.TerraformSpec{RetryInterval: &minute, RetryStrategy: infrav1.ExponentialBackoff,
					MaxRetryInterval: &metav1.Duration{Duration: 3 * time.Minute}},
				Status: infrav1.TerraformStatus{ReconciliationFailures: 300},
			},
			want: 3 * time.Minute,
		},
		"cancelled": {reason: "a cancelled run is no failure", why: infrav1.ReasonCancelled, want: 0},
		"cancelled by a person": {
			reason: "nothing is begun again until something changes", last: cancelledBy("annotation"), why: infrav1.ReasonCancelled, want: never,
		},
		"stale plan":  {reason: "a new plan is made soon", tf: infrav1.Terraform{Spec: infrav1.TerraformSpec{RetryInterval: &minute}}, why: infrav1.ReasonPlanNotApplicable, want: soonAfterStale},
		"lock is new": {reason: "an order to release it is obeyed at once", tf: unlocking("auto", "", "x"), last: locked("x", ""), why: infrav1.ReasonLockHeld},
		"lock by name": {
			reason: "an order to release it is obeyed at once", tf: unlocking("yes", "x", "x"), last: locked("x", ""), why: infrav1.ReasonLockHeld,
		},
		"another lock": {
			reason: "an order that does not help changes nothing", tf: unlocking("yes", "y", "x"), last: locked("x", ""), why: infrav1.ReasonLockHeld, want: 15 * time.Second,
		},
		"lock not released": {
			reason: "an order that did not help is not repeated at once", tf: unlocking("auto", "", "x"), last: locked("x", "x"), why: infrav1.ReasonLockHeld, want: 15 * time.Second,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(retryWait(&tc.tf, &tc.last, tc.why)).To(Equal(tc.want), tc.reason)
		})
	}
}

func unlocking(how, id, pending string) infrav1.Terraform {
	tf := infrav1.Terraform{Spec: infrav1.TerraformSpec{TfState: &infrav1.TfStateSpec{ForceUnlock: how, LockIdentifier: id}}}
	tf.Status.Lock.Pending = pending
	return tf
}

func cancelledBy(who string) infrav1.TerraformRun {
	run := infrav1.TerraformRun{}
	run.Spec.Cancel, run.Status.Phase = &infrav1.Cancel{By: who}, infrav1.RunCancelled
	return run
}

func locked(id, ordered string) infrav1.TerraformRun {
	run := infrav1.TerraformRun{}
	run.Status.Lock = &infrav1.LockInfo{ID: id}
	if ordered != "" {
		run.Spec.Unlock = &infrav1.Unlock{ID: ordered}
	}
	return run
}

func TestUnlockOrder(t *testing.T) {
	compat.Shows(t, "spec.tfstate.forceUnlock", "spec.tfstate.lockIdentifier")
	g := NewWithT(t)
	dead := infrav1.TerraformRun{}
	dead.Spec.Hostname, dead.Status.Phase, dead.Status.Runner = "net-1", infrav1.RunFailed, &infrav1.RunnerIdentity{}
	for _, tc := range []struct {
		tf   infrav1.Terraform
		want string
	}{
		{unlocking("no", "x", "x"), ""}, {unlocking("yes", "", "x"), ""}, {unlocking("yes", "x", "y"), "x"},
		{unlocking("auto", "x", ""), ""}, {unlocking("auto", "x", "y"), "y"}, {infrav1.Terraform{}, ""},
	} {
		order := unlockOrder(&tc.tf, []infrav1.TerraformRun{dead})
		g.Expect(order.ID).To(Equal(tc.want))
		g.Expect(order.Hostnames).To(Equal([]string{"net-1"}), "what is proven counts beside what is ordered")
	}
	g.Expect(unlockOrder(&infrav1.Terraform{}, nil)).To(BeNil())
}

func TestExhausted(t *testing.T) {
	compat.Shows(t, "spec.remediation", "weak.8")
	cases := map[string]struct {
		reason   string
		limit    *infrav1.Remediation
		failures int64
		want     bool
	}{
		"no limit":      {"without a limit for ever", nil, 1000, false},
		"negative":      {"a negative limit is none", &infrav1.Remediation{Retries: -1}, 1000, false},
		"before any":    {"no retry means one attempt", &infrav1.Remediation{}, 0, false},
		"none":          {"no retry means one attempt", &infrav1.Remediation{}, 1, true},
		"three of four": {"the first attempt is no retry", &infrav1.Remediation{Retries: 3}, 3, false},
		"all":           {"the first attempt and three more", &infrav1.Remediation{Retries: 3}, 4, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tf := &infrav1.Terraform{Spec: infrav1.TerraformSpec{Remediation: tc.limit}}
			tf.Status.ReconciliationFailures = tc.failures
			NewWithT(t).Expect(exhausted(tf)).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestForceRequested_NeedsTheTokenOfTheRequest(t *testing.T) {
	compat.Shows(t, "key.reconcile.fluxcd.io/forceAt")
	g := NewWithT(t)
	tf := &infrav1.Terraform{}
	tf.Annotations = map[string]string{"reconcile.fluxcd.io/forceAt": "1", "reconcile.fluxcd.io/requestedAt": "1"}
	g.Expect(forceRequested(tf)).To(BeTrue())
	g.Expect(tf.Status.LastHandledForceAt).To(BeEmpty(), "it is handled with the plan")
	tf.Annotations["reconcile.fluxcd.io/forceAt"] = "2"
	g.Expect(forceRequested(tf)).To(BeFalse())
	g.Expect(tf.Status.LastHandledForceAt).To(Equal("2"), "it does not come to life by a later request")
}

func TestPendingPlan_IsOfTheTargetThatIsPlanned(t *testing.T) {
	cases := map[string]struct {
		reason string
		plan   infrav1.PlanStatus
		want   *infrav1.PlanReference
	}{
		"none":              {"there is nothing to refresh", infrav1.PlanStatus{Target: "here"}, nil},
		"of another target": {"a new target has a new plan", infrav1.PlanStatus{Pending: "plan-1", Digest: "sha256:1", Target: "before"}, nil},
		"of this target":    {"it is refreshed, or applied", infrav1.PlanStatus{Pending: "plan-1", Digest: "sha256:1", Target: "here"}, &infrav1.PlanReference{ID: "plan-1", Digest: "sha256:1"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tf := &infrav1.Terraform{Status: infrav1.TerraformStatus{Plan: tc.plan}}
			NewWithT(t).Expect(pendingPlan(tf, "here")).To(Equal(tc.want), tc.reason)
		})
	}
}
