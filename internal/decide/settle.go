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
//
// An approval that is older than approvalTTL covers no other plan than its own.
func Settle(tf *v1alpha2.Terraform, run *v1alpha2.TerraformRun, now time.Time, approvalTTL time.Duration) {
	st := &tf.Status
	if run == nil || st.ActiveRun == nil || st.ActiveRun.Name != run.Name || !run.Finished() {
		return
	}
	st.ActiveRun = nil
	s := settlement{tf, run, metav1.NewTime(now), approvalTTL, triedToApply(st, run) && apimeta.IsStatusConditionFalse(st.Conditions, v1alpha2.ConditionApply)}
	s.common()
	if run.Spec.Session != nil {
		s.session()
		return
	}
	switch {
	case run.Status.Phase != v1alpha2.RunSucceeded && run.Status.ApplyFinishedAt != nil:
		s.applied()
		s.failed()
	case unhealthy(run):
		s.planned()
		s.failed()
	case run.Status.Phase != v1alpha2.RunSucceeded:
		s.failed()
	case run.Spec.Operation == v1alpha2.OperationPlan:
		s.planned()
	default:
		s.applied()
	}
	s.outputs()
	s.health()
}

// settlement of one finished run.
type settlement struct {
	tf  *v1alpha2.Terraform
	run *v1alpha2.TerraformRun
	now metav1.Time
	ttl time.Duration
	// tried says that the run that failed last was an apply of the same, and that one was begun. When nothing is left to apply, it
	// has done all, whatever it could report.
	tried bool
}

func (s settlement) set(conditionType string, status metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(&s.tf.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		ObservedGeneration: s.run.Spec.Generation, LastTransitionTime: s.now,
	})
}

func (s settlement) common() {
	st := &s.tf.Status
	if s.run.Spec.Source.Revision != "" {
		st.LastAttemptedRevision = s.run.Spec.Source.Revision
	}
	s.state()
	s.kept()
	if s.run.Status.Inventory != nil {
		st.Inventory = s.run.Status.Inventory.DeepCopy()
	}
	if s.run.Spec.RequestedAt != "" {
		st.LastHandledReconcileAt = s.run.Spec.RequestedAt
		ForgetFailures(st)
	}
	if s.forced() {
		st.LastHandledForceAt = s.run.Spec.RequestedAt
	}
	if id := s.run.Status.Unlocked; id != "" {
		st.Lock.LastApplied, st.Lock.Pending = id, ""
		s.set(v1alpha2.ConditionStateLocked, metav1.ConditionFalse, v1alpha2.ReasonForceUnlock, "Terraform Force Unlock with Lock Identifier: "+id)
	}
}

// forced: the run is the plan that reconcile.fluxcd.io/forceAt has asked for.
func (s settlement) forced() bool {
	return s.run.Spec.Operation == v1alpha2.OperationPlan && s.run.Spec.Reason == ReasonForced
}

// guarded says that the run's state has passed the guard: what it was refused for must not become what the next run is
// measured by.
func guarded(run *v1alpha2.TerraformRun) bool {
	st := &run.Status
	switch {
	case st.Phase == v1alpha2.RunSucceeded:
		return true
	case st.Failure != nil && st.Failure.Reason == v1alpha2.ReasonStateGuard:
		return false
	case st.ApplyStartedAt != nil || st.StateOverridden != "":
		return true
	}
	switch st.Step {
	case "", v1alpha2.StepClaim, v1alpha2.StepFetch, v1alpha2.StepWorkspace, v1alpha2.StepGuard:
		return false
	case v1alpha2.StepInit, v1alpha2.StepSession, v1alpha2.StepPlan, v1alpha2.StepStorePlan, v1alpha2.StepLoadPlan, v1alpha2.StepApply, v1alpha2.StepOutputs,
		v1alpha2.StepHealthChecks:
	}
	return true
}

