package v1alpha2

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TerraformStatus is what is known of the object. It is written by the controller only.
type TerraformStatus struct {
	meta.ReconcileRequestStatus `json:",inline"`
	meta.ForceRequestStatus     `json:",inline"`

	// LastHandledResetAt is the last value of the annotation reconcile.fluxcd.io/resetAt that was acted on.
	// +optional
	LastHandledResetAt string `json:"lastHandledResetAt,omitempty"`

	// LastHandledBreakTheGlass is the request for a session in the runner's pod whose session is over: spec, or the value of the
	// annotation break-the-glass.tf-controller/requestedAt. It goes when nobody wants a session any more.
	// +optional
	LastHandledBreakTheGlass string `json:"lastHandledBreakTheGlass,omitempty"`

	// ObservedGeneration is the last generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions of the object.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// LastAppliedRevision is the revision of the last successful apply.
	// +optional
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`

	// LastAttemptedRevision is the revision of the last run.
	// +optional
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`

	// LastPlannedRevision is the revision of the last successful plan.
	// +optional
	LastPlannedRevision string `json:"lastPlannedRevision,omitempty"`

	// LastPlannedGeneration is the generation of the last successful plan.
	// +optional
	LastPlannedGeneration int64 `json:"lastPlannedGeneration,omitempty"`

	// LastPlanAt is the time of the last successful plan.
	// +optional
	LastPlanAt *metav1.Time `json:"lastPlanAt,omitempty"`

	// LastSuccessfulReconcileAt is the time of the last run that did not fail.
	// +optional
	LastSuccessfulReconcileAt *metav1.Time `json:"lastSuccessfulReconcileAt,omitempty"`

	// LastDriftDetectedAt is the time of the last plan that found drift.
	// +optional
	LastDriftDetectedAt *metav1.Time `json:"lastDriftDetectedAt,omitempty"`

	// LastAppliedByDriftDetectionAt is the time of the last apply that corrected drift.
	// +optional
	LastAppliedByDriftDetectionAt *metav1.Time `json:"lastAppliedByDriftDetectionAt,omitempty"`

	// AvailableOutputs are the names of the module's outputs.
	// +optional
	AvailableOutputs []string `json:"availableOutputs,omitempty"`

	// Plan is the last plan.
	// +optional
	Plan PlanStatus `json:"plan,omitempty"`

	// Inventory lists the managed resources.
	// +optional
	Inventory *ResourceInventory `json:"inventory,omitempty"`

	// Lock is what is known of the state's lock.
	// +optional
	Lock LockStatus `json:"lock,omitempty"`

	// ReconciliationFailures counts the failed runs since the last one that did not fail.
	// +optional
	ReconciliationFailures int64 `json:"reconciliationFailures,omitempty"`

	// LastFailure is the run that reconciliationFailures counts up to.
	// +optional
	LastFailure *FailedRun `json:"lastFailure,omitempty"`

	// Queue is the place of an object whose run is due and waits for others to end.
	// +optional
	Queue *QueuePlace `json:"queue,omitempty"`

	// ActiveRun is the run that may work on this object; no other may.
	// +optional
	ActiveRun *ActiveRun `json:"activeRun,omitempty"`

	// RunSequence is the sequence of the newest run. It only grows.
	// +optional
	RunSequence int64 `json:"runSequence,omitempty"`

	// AppliesStarted counts the applies that were ordered, and the sessions that were open: from the first on there may be resources.
	// +optional
	AppliesStarted int64 `json:"appliesStarted,omitempty"`

	// AppliesCompleted counts the applies that succeeded. Plan ids depend on it, so that none comes back.
	// +optional
	AppliesCompleted int64 `json:"appliesCompleted,omitempty"`

	// Approval is the last approval that was seen.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// RefusedApproval is an approval that does not hold for the pending plan.
	// +optional
	RefusedApproval *RefusedApproval `json:"refusedApproval,omitempty"`

	// SeenToken is the last spec.approvePlan that was looked at: a token without the last part of an id counts only for the
	// plan that was pending when it came.
	// +optional
	SeenToken string `json:"seenToken,omitempty"`

	// RejectedIDs are the plans that were rejected, by the annotation reject-plan, since that was last away. One of them that is
	// pending again is still rejected; with ten of them every plan is.
	// +optional
	RejectedIDs []string `json:"rejectedIds,omitempty"`

	// SpentIDs are the ids that were approved, or stood in spec or annotation to be, when an apply was last completed. No plan has
	// one of them again: one that is said to is not approved by it.
	// +optional
	SpentIDs []string `json:"spentIds,omitempty"`

	// Webhooks is what spec.webhooks have said of a plan.
	// +optional
	Webhooks *WebhookVerdict `json:"webhooks,omitempty"`

	// State is the state as the last run left it.
	// +optional
	State *StateStatus `json:"state,omitempty"`

	// StateOverride is the last refusal of the state guard that a person has overridden.
	// +optional
	StateOverride *StateOverride `json:"stateOverride,omitempty"`

	// FormerRunner is the runner pod that the incumbent has left behind, and whose process has ended. It is forgotten with
	// the first run that succeeds.
	// +optional
	FormerRunner *FormerRunner `json:"formerRunner,omitempty"`

	// Kept is what the last apply has kept, so that a destroy needs neither source nor inputs.
	// +optional
	Kept *KeptStatus `json:"kept,omitempty"`
}

