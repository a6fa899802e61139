package controllers

import (
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// heedReset sets the count of failures to 0 when reconcile.fluxcd.io/resetAt asks for it.
func heedReset(tf *infrav1.Terraform) {
	if meta.HandleAnnotationRequest(tf, infrav1.ResetRequestAnnotation, &tf.Status.LastHandledResetAt) {
		decide.ForgetFailures(&tf.Status)
	}
}

// forceRequested says whether reconcile.fluxcd.io/forceAt asks for a plan that is to be applied. It is handled with that
// plan, by decide.Settle; a value that asks for nothing is handled at once.
func forceRequested(tf *infrav1.Terraform) bool {
	if tf.Annotations[meta.ForceRequestAnnotation] == "" {
		return false // the policies of approval count a value only
	}
	handled := tf.Status.LastHandledForceAt
	if meta.HandleAnnotationRequest(tf, meta.ForceRequestAnnotation, &handled) {
		return true
	}
	tf.Status.LastHandledForceAt = handled
	return false
}

// orderedUnlock is the ID of the lock that the spec orders to release, "" for none: with forceUnlock: yes the one of
// lockIdentifier, with auto the one that was last in the way.
func orderedUnlock(tf *infrav1.Terraform) string {
	switch s := tf.Spec.TfState; {
	case s == nil:
		return ""
	case s.ForceUnlock == "yes":
		return s.LockIdentifier
	case s.ForceUnlock == "auto":
		return tf.Status.Lock.Pending
	}
	return ""
}

// unlockOrder is for a new run: the lock that the spec names, and those of runners whose processes have ended.
func unlockOrder(tf *infrav1.Terraform, runs []infrav1.TerraformRun) *infrav1.Unlock {
	order := deadHolders(runs)
	if former := tf.Status.FormerRunner; former != nil {
		if order == nil {
			order = &infrav1.Unlock{Evidence: "the process of the runner that tofu-controller has left has ended"}
		}
		order.FormerRunner = former.DeepCopy()
	}
	id := orderedUnlock(tf)
	if id == "" {
		return order
	}
	if order == nil {
		order = &infrav1.Unlock{}
	}
	order.ID, order.Evidence = id, fmt.Sprintf("ordered by spec.tfstate.forceUnlock: %s", tf.Spec.TfState.ForceUnlock)
	return order
}

// pendingPlan is the stored plan of that target, which a new plan of it refreshes; nil when there is none.
func pendingPlan(tf *infrav1.Terraform, target string) *infrav1.PlanReference {
	p := &tf.Status.Plan
	if p.Pending == "" || p.Target != target {
		return nil
	}
	return &infrav1.PlanReference{ID: p.Pending, Digest: p.Digest}
}

// retryWait is the time between a failed run and the next. An order to release the lock that was in the way is obeyed
// at once, but once.
func retryWait(tf *infrav1.Terraform, last *infrav1.TerraformRun, reason string) time.Duration {
	wait := tf.GetRetryInterval()
	if tf.Spec.RetryStrategy == infrav1.ExponentialBackoff {
		wait = decide.Backoff(wait, tf.GetMaxRetryInterval(), tf.Status.ReconciliationFailures)
	}
	switch reason {
	case infrav1.ReasonCancelled:
		if decide.CancelledByPerson(last) {
			return never // a person has stopped it: until something changes, or somebody asks
		}
		return 0
	case infrav1.ReasonPlanNotApplicable:
		return min(wait, soonAfterStale)
	}
	if reason == infrav1.ReasonLockHeld && newUnlock(tf, last) {
		return 0
	}
	return wait
}

// newUnlock says that the spec orders the release of the lock that was in the way, and that the last run did not know.
func newUnlock(tf *infrav1.Terraform, last *infrav1.TerraformRun) bool {
	id := orderedUnlock(tf)
	known := last.Spec.Unlock != nil && last.Spec.Unlock.ID == id
	return id != "" && last.Status.Lock != nil && last.Status.Lock.ID == id && !known
}

// exhausted says whether as many runs have failed in a row as may: the first and spec.remediation.retries more.
func exhausted(tf *infrav1.Terraform) bool {
	r := tf.Spec.Remediation
	return r != nil && r.Retries >= 0 && tf.Status.ReconciliationFailures > r.Retries
}
