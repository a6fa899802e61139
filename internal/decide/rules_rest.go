package decide

import (
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Reasons of runs: why a run exists.
const (
	ReasonFirstPlan     = "FirstPlan"
	ReasonTargetChanged = "RevisionOrSpecChanged"
	ReasonRequested     = "Requested"
	ReasonInterval      = "Interval"
	ReasonRetry         = "Retry"
	ReasonDeletion      = "Deletion"
	ReasonApproved      = "Approved"
	ReasonAutoApproved  = "AutoApproved"
	ReasonWithdrawn     = "Withdrawn"
	ReasonForced        = "Forced"
)

// abandoned: a person lets the object go, and what it has made stay. That is the way out of a deletion that can't end, so
// it asks for nothing but that no run is active.
func abandoned(f *Facts) bool { return f.Deleting && f.Abandoned }

// nothingToDestroy: the object may go.
func nothingToDestroy(f *Facts) bool {
	return f.Deleting && (!f.DestroyOnDeletion || !f.MayHaveResources || f.Destroyed)
}

func suspendedDeletion(f *Facts) bool { return f.Deleting && f.Suspended }

func suspended(f *Facts) bool { return f.Suspended }

func unsupported(f *Facts) bool { return f.Unsupported != "" }

// invalidApprove does not matter to a deletion, which approves its own plan.
func invalidApprove(f *Facts) bool { return f.InvalidApprove != "" && !f.Deleting }

func sourceDenied(f *Facts) bool { return f.Source.State == SourceDenied && !f.FromKeepsake() }

func sourceDisabled(f *Facts) bool { return f.Source.State == SourceDisabled && !f.FromKeepsake() }

func sourceMissing(f *Facts) bool { return f.Source.State == SourceMissing && !f.FromKeepsake() }

func sourceEmpty(f *Facts) bool { return f.Source.State == SourceNoArtifact && !f.FromKeepsake() }

// failedNotDue: a failure holds for its target only; a new revision, a new spec or a request is tried at once.
func failedNotDue(f *Facts) bool {
	return f.Last.Failed && f.Last.Target == f.Target && !f.Requested && f.RetryIn > 0
}

// mayApply: the stored plan is of the present target, nobody has asked for another one, and it is approved: by the deletion
// (but not under safe, which holds every destroy), by the mode, or by a person.
func mayApply(f *Facts) bool {
	if f.Plan.ID == "" || f.Plan.Target != f.Target || f.Requested || f.Last.Failed || f.Last.Session {
		return false
	}
	return consented(f)
}

// consented: somebody, or the mode, or the deletion agrees to the stored plan, and nobody objects.
func consented(f *Facts) bool {
	switch {
	case objected(f):
		return false
	case f.Deleting:
		return !f.AutoSafe || agreed(f)
	case f.Disabled:
		return false
	case f.Force, f.Plan.Forced:
		return true
	case f.PlanOnly:
		return false
	}
	return agreed(f)
}

// objected: a person, or a webhook, or what is protected stands against the plan, whatever agrees to it.
func objected(f *Facts) bool {
	return f.Plan.Rejected || f.Plan.Gate != GateOpen || f.Plan.Protected != "" && !approvedAsShown(f)
}

// agreed: a person, or the mode.
func agreed(f *Facts) bool { return f.Plan.Approved || f.Auto || f.AutoSafe && f.Plan.Safe }

// approvedAsShown: a person has approved what the plan shows; who forces a plan has not seen it.
func approvedAsShown(f *Facts) bool { return f.Plan.Approved && !f.Plan.Forced }

func planDue(f *Facts) bool {
	return f.Planned != f.Target || f.Requested || f.Last.Failed || f.Last.Session || lookDue(f)
}

func plannedOnly(f *Facts) bool { return f.Plan.ID != "" && f.PlanOnly && !f.Deleting }

func onlyReported(f *Facts) bool { return f.Plan.ID != "" && f.Disabled }

func driftWaits(f *Facts) bool { return f.Plan.ID != "" && f.Plan.Drift }

func planWaits(f *Facts) bool { return f.Plan.ID != "" }

func holdDeletion(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonSuspended,
		"deletion waits, because spec.suspend is true and spec.destroyResourcesOnDeletion asks for a destroy: " +
			"set spec.suspend to false to destroy the resources, or spec.destroyResourcesOnDeletion to false to keep them"}}
}

func stallUnsupported(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonNotImplemented, f.Unsupported}}
}

func stallInvalidApprove(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonInvalidApprovePlan, f.InvalidApprove}}
}

func stallDenied(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonAccessDenied, f.Source.Message}}
}

func stallDisabled(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonFeatureGateDisabled, f.Source.Message}}
}

func stallMissing(f *Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonArtifactFailed, f.Source.Message}}
}

// waitForArtifact needs no timer: the source's watch wakes the object.
func waitForArtifact(f *Facts) Decision {
	return Decision{Posture: Retrying, Progress: "waiting for the source", Ready: Ready{False, v1alpha2.ReasonArtifactFailed, f.Source.Message}}
}

