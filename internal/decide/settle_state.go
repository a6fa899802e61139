package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// state records the state as the run left it, for the guard of the next run. What the guard has refused is not what the
// next run is to find. After an apply that could not say how it left the state, only lineage and serial count.
func (s settlement) state() {
	st := &s.tf.Status
	if s.run.Status.StateOverridden != "" {
		st.StateOverride = &v1alpha2.StateOverride{
			Token: s.run.Spec.StateOverride, Message: s.run.Status.StateOverridden, Run: s.run.Name, At: *s.finishedAt(),
		}
	}
	switch {
	case !guarded(s.run):
	case s.run.Status.State != nil:
		st.State = s.run.Status.State.DeepCopy()
		st.State.Backend = s.run.Spec.Backend
	case s.run.Status.ApplyStartedAt != nil && st.State != nil:
		st.State.Resources, st.State.Size = 0, 0
	case s.run.Status.StateOverridden != "":
		st.State = nil
	}
}

// kept records what an apply has stored for a destroy, whatever became of the apply. What could not be kept leaves the
// record of what was kept before: it is older, and still more than nothing.
func (s settlement) kept() {
	if k := s.run.Status.Kept; k != nil && k.Digest != "" {
		s.tf.Status.Kept = &v1alpha2.KeptStatus{Digest: k.Digest, Revision: s.run.Spec.Source.Revision, Size: k.Size}
	}
}
