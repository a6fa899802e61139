// Package decide says what is to be done next for a Terraform object. Next is a pure function of Facts: no cluster,
// no clock, no I/O. The whole lifecycle is the ordered list in rules.go.
//
//	Terraform, TerraformRun, Pod, source ──Settle──> Facts ──Next──> Decision
//
// Settle folds what a finished run reports into the status, so that no rule has to know about it.
package decide

import "time"

// Facts is everything that a decision depends on, gathered by the caller. Times are given as what is left of them.
type Facts struct {
	// Finalizer is on the object.
	Finalizer bool
	// StrayFinalizers: the incumbent has put finalizers on the object that are named after others.
	StrayFinalizers bool
	// Deleting: the object has a deletion timestamp.
	Deleting bool
	// Suspended is spec.suspend.
	Suspended bool
	// Unsupported says that the source is of a kind that this version does not work with; "" when it does.
	Unsupported string
	// InvalidApprove says what is wrong with spec.approvePlan; "" when nothing is.
	InvalidApprove string
	// Auto: every plan is applied.
	Auto bool
	// AutoSafe: every plan is applied that neither deletes, replaces nor forgets.
	AutoSafe bool
	// Disabled: nothing is applied, drift is reported.
	Disabled bool
	// PlanOnly: no plan is applied.
	PlanOnly bool
	// DestroyOnDeletion is spec.destroyResourcesOnDeletion.
	DestroyOnDeletion bool
	// Abandoned: a person wants the object to go when it is deleted, and its resources to stay, whatever the spec says.
	Abandoned bool
	// MayHaveResources: an apply has been started once, or the state has resources.
	MayHaveResources bool
	// Destroy is spec.destroy: what is planned and applied is the destruction of everything.
	Destroy bool
	// Force is spec.force: every plan is applied.
	Force bool
	// ForceRequested: somebody asked for a plan that is to be applied, and none has been made since.
	ForceRequested bool
	// KeepPod lets a pod that waits wait on, though it is not known that its plan will be applied.
	KeepPod bool
	// Requested: somebody asked for a plan, and none has been made since.
	Requested bool

	// Glass: a person wants a session in the runner's pod.
	Glass Glass

	// Kept: an apply has stored what a destroy needs, so that it can do without the source.
	Kept bool

	// Source of the module.
	Source Source
	// Target identifies what a plan made now would be made for; "" without an artifact or a keepsake.
	Target string
	// Planned is the target of the last successful plan.
	Planned string
	// Destroyed: everything has been destroyed, and nothing applied since.
	Destroyed bool

	// Dependency that is in the way.
	Dependency Dependency
	// Dependants names the objects that depend on this one, "" for none.
	Dependants string
	// Exhausted: as many runs have failed in a row as may.
	Exhausted bool
	// Queue for runs.
	Queue Queue

	// Run that is active.
	Run Run
	// Pod of the runner.
	Pod Pod
	// Last is the newest finished run.
	Last Last
	// Plan that is stored and has not been applied.
	Plan Plan

	// PlanIn is the time to the next plan by interval; due when it is not positive.
	PlanIn time.Duration
	// RetryIn is the time to the next try after a failure; due when it is not positive.
	RetryIn time.Duration
	// WasApplied: an apply has succeeded before.
	WasApplied bool
	// Troubled: the condition Ready speaks of a runner pod that could not do its work.
	Troubled bool
	// Ready: the condition Ready is True now, for this target.
	Ready bool
}

// FromKeepsake says that the object's end is worked on from what an apply has kept, because its source has nothing to
// offer. Target is then that of the kept files.
func (f *Facts) FromKeepsake() bool {
	return f.Kept && f.Deleting && f.DestroyOnDeletion && f.Source.State != SourceReady
}

// SourceState is what is known of a source.
type SourceState int

