package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// session accounts for a session. It is no plan: what is known of the infrastructure is what was known before, but for the
// state. One that was open is what was asked for, however it ended.
func (s settlement) session() {
	st := &s.run.Status
	if st.Session != nil || st.Phase == v1alpha2.RunSucceeded || CancelledByPerson(s.run) {
		s.tf.Status.LastHandledBreakTheGlass = s.run.Spec.Session.Request
	}
	if st.Session != nil {
		s.tf.Status.AppliesStarted++ // a person may have applied anything, and the state need not tell
		s.tf.Status.Plan.Destroyed = false
	}
}

// CancelledByPerson says that a person has stopped the run, so that nothing like it begins again by itself.
func CancelledByPerson(run *v1alpha2.TerraformRun) bool {
	return run.Status.Phase == v1alpha2.RunCancelled && run.Spec.Cancel != nil && run.Spec.Cancel.By != ""
}

// SessionFailed says of a run that it is a session that was never open, and was not called off.
func SessionFailed(run *v1alpha2.TerraformRun) bool {
	return run.Spec.Session != nil && run.Status.Session == nil && run.Status.Phase == v1alpha2.RunFailed
}
