package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// volatileAfter is how many refreshes in a row have to give another plan. One may be due to inputs that have changed, or
// to drift.
const volatileAfter = 2

// volatileNote follows what Ready says of a plan that waits.
const volatileNote = " It is different each time it is made, as with plantimestamp(), so that it is not refreshed any more."

// Volatile says whether the pending plan is another one each time it is made, though neither its target nor the state
// has moved: nobody could approve it in time if it was made anew at each interval.
func Volatile(st *v1alpha2.TerraformStatus) bool {
	return st.Plan.Pending != "" && st.Plan.Differed >= volatileAfter
}

// differed counts the refreshes in a row, up to this one, that have given another plan than the one that waited.
func (s settlement) differed() int64 {
	waited, made := s.run.Spec.Plan, s.run.Status.Plan
	if s.run.Spec.RequestedAt != "" {
		return 0 // somebody wants to know anew
	}
	if waited == nil || made == nil || made.ID == waited.ID || !sameVersion(s.run.Spec.State, s.run.Status.State) {
		return 0
	}
	return s.tf.Status.Plan.Differed + 1
}

// sameVersion compares the state that the last run has left with the one that this run has found; nil: there was none.
func sameVersion(left, found *v1alpha2.StateStatus) bool {
	if left == nil || found == nil {
		return left == found
	}
	return left.Lineage == found.Lineage && left.Serial == found.Serial
}

// lookDue: a look at the world is due. It is none any more while a volatile plan waits.
func lookDue(f *Facts) bool { return f.PlanIn <= 0 && !f.Plan.Volatile }

// waits completes a decision to rest while a plan waits: a volatile one is not looked at again, and that is said.
func waits(f *Facts, d Decision) Decision {
	d.Posture, d.RequeueAfter = Resting, f.PlanIn
	if f.Plan.Volatile {
		d.RequeueAfter = 0
		d.Ready.Message += volatileNote
	}
	return d
}
