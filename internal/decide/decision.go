package decide

import "time"

// Action is the one side effect of a pass.
type Action int

const (
	// Rest does nothing.
	Rest Action = iota
	// AddFinalizer puts our finalizer on the object.
	AddFinalizer
	// CleanFinalizers takes off the finalizers that are named after other objects.
	CleanFinalizers
	// RemoveFinalizer lets the object go.
	RemoveFinalizer
	// Reserve writes the next run's name into the status, and nothing else, so that of two controllers one loses.
	Reserve
	// Start creates the reserved run, and its pod.
	Start
	// Withdraw creates the reserved run as a cancelled one, without a pod. Taking the reservation out of the status
	// instead could come too late: another controller may have created the run a moment ago.
	Withdraw
	// Drop takes back a reservation whose name is used up. Only the one who has seen the name taken may say so.
	Drop
	// StartPod creates the pod of an existing run.
	StartPod
	// CancelRun asks the run's runner to stop.
	CancelRun
	// AbandonRun ends, as cancelled, a run that no runner has claimed.
	AbandonRun
	// MarkLost ends, as failed, a run whose process has ended without a report.
	MarkLost
	// DeletePod deletes a pod that has done its work.
	DeletePod
	// AskWebhooks lets the webhooks be asked about the pending plan. Their verdict wakes the object.
	AskWebhooks
)

var actionNames = [...]string{
	"Rest", "AddFinalizer", "CleanFinalizers", "RemoveFinalizer", "Reserve", "Start", "Withdraw", "Drop", "StartPod", "CancelRun", "AbandonRun",
	"MarkLost", "DeletePod", "AskWebhooks",
}

func (a Action) String() string { return actionNames[a] }

// Posture says whether the object works, waits or is stuck: the conditions Reconciling and Stalled.
type Posture int

const (
	// Unchanged leaves both conditions.
	Unchanged Posture = iota
	// Resting: neither; nothing will happen by itself before the interval.
	Resting
	// Paused: neither, and the generation is not taken for observed.
	Paused
	// Working: Reconciling with reason Progressing.
	Working
	// Retrying: Reconciling with reason ProgressingWithRetry, and Ready is False.
	Retrying
	// Stuck: Stalled with Ready's reason; only a change by a person helps.
	Stuck
	// Queued: Reconciling with reason Queued; a run begins as soon as others have ended.
	Queued
)

// Status of the condition Ready.
type Status int

const (
	// Keep leaves Ready as it is.
	Keep Status = iota
	// True, False and Unknown are the condition's values.
	True
	False
	Unknown
)

// Ready is what the condition Ready is to say.
type Ready struct {
	Status          Status
	Reason, Message string
}

// Stalled is what the condition Stalled is to say.
type Stalled struct {
	Reason, Message string
}

// Order is the work of a run that is to be reserved or started.
type Order struct {
	Operation Operation
	// Destroy everything.
	Destroy bool
	// Reason why the run exists.
	Reason string
	// Session: the run is a person's time in the runner's pod, and plans nothing.
	Session bool
}

// Decision is what to do, and what to say about it.
type Decision struct {
	Action Action
	// Order of a run, for Reserve and Start, and of the one that is Queued.
	Order Order
	// Ready condition.
	Ready Ready
	// Posture of the object.
	Posture Posture
	// Stalled condition while Stuck, where it says something else than Ready.
	Stalled Stalled
	// Progress is the message of Reconciling while Working.
	Progress string
	// RequeueAfter is when to look again without being woken; 0: only when woken.
	RequeueAfter time.Duration
	// Rule that decided, for logs and tests.
	Rule string
}