const (
	// SourceReady has an artifact.
	SourceReady SourceState = iota
	// SourceMissing does not exist.
	SourceMissing
	// SourceDenied is in a namespace that may not be used.
	SourceDenied
	// SourceDisabled is of a kind that this controller was not told to use.
	SourceDisabled
	// SourceNoArtifact exists, but has nothing to offer yet.
	SourceNoArtifact
)

// Source of the module.
type Source struct {
	State SourceState
	// Message says what is wrong, naming the source.
	Message string
	// Revision of the artifact.
	Revision string
}

// Operation of a run.
type Operation int

const (
	// OpPlan makes and stores a plan.
	OpPlan Operation = iota
	// OpApply applies the stored plan.
	OpApply
)

// RunState is how far the active run is. A finished run is not active: Settle has accounted for it.
type RunState int

const (
	// RunNone: no run is active.
	RunNone RunState = iota
	// RunReserved: the status names a run that does not exist yet.
	RunReserved
	// RunOrdered: the run exists, no runner has claimed it.
	RunOrdered
	// RunClaimed: a runner works on it.
	RunClaimed
)

// Run that is active.
type Run struct {
	State     RunState
	Operation Operation
	Target    string
	// Cancelled: it has been asked to stop.
	Cancelled bool
	// Destroy: it is part of the destruction of everything.
	Destroy bool
	// Unloved: a person wants it to stop.
	Unloved bool
	// Session: it is a person's time in the runner's pod. Door says how to get in, "" before it is open.
	Session bool
	Door    string
	// HandedOver: it was given to the pod of its plan, and no other pod may do it: two processes of one hostname could not be
	// told apart by a lock.
	HandedOver bool
}

// PodState is what is known of the runner's process.
type PodState int

const (
	// PodNone: there is no pod.
	PodNone PodState = iota
	// PodPending: the process has not been started.
	PodPending
	// PodRunning: the process works, or nobody has said otherwise.
	PodRunning
	// PodWaiting: the process has made the stored plan, and waits for the order to apply it.
	PodWaiting
	// PodEnded: the process has provably ended, or provably never began and never will.
	PodEnded
)

// Pod of the runner.
type Pod struct {
	State PodState
	// OfRun: it was made for the active run.
	OfRun bool
	// Leaving: it is being deleted. Overdue: it was to be gone by now, so that its node may be dead.
	Leaving, Overdue bool
	// Where names pod, node and run of a runner that is not to be heard of.
	Where string
	// Stuck says why a pending pod does not start; "" when nothing is known to be wrong.
	Stuck string
}

// Last is the newest finished run.
type Last struct {
	// Failed or cancelled.
	Failed bool
	// Unhealthy: all was done that was to be done, and a health check has failed.
	Unhealthy bool
	// Session: it was a person's time in the runner's pod; Failed says then that it was never open.
	Session bool
	// Reason and Message of the failure.
	Reason, Message string
	// Operation of the run.
	Operation Operation
	// Target of the run.
	Target string
	// OutputsWritten: the outputs Secret holds what the run has read.
	OutputsWritten bool
}

// Plan that is stored and has not been applied. The zero value: there is none.
type Plan struct {
	// ID of the plan.
	ID string
	// Target that it was made for.
	Target string
	// Drift: at its target everything had been applied before.
	Drift bool
	// Approved: a person has approved this plan, or one that holds all its changes.
	Approved bool
	// Forced: a person has asked for this plan so that it is applied.
	Forced bool
	// Rejected: a person has refused this plan.
	Rejected bool
	// Safe: it neither deletes, replaces nor forgets.
	Safe bool
	// Protected says what it ends that only a person's word for this plan may end; "" when there is nothing.
	Protected string
	// Volatile: it is another one each time it is made, though neither target nor state has moved.
	Volatile bool
	// Refused says which approval does not hold for this plan, and for what; "" when there is none.
	Refused string
	// Summary of the plan, like "+3 ~1 -0".
	Summary string
	// Gate is what webhooks say of it, GateMessage why it is shut, and AskIn the time to the next try then.
	Gate        Gate
	GateMessage string
	AskIn       time.Duration
}