func waitForRetry(f *Facts) Decision {
	return Decision{
		Posture:      Retrying,
		Progress:     "waiting for the next try",
		Ready:        Ready{False, f.Last.Reason, f.Last.Message},
		RequeueAfter: f.RetryIn,
	}
}

func reserveApply(f *Facts) Decision {
	reason := ReasonAutoApproved
	switch {
	case f.Plan.Forced:
		reason = ReasonForced
	case f.Plan.Approved:
		reason = ReasonApproved
	case f.Deleting:
		reason = ReasonDeletion
	}
	return Decision{Action: Reserve, Posture: Working, Progress: progress(OpApply), Order: Order{Operation: OpApply, Destroy: f.Deleting || f.Destroy, Reason: reason}}
}

// reservePlan leaves Ready alone when only the world is looked at again: Ready changes when an answer changes. After a session it has to
// stop speaking of that.
func reservePlan(f *Facts) Decision {
	d := Decision{Action: Reserve, Posture: Working, Progress: progress(OpPlan), Order: Order{Operation: OpPlan, Destroy: f.Deleting || f.Destroy, Reason: planReason(f)}}
	if f.Planned != f.Target && !(f.Last.Failed && f.Last.Target == f.Target) || f.Last.Session {
		d.Ready = Ready{Unknown, reasonProgressing, "Terraform Planning"}
	}
	return d
}

// reasonProgressing is Flux's reason (fluxcd/pkg apis/meta) for work that has just begun.
const reasonProgressing = "Progressing"

func planReason(f *Facts) string {
	switch {
	case f.Deleting:
		return ReasonDeletion
	case f.ForceRequested:
		return ReasonForced
	case f.Requested:
		return ReasonRequested
	case f.Last.Session:
		return ReasonAfterSession
	case f.Last.Failed && f.Last.Target == f.Target:
		return ReasonRetry
	case f.Planned == "":
		return ReasonFirstPlan
	case f.Planned != f.Target:
		return ReasonTargetChanged
	}
	return ReasonInterval
}

func showPlan(f *Facts) Decision {
	return waits(f, Decision{Ready: Ready{True, v1alpha2.ReasonPlannedWithChanges,
		fmt.Sprintf("Plan generated (%s): This object is in the plan only mode.", f.Plan.Summary)}})
}

func reportDrift(f *Facts) Decision {
	return waits(f, Decision{Ready: Ready{False, v1alpha2.ReasonDriftDetected,
		fmt.Sprintf("Drift detected (%s): plan %s. It is only reported: approvePlan is disable.", f.Plan.Summary, f.Plan.ID)}})
}

func waitForDriftApproval(f *Facts) Decision {
	return waits(f, Decision{Ready: Ready{False, v1alpha2.ReasonDriftDetected,
		fmt.Sprintf("Drift detected (%s): %s", f.Plan.Summary, wayOn(f, "to correct it"))}})
}

func waitForApproval(f *Facts) Decision {
	return waits(f, Decision{Ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges,
		fmt.Sprintf("Plan generated (%s): %s", f.Plan.Summary, wayOn(f, "to approve this plan"))}})
}

// wayOn says what a person can do about a plan that waits.
func wayOn(f *Facts, aim string) string {
	if f.Plan.Rejected {
		return fmt.Sprintf("plan %q is rejected. It can be approved once the annotation %s is taken away.", f.Plan.ID, v1alpha2.RejectPlanAnnotation)
	}
	return fmt.Sprintf("set approvePlan: %q %s.%s", f.Plan.ID, aim, heldFor(f))
}

// heldFor says what a plan waits for, where that is more than an approval of it.
func heldFor(f *Facts) string {
	if f.Plan.Protected == "" || approvedAsShown(f) {
		return f.Plan.Refused
	}
	return f.Plan.Refused + " It ends what spec.approval.protect names: " + f.Plan.Protected + "."
}

// inSync keeps a Ready that is True already: it says how the infrastructure came to be as it is.
func inSync(f *Facts) Decision {
	d := Decision{Posture: Resting, RequeueAfter: f.PlanIn}
	if f.Ready {
		return d
	}
	switch {
	case f.Destroy && f.Last.Operation == OpApply:
		d.Ready = Ready{True, v1alpha2.ReasonAppliedSucceed, "Destroy applied successfully: " + f.Source.Revision}
	case f.Destroy:
		d.Ready = Ready{True, v1alpha2.ReasonPlannedNoChanges, "No objects need to be destroyed: " + f.Source.Revision}
	case f.Last.Operation == OpApply && f.Last.OutputsWritten:
		d.Ready = Ready{True, v1alpha2.ReasonOutputsWritten, "Outputs written: " + f.Source.Revision}
	case f.Last.Operation == OpApply:
		d.Ready = Ready{True, v1alpha2.ReasonAppliedSucceed, "Applied successfully: " + f.Source.Revision}
	case f.WasApplied || f.Disabled:
		d.Ready = Ready{True, v1alpha2.ReasonNoDrift, "No drift: " + f.Source.Revision}
	default:
		d.Ready = Ready{True, v1alpha2.ReasonPlannedNoChanges, "Plan no changes: " + f.Source.Revision}
	}
	return d
}
