package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// session accounts for a session. It is no plan: what is known of the infrastructure is what was known before, but for the
// state. One that was open is what was asked for, however it ended.
func (s settlement) session() {
	st := &s.run.Status
	byPerson := st.Phase == v1alpha2.RunCancelled && s.run.Spec.Cancel != nil && s.run.Spec.Cancel.By != ""
	if st.Session != nil || st.Phase == v1alpha2.RunSucceeded || byPerson {
		s.tf.Status.LastHandledBreakTheGlass = s.run.Spec.Session.Request
	}
}

// SessionFailed says of a run that it is a session that was never open, and was not called off.
func SessionFailed(run *v1alpha2.TerraformRun) bool {
	return run.Spec.Session != nil && run.Status.Session == nil && run.Status.Phase == v1alpha2.RunFailed
}
