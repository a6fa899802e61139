package decide

import (
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Settle folds what the finished active run reports into the object's status, in memory. It does nothing when the run
// is not the active one or has not finished, so that it may be called on every pass. Afterwards no run is active.
func Settle(tf *v1alpha2.Terraform, run *v1alpha2.TerraformRun, now time.Time) {
	st := &tf.Status
	if run == nil || st.ActiveRun == nil || st.ActiveRun.Name != run.Name || !run.Finished() {
		return
	}
	st.ActiveRun = nil
	s := settlement{tf, run, metav1.NewTime(now)}
	s.common()
	switch {
	case run.Status.Phase != v1alpha2.RunSucceeded:
		s.failed()
	case run.Spec.Operation == v1alpha2.OperationPlan:
		s.planned()
	default:
		s.applied()
	}
	s.outputs()
}

// settlement of one finished run.
type settlement struct {
	tf  *v1alpha2.Terraform
	run *v1alpha2.TerraformRun
	now metav1.Time
}

func (s settlement) set(conditionType string, status metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(&s.tf.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		ObservedGeneration: s.run.Spec.Generation, LastTransitionTime: s.now,
	})
}

func (s settlement) common() {
	st := &s.tf.Status
	st.LastAttemptedRevision = s.run.Spec.Source.Revision
	if s.run.Status.State != nil && guarded(s.run) {
		st.State = s.run.Status.State.DeepCopy()
	}
	if s.run.Status.ApplyStartedAt != nil {
		st.AppliesStarted++
	}
	if s.run.Spec.RequestedAt != "" {
		st.LastHandledReconcileAt = s.run.Spec.RequestedAt
	}
}

// guarded says that the run's state has passed the guard: what it was refused for must not become what the next run is
// measured by.
func guarded(run *v1alpha2.TerraformRun) bool {
	if run.Status.Phase == v1alpha2.RunSucceeded {
		return true
	}
	switch run.Status.Step {
	case "", v1alpha2.StepClaim, v1alpha2.StepFetch, v1alpha2.StepWorkspace, v1alpha2.StepGuard:
		return false
	case v1alpha2.StepInit, v1alpha2.StepPlan, v1alpha2.StepStorePlan, v1alpha2.StepLoadPlan, v1alpha2.StepApply, v1alpha2.StepOutputs:
	}
	return run.Status.Failure == nil || run.Status.Failure.Reason != v1alpha2.ReasonStateGuard
}

// failed: a failed apply has spent its plan, whatever it did with it. The next plan shows what is left.
func (s settlement) failed() {
	st := &s.tf.Status
	f := s.run.Status.Failure
	if f == nil {
		f = &v1alpha2.RunFailure{Reason: v1alpha2.ReasonRunnerLost, Message: "the run ended without a reason"}
	}
	if Counts(f.Reason) {
		st.ReconciliationFailures++
	}
	if s.run.Spec.Operation == v1alpha2.OperationApply {
		s.forgetPlan()
		if s.run.Status.ApplyStartedAt != nil {
			s.set(v1alpha2.ConditionApply, metav1.ConditionFalse, v1alpha2.ReasonAppliedFail, f.Message)
		}
	}
	if l := s.run.Status.Lock; l != nil && f.Reason == v1alpha2.ReasonLockHeld {
		st.Lock.Pending = l.ID
		s.set(v1alpha2.ConditionStateLocked, metav1.ConditionTrue, v1alpha2.ReasonLockHeld, f.Message)
	}
}

// Counts says whether a failure with this reason counts against the object: a cancelled run and a plan that could not
// be applied any more do not.
func Counts(reason string) bool {
	return reason != v1alpha2.ReasonCancelled && reason != v1alpha2.ReasonPlanNotApplicable
}

func (s settlement) forgetPlan() {
	p := &s.tf.Status.Plan
	p.Pending, p.Digest, p.IsDriftDetectionPlan = "", "", false
}

func (s settlement) succeeded() {
	st := &s.tf.Status
	st.ReconciliationFailures = 0
	st.LastSuccessfulReconcileAt = s.finishedAt()
	if st.Lock.Pending != "" {
		st.Lock.LastApplied, st.Lock.Pending = st.Lock.Pending, ""
	}
	apimeta.RemoveStatusCondition(&st.Conditions, v1alpha2.ConditionStateLocked)
}

