package decide

import (
	"math/bits"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Backoff is the time to the next try after so many failures: base, doubled with each failure after the first, and at
// most longest.
func Backoff(base, longest time.Duration, failures int64) time.Duration {
	if base <= 0 || base >= longest {
		return longest
	}
	doublings := max(failures, 1) - 1
	if doublings >= int64(bits.Len64(uint64(longest/base))) {
		return longest
	}
	return min(base<<doublings, longest)
}

// exhausted: what has failed here as often as it may is tried again only for a person. A deletion is tried for ever, and
// for what is unhealthy nothing is tried again, it is only looked at.
func exhausted(f *Facts) bool {
	return f.Exhausted && f.Last.Failed && !f.Last.Unhealthy && !f.Last.Session && f.Last.Target == f.Target && !f.Requested && !f.Deleting
}

// stallExhausted keeps the failure in Ready: that is what has to be mended.
func stallExhausted(f *Facts) Decision {
	return Decision{
		Posture: Stuck,
		Ready:   Ready{False, f.Last.Reason, f.Last.Message},
		Stalled: Stalled{v1alpha2.ReasonRetryLimitReached, "Resource reached maximum number of retries."},
	}
}

// notPersistent: where a state would be lost with the pod, another try finds the same.
func notPersistent(f *Facts) bool {
	here := f.Last.Failed && f.Last.Reason == v1alpha2.ReasonStateNotPersistent && f.Last.Target == f.Target
	return here && !f.Requested && !f.Deleting
}

func stallNotPersistent(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, f.Last.Reason, f.Last.Message}}
}

// countFailure counts the failures in a row for one target.
func countFailure(st *v1alpha2.TerraformStatus, run *v1alpha2.TerraformRun) {
	if last := st.LastFailure; last != nil && last.Target != run.Spec.Target {
		st.ReconciliationFailures = 0
	}
	st.ReconciliationFailures++
	st.LastFailure = &v1alpha2.FailedRun{Name: run.Name, Operation: run.Spec.Operation, Target: run.Spec.Target}
}

// ForgetFailures begins to count anew.
func ForgetFailures(st *v1alpha2.TerraformStatus) { st.ReconciliationFailures, st.LastFailure = 0, nil }

// retriesApply says of a plan with changes that it is the first half of another try of an apply that has failed: such a
// plan is no success yet.
func retriesApply(st *v1alpha2.TerraformStatus, run *v1alpha2.TerraformRun) bool {
	return run.Status.Plan != nil && run.Status.Plan.HasChanges && triedToApply(st, run)
}