// failed: a failed apply has spent its plan, whatever it did with it. The next plan shows what is left.
func (s settlement) failed() {
	st := &s.tf.Status
	f := s.run.Status.Failure
	if f == nil {
		f = &v1alpha2.RunFailure{Reason: v1alpha2.ReasonRunnerLost, Message: "the run ended without a reason"}
	}
	if Counts(f.Reason) {
		countFailure(st, s.run)
	}
	if s.run.Spec.Operation == v1alpha2.OperationApply && s.run.Status.ApplyFinishedAt == nil {
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
	p.Pending, p.Digest, p.IsDriftDetectionPlan, p.Safe, p.Differed = "", "", false, false, 0
	s.tf.Status.RefusedApproval = nil
}

func (s settlement) succeeded() {
	st := &s.tf.Status
	if s.run.Spec.Operation == v1alpha2.OperationApply || !retriesApply(st, s.run) && !unhealthy(s.run) {
		ForgetFailures(st)
	}
	if !unhealthy(s.run) {
		st.LastSuccessfulReconcileAt = s.finishedAt()
	}
	st.FormerRunner = nil
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
	if apimeta.IsStatusConditionPresentAndEqual(st.Conditions, v1alpha2.ConditionApply, metav1.ConditionUnknown) {
		apimeta.RemoveStatusCondition(&st.Conditions, v1alpha2.ConditionApply) // the incumbent's "Apply started", never ended
	}
	st.LastPlannedRevision = s.run.Spec.Source.Revision
	st.LastPlannedGeneration = s.run.Spec.Generation
	st.LastPlanAt = s.now.DeepCopy() // not the runner's clock: the next plan is due by ours
	differed, former := s.differed(), s.formerRefusal()
	s.forgetPlan()
	st.Plan.Target = s.run.Spec.Target
	st.Plan.Run = s.run.Name
	st.Plan.IsDestroyPlan = s.run.Spec.Terraform.Destroy
	p := s.run.Status.Plan
	if p == nil || !p.HasChanges {
		s.nothingToApply()
		if s.tried {
			s.inEffect()
		}
		return
	}
	st.Plan.Summary = p.Short
	st.Plan.Destroyed = st.Plan.Destroyed && !st.Plan.IsDestroyPlan // there is something again
	st.Plan.Pending, st.Plan.Digest, st.Plan.Safe, st.Plan.Differed = p.ID, p.Digest, p.Safe, differed
	if s.forced() {
		st.Approval = &v1alpha2.Approval{PlanID: p.ID, How: v1alpha2.ApprovalByForce, At: s.now}
	}
	s.takeOverApproval()
	s.cover(p)
	if st.RefusedApproval == nil && !Approved(st) {
		st.RefusedApproval = former
	}
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
	st.Plan.Destroyed = st.Plan.IsDestroyPlan
	// An apply that was not accounted for may have done it all: its plan must not come back under the same id.
	if st.AppliesStarted > st.AppliesCompleted {
		st.AppliesCompleted = st.AppliesStarted
		s.spend()
	}
	s.useUp()
	message := "Plan no changes"
	if st.Plan.IsDestroyPlan {
		message = "No objects need to be destroyed"
	}
	s.set(v1alpha2.ConditionPlan, metav1.ConditionFalse, v1alpha2.ReasonPlannedNoChanges, message)
}

func triedToApply(st *v1alpha2.TerraformStatus, run *v1alpha2.TerraformRun) bool {
	last := st.LastFailure
	return last != nil && last.Operation == v1alpha2.OperationApply && last.Target == run.Spec.Target
}

func (s settlement) applied() {
	st := &s.tf.Status
	s.succeeded()
	if st.Plan.IsDriftDetectionPlan {
		st.LastAppliedByDriftDetectionAt = s.finishedAt()
	}
	s.forgetPlan()
	s.useUp()
	st.AppliesCompleted++
	s.spend()
	st.Plan.Destroyed = s.run.Spec.Terraform.Destroy
	st.Plan.AppliedTarget = s.run.Spec.Target
	if s.run.Spec.Plan != nil {
		st.Plan.LastApplied = s.run.Spec.Plan.ID
	}
	s.inEffect()
}

// inEffect: an apply has brought about what the run's revision and spec describe.
func (s settlement) inEffect() {
	s.tf.Status.LastAppliedRevision = s.run.Spec.Source.Revision
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