// WebhookVerdict is what the webhooks have said of a plan.
type WebhookVerdict struct {
	// PlanID is the id of the plan.
	PlanID string `json:"planId"`

	// Run that made the plan when they were asked.
	// +optional
	Run string `json:"run,omitempty"`

	// Digest stands for the webhooks that were asked and for what the plan was made for.
	Digest string `json:"digest"`

	// Allowed says that all have agreed.
	// +optional
	Allowed bool `json:"allowed,omitempty"`

	// Message says why the plan is held.
	// +optional
	Message string `json:"message,omitempty"`

	// At is when they have answered, or have not.
	At metav1.Time `json:"at"`
}

// StateOverride records that a refusal of the state guard was overridden.
type StateOverride struct {
	// Token is the evidence that the annotation state-guard-override named.
	Token string `json:"token"`

	// Message says what was found and what was expected.
	// +optional
	Message string `json:"message,omitempty"`

	// Run that went on.
	Run string `json:"run"`

	// At is when that run ended.
	At metav1.Time `json:"at"`
}

// FormerRunner is a runner pod of the incumbent whose process has provably ended. All its pods of one object have the same
// hostname, so that the time tells its locks from those of others.
type FormerRunner struct {
	// PodUID is the UID of the pod.
	PodUID string `json:"podUID"`

	// Hostname of the pod.
	Hostname string `json:"hostname"`

	// StartedAt is when the pod was started.
	StartedAt metav1.Time `json:"startedAt"`

	// EndedAt is when its process ended, by the kubelet's report.
	EndedAt metav1.Time `json:"endedAt"`
}

// KeptStatus names what an apply has kept in a Secret of the object's namespace.
type KeptStatus struct {
	// Digest of what is kept, sha256:<hex>.
	Digest string `json:"digest"`

	// Revision that it is of.
	// +optional
	Revision string `json:"revision,omitempty"`

	// Size in bytes.
	// +optional
	Size int64 `json:"size,omitempty"`
}

// ActiveRun names the run that may work on an object.
type ActiveRun struct {
	// Name of the TerraformRun.
	Name string `json:"name"`

	// Sequence of the run.
	Sequence int64 `json:"sequence"`

	// Session: the run is a person's session in the runner's pod, which keeps no other run waiting.
	// +optional
	Session bool `json:"session,omitempty"`
}

// FailedRun is a run that failed.
type FailedRun struct {
	// Name of the TerraformRun.
	Name string `json:"name"`

	// Operation of the run.
	Operation Operation `json:"operation"`

	// Target that it was made for.
	Target string `json:"target"`
}

// QueuePlace is the place of an object in the queue of runs that are due.
type QueuePlace struct {
	// Class of the run. Those that a person has approved come first, then new targets, retries and drift checks.
	Class QueueClass `json:"class"`

	// Since is when the run became due.
	Since metav1.Time `json:"since"`
}

// QueueClass says what a due run is for.
// +kubebuilder:validation:Enum=Approved;Target;Retry;Drift
type QueueClass string

const (
	// QueueApproved applies what a person, or a deletion, has approved.
	QueueApproved QueueClass = "Approved"
	// QueueTarget plans or applies a new revision or spec, or answers a request.
	QueueTarget QueueClass = "Target"
	// QueueRetry tries again what has failed.
	QueueRetry QueueClass = "Retry"
	// QueueDrift looks whether the infrastructure is still as it was applied.
	QueueDrift QueueClass = "Drift"
)