func (s settlement) finishedAt() *metav1.Time {
	if s.run.Status.FinishedAt != nil {
		return s.run.Status.FinishedAt.DeepCopy()
	}
	return s.now.DeepCopy()
}

func (s settlement) planned() {
	st := &s.tf.Status
	s.succeeded()
	st.LastPlannedRevision = s.run.Spec.Source.Revision
	st.LastPlannedGeneration = s.run.Spec.Generation
	st.LastPlanAt = s.finishedAt()
	s.forgetPlan()
	st.Plan.Target = s.run.Spec.Target
	st.Plan.Run = s.run.Name
	st.Plan.IsDestroyPlan = s.run.Spec.Terraform.Destroy
	p := s.run.Status.Plan
	if p == nil || !p.HasChanges {
		s.nothingToApply()
		return
	}
	st.Plan.Summary = p.Short
	st.Plan.Pending, st.Plan.Digest = p.ID, p.Digest
	if s.run.Spec.Target == st.Plan.AppliedTarget {
		st.Plan.IsDriftDetectionPlan = true
		st.LastDriftDetectedAt = s.finishedAt()
	}
	s.set(v1alpha2.ConditionPlan, metav1.ConditionTrue, v1alpha2.ReasonPlannedWithChanges, "Plan generated")
}

func (s settlement) nothingToApply() {
	st := &s.tf.Status
	st.Plan.Summary = ""
	st.Plan.AppliedTarget = s.run.Spec.Target
	message := "Plan no changes"
	if st.Plan.IsDestroyPlan {
		message = "No objects need to be destroyed"
	}
	s.set(v1alpha2.ConditionPlan, metav1.ConditionFalse, v1alpha2.ReasonPlannedNoChanges, message)
}

func (s settlement) applied() {
	st := &s.tf.Status
	s.succeeded()
	if st.Plan.IsDriftDetectionPlan {
		st.LastAppliedByDriftDetectionAt = s.finishedAt()
	}
	s.forgetPlan()
	st.AppliesCompleted++
	st.LastAppliedRevision = s.run.Spec.Source.Revision
	st.Plan.AppliedTarget = s.run.Spec.Target
	if s.run.Spec.Plan != nil {
		st.Plan.LastApplied = s.run.Spec.Plan.ID
	}
	message := "Applied successfully"
	if s.run.Spec.Terraform.Destroy {
		message = "Destroy applied successfully"
	}
	s.set(v1alpha2.ConditionApply, metav1.ConditionTrue, v1alpha2.ReasonAppliedSucceed, message)
}

func (s settlement) outputs() {
	if !s.run.Status.OutputsRead {
		return
	}
	st := &s.tf.Status
	st.AvailableOutputs = slices.Clone(s.run.Status.Outputs)
	switch {
	case len(s.run.Status.OutputsWritten) > 0:
		s.set(v1alpha2.ConditionOutput, metav1.ConditionTrue, v1alpha2.ReasonOutputsWritten, "Outputs written")
	case len(s.run.Status.Outputs) > 0:
		s.set(v1alpha2.ConditionOutput, metav1.ConditionTrue, v1alpha2.ReasonOutputsAvailable, "Outputs available")
	default:
		apimeta.RemoveStatusCondition(&st.Conditions, v1alpha2.ConditionOutput)
	}
}

// Approve records, in memory, an approval of the pending plan that stands on the object: the annotation first, then the
// spec. It says whether the record is new. The approval counts for that plan id only, and removing it revokes nothing.
func Approve(tf *v1alpha2.Terraform, now time.Time) bool {
	id := tf.Status.Plan.Pending
	if id == "" || tf.Status.Approval != nil && tf.Status.Approval.PlanID == id {
		return false
	}
	var how v1alpha2.ApprovalHow
	switch id {
	case tf.Annotations[v1alpha2.ApprovePlanAnnotation]:
		how = v1alpha2.ApprovalByAnnotation
	case tf.Spec.ApprovePlan:
		how = v1alpha2.ApprovalBySpec
	default:
		return false
	}
	tf.Status.Approval = &v1alpha2.Approval{
		PlanID: id, How: how, By: tf.Annotations[v1alpha2.ApprovedByAnnotation], At: metav1.NewTime(now),
	}
	return true
}