// PlanStatus is the last plan.
type PlanStatus struct {
	// Pending is the id of the plan that waits or is being applied.
	// +optional
	Pending string `json:"pending,omitempty"`

	// LastApplied is the id of the last plan that was applied.
	// +optional
	LastApplied string `json:"lastApplied,omitempty"`

	// IsDestroyPlan says that the last plan destroys everything.
	// +optional
	IsDestroyPlan bool `json:"isDestroyPlan,omitempty"`

	// IsDriftDetectionPlan says that the pending plan corrects drift.
	// +optional
	IsDriftDetectionPlan bool `json:"isDriftDetectionPlan,omitempty"`

	// Digest of the stored plan that pending names.
	// +optional
	Digest string `json:"digest,omitempty"`

	// Run is the name of the TerraformRun that made the last plan; its status has the plan as a person reads it.
	// +optional
	Run string `json:"run,omitempty"`

	// Destroyed says that everything has been destroyed, and nothing applied since, nor was there a session.
	// +optional
	Destroyed bool `json:"destroyed,omitempty"`

	// Safe says that the pending plan neither deletes, replaces nor forgets anything.
	// +optional
	Safe bool `json:"safe,omitempty"`

	// Differed counts the refreshes in a row that gave another plan than the one that waited, though neither its target
	// nor the state had moved. From 2 on the plan is volatile, and not refreshed by interval any more.
	// +optional
	Differed int64 `json:"differed,omitempty"`

	// Summary of the last plan, like "+3 ~1 -0".
	// +optional
	Summary string `json:"summary,omitempty"`

	// Target identifies what the last successful plan was made for: revision, spec, destroy.
	// +optional
	Target string `json:"target,omitempty"`

	// AppliedTarget identifies what the infrastructure was last made or found equal to.
	// +optional
	AppliedTarget string `json:"appliedTarget,omitempty"`
}

// LockStatus is what is known of the state's lock.
type LockStatus struct {
	// LastApplied is the ID of the lock before the pending one.
	// +optional
	LastApplied string `json:"lastApplied,omitempty"`

	// Pending is the ID of the lock that is held by someone else.
	// +optional
	Pending string `json:"pending,omitempty"`
}

// Approval records who agreed to a plan.
type Approval struct {
	// PlanID is the id of the plan.
	PlanID string `json:"planId,omitempty"`

	// By names the approver, as far as it is known.
	// +optional
	By string `json:"by,omitempty"`

	// How the approval came: Annotation, Spec, Auto, Deletion or Force.
	// +optional
	How ApprovalHow `json:"how,omitempty"`

	// At is when it was seen.
	// +optional
	At metav1.Time `json:"at,omitempty"`

	// Changes are the digests of the changes that it covers. A later plan that holds no other change goes on without
	// asking. The set is used up when such a plan has been applied completely, or when it is older than --approval-ttl.
	// +optional
	Changes []string `json:"changes,omitempty"`

	// CoveredPlan is the id of a later plan that it covers.
	// +optional
	CoveredPlan string `json:"coveredPlan,omitempty"`
}

// RefusedApproval says which changes an approval does not cover.
type RefusedApproval struct {
	// PlanID is the plan that was approved.
	PlanID string `json:"planId"`
	// Changes are addresses in the pending plan whose change nobody has approved; at most 10.
	// +optional
	Changes []string `json:"changes,omitempty"`
	// Reason says why the approval does not count at all.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// ApprovalHow names the way an approval came.
type ApprovalHow string

const (
	// ApprovalByAnnotation is the annotation approve-plan.
	ApprovalByAnnotation ApprovalHow = "Annotation"
	// ApprovalBySpec is a plan id in spec.approvePlan.
	ApprovalBySpec ApprovalHow = "Spec"
	// ApprovalByMode is spec.approvePlan: auto.
	ApprovalByMode ApprovalHow = "Auto"
	// ApprovalByDeletion is the deletion of an object with destroyResourcesOnDeletion.
	ApprovalByDeletion ApprovalHow = "Deletion"
	// ApprovalByForce is spec.force, or the annotation reconcile.fluxcd.io/forceAt for the plan that it has asked for.
	ApprovalByForce ApprovalHow = "Force"
)

// StateStatus identifies a version of the state.
type StateStatus struct {
	// Lineage of the state.
	// +optional
	Lineage string `json:"lineage,omitempty"`

	// Serial of the state.
	// +optional
	Serial int64 `json:"serial,omitempty"`

	// Size of the state in bytes, uncompressed.
	// +optional
	Size int64 `json:"size,omitempty"`

	// Backend identifies where the state is kept: backend configuration and workspace.
	// +optional
	Backend string `json:"backend,omitempty"`

	// Resources is the number of managed resource instances.
	// +optional
	Resources int64 `json:"resources,omitempty"`
}

// ResourceInventory lists managed resources.
type ResourceInventory struct {
	// Entries of the inventory.
	Entries []ResourceRef `json:"entries"`
}

// ResourceRef is one managed resource.
type ResourceRef struct {
	// Name of the resource in the module.
	Name string `json:"n"`

	// Type of the resource.
	Type string `json:"t"`

	// Identifier is its arn or id.
	Identifier string `json:"id"`
}
