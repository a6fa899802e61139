package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TerraformRunKind is the kind of a run.
const TerraformRunKind = "TerraformRun"

// Operation is what a run does. There is nothing else: a destroy is a plan (or the apply of a plan) with
// spec.terraform.destroy.
// +kubebuilder:validation:Enum=Plan;Apply
type Operation string

const (
	// OperationPlan makes and stores a plan; nothing is changed.
	OperationPlan Operation = "Plan"
	// OperationApply applies the stored plan that spec.plan names, and no other.
	OperationApply Operation = "Apply"
)

// TerraformRunSpec is a work order. The controller writes it once; only cancel may be added afterwards. Each field
// compares itself with its old value; what is left for the whole is that none comes or goes.
// +kubebuilder:validation:XValidation:rule="has(self.requestedAt) == has(oldSelf.requestedAt) && has(self.appliesCompleted) == has(oldSelf.appliesCompleted) && has(self.plan) == has(oldSelf.plan) && has(self.approval) == has(oldSelf.approval) && has(self.state) == has(oldSelf.state) && has(self.backend) == has(oldSelf.backend) && has(self.unlock) == has(oldSelf.unlock) && has(self.kept) == has(oldSelf.kept) && has(self.stateOverride) == has(oldSelf.stateOverride) && has(self.tidyUp) == has(oldSelf.tidyUp) && has(self.session) == has(oldSelf.session) && has(self.formerPlan) == has(oldSelf.formerPlan)",message="a run is immutable, only cancel may be set"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || has(self.cancel)",message="a cancelled run stays cancelled"
// +kubebuilder:validation:XValidation:rule="self.operation != 'Apply' || has(self.plan)",message="an apply names the stored plan that it applies"
type TerraformRunSpec struct {
	// Operation of the run.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Operation Operation `json:"operation"`

	// Reason says why the run exists, for the person who reads the history.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Reason string `json:"reason"`

	// Source is the exact artifact.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Source RunSource `json:"source"`

	// Terraform is the spec of the Terraform object when the run was made, without what the run does not need.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +kubebuilder:pruning:PreserveUnknownFields
	Terraform TerraformSpec `json:"terraform"`

	// Target identifies what is planned or applied: revision, spec, destroy.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Target string `json:"target"`

	// Generation of the Terraform object when the run was made.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Generation int64 `json:"generation"`

	// RequestedAt is the value of the annotation reconcile.fluxcd.io/requestedAt that this run answers.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	RequestedAt string `json:"requestedAt,omitempty"`

	// PodName is the name of the runner pod.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	PodName string `json:"podName"`

	// Hostname of the runner pod, unique for each pod, so that a lock's "Who" names it.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	Hostname string `json:"hostname"`

	// AppliesCompleted goes into the id of the plan.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	AppliesCompleted int64 `json:"appliesCompleted,omitempty"`

	// Plan is the stored plan to apply; of a plan run, the one of the same target that waits, which stays when nothing is
	// different.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Plan *PlanReference `json:"plan,omitempty"`

	// Approval of the plan to apply.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// Backend identifies where the state is kept: backend configuration and workspace.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Backend string `json:"backend,omitempty"`

	// State that the runner has to find, or a later one of the same lineage.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	State *StateStatus `json:"state,omitempty"`

	// Unlock orders the release of one lock.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Unlock *Unlock `json:"unlock,omitempty"`

	// Kept is the digest of what an apply has kept, for a destroy to work from where source or inputs can't be had. Where
	// there is none, a plan that finds nothing to change keeps it.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Kept string `json:"kept,omitempty"`

	// StateOverride is the evidence of the state guard that a person has overridden: a state with this evidence, and no
	// other, is worked on though the guard would refuse it.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	StateOverride string `json:"stateOverride,omitempty"`

	// TidyUp lets the runner delete the TLS Secrets that the incumbent has left in the namespace: no runner of it is there any
	// more.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	TidyUp bool `json:"tidyUp,omitempty"`

	// FormerPlan is the id of a plan that the incumbent has stored, and that was approved before its end. The runner looks at
	// what is in it, so that the approval can be held against the plan that it makes.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	FormerPlan string `json:"formerPlan,omitempty"`

	// Session makes the run a person's time in the runner's pod, where everything is prepared as for a plan; nothing is
	// planned.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a run is immutable, only cancel may be set"
	// +optional
	Session *Session `json:"session,omitempty"`

	// Cancel asks the runner to stop.
	// +optional
	Cancel *Cancel `json:"cancel,omitempty"`
}

// Session is a person's time in a runner's pod.
type Session struct {
	// Request that it answers: that of the spec, or the value of the annotation.
	Request string `json:"request"`
	// Limit is the longest time that it may take.
	Limit metav1.Duration `json:"limit"`
}

// SessionStatus is how a session went.
type SessionStatus struct {
	// OpenedAt is when the pod was ready for a person.
	OpenedAt metav1.Time `json:"openedAt"`
	// Until is when it ends by itself.
	Until metav1.Time `json:"until"`
	// Directory of the module in the pod.
	Directory string `json:"directory"`
	// Environment is a file in the pod that gives a shell what the run has: `. <file>`.
	// +optional
	Environment string `json:"environment,omitempty"`
	// Note says what could not be prepared.
	// +optional
	Note string `json:"note,omitempty"`
}

// SourceKept is the kind of a run's source that is what the last apply has kept; its digest is that of spec.kept.
const SourceKept = "Kept"

// RunSource is the exact artifact of a run.
type RunSource struct {
	// Kind of the source; Kept for what the last apply has kept.
	Kind string `json:"kind"`
	// Namespace of the source.
	Namespace string `json:"namespace"`
	// Name of the source.
	Name string `json:"name"`
	// Revision of the artifact.
	Revision string `json:"revision"`
	// Digest of the artifact, like sha256:<hex>.
	Digest string `json:"digest"`
	// URL of the artifact at the source.
	URL string `json:"url"`
}

// PlanReference names one stored plan.
type PlanReference struct {
	// ID of the plan.
	ID string `json:"id"`
	// Digest of the stored plan, sha256:<hex>. It covers the plan file and all that is applied with it.
	Digest string `json:"digest"`
}

// Unlock orders the release of one lock.
type Unlock struct {
	// ID of the lock, by order of a person.
	// +optional
	ID string `json:"id,omitempty"`
	// Hostnames of runner pods whose processes have provably ended: a lock that one of them holds is nobody's.
	// +optional
	Hostnames []string `json:"hostnames,omitempty"`
	// FormerRunner is a runner pod of the incumbent whose process has provably ended: a lock of its hostname is nobody's, if it
	// was taken in its lifetime.
	// +optional
	FormerRunner *FormerRunner `json:"formerRunner,omitempty"`
	// Evidence that its holder is gone, or the order of a person.
	Evidence string `json:"evidence"`
}

// Cancel asks a runner to stop.
type Cancel struct {
	// Reason of the cancellation.
	Reason string `json:"reason"`
	// By names who asked.
	// +optional
	By string `json:"by,omitempty"`
}

// RunPhase is how far a run is.
// +kubebuilder:validation:Enum=Pending;Running;Succeeded;Failed;Cancelled
type RunPhase string

const (
	// RunPending waits for its runner.
	RunPending RunPhase = "Pending"
	// RunRunning is claimed by a runner.
	RunRunning RunPhase = "Running"
	// RunSucceeded ended well.
	RunSucceeded RunPhase = "Succeeded"
	// RunFailed ended with a failure.
	RunFailed RunPhase = "Failed"
	// RunCancelled ended because it was asked to.
	RunCancelled RunPhase = "Cancelled"
)

// RunStep says where a run is, in the order of the constants.
type RunStep string

// The steps of a run.
const (
	StepClaim     RunStep = "Claim"
	StepFetch     RunStep = "Fetch"
	StepWorkspace RunStep = "Workspace"
	StepGuard     RunStep = "Guard"
	StepInit      RunStep = "Init"
	StepPlan      RunStep = "Plan"
	// StepSession takes the place of all that follows Init.
	StepSession   RunStep = "Session"
	StepStorePlan RunStep = "StorePlan"
	StepLoadPlan  RunStep = "LoadPlan"
	StepApply     RunStep = "Apply"
	StepOutputs   RunStep = "Outputs"
	// StepHealthChecks is there only when the spec has health checks.
	StepHealthChecks RunStep = "HealthChecks"
)

// TerraformRunStatus is written by the run's own runner; by the controller only when the runner's process has
// provably ended without a word.
type TerraformRunStatus struct {
	// Phase of the run.
	// +optional
	Phase RunPhase `json:"phase,omitempty"`

	// Step that the run is at, or ended at.
	// +optional
	Step RunStep `json:"step,omitempty"`

	// Runner that has claimed the run.
	// +optional
	Runner *RunnerIdentity `json:"runner,omitempty"`

	// StartedAt is when the run was claimed.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// ApplyStartedAt is when the engine was about to be started for the apply. From here on something may have
	// changed.
	// +optional
	ApplyStartedAt *metav1.Time `json:"applyStartedAt,omitempty"`

	// ApplyFinishedAt is when the engine had applied the whole plan. What fails after that is no failed apply.
	// +optional
	ApplyFinishedAt *metav1.Time `json:"applyFinishedAt,omitempty"`

	// FinishedAt is when the run ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// Engine that did the work.
	// +optional
	Engine *EngineIdentity `json:"engine,omitempty"`

	// Plan that was made or applied.
	// +optional
	Plan *RunPlan `json:"plan,omitempty"`

	// FormerPlan is what was found of the plan of spec.formerPlan.
	// +optional
	FormerPlan *FormerPlan `json:"formerPlan,omitempty"`

	// Inputs are the objects that were read.
	// +optional
	Inputs []InputReference `json:"inputs,omitempty"`

	// State after the run.
	// +optional
	State *StateStatus `json:"state,omitempty"`

	// Unlocked is the ID of a lock that was released, see spec.unlock.
	// +optional
	Unlocked string `json:"unlocked,omitempty"`

	// StateOverridden says, with the evidence, which refusal of the state guard was overridden by spec.stateOverride.
	// +optional
	StateOverridden string `json:"stateOverridden,omitempty"`

	// Kept is what is kept for a destroy: by an apply, stored before the engine was started, or by the first plan that
	// found nothing to change.
	// +optional
	Kept *RunKept `json:"kept,omitempty"`

	// StateBackup is the version of the state that an apply has kept, or why it has not.
	// +optional
	StateBackup *RunStateBackup `json:"stateBackup,omitempty"`

	// Session that was open, of a run that is one.
	// +optional
	Session *SessionStatus `json:"session,omitempty"`

	// Lock that stood in the way.
	// +optional
	Lock *LockInfo `json:"lock,omitempty"`

	// Outputs are the names of the module's outputs.
	// +optional
	Outputs []string `json:"outputs,omitempty"`

	// OutputsRead says that outputs is known; without it the run never got that far.
	// +optional
	OutputsRead bool `json:"outputsRead,omitempty"`

	// OutputsWritten are the keys of the outputs Secret and ConfigMap, when they were asked for.
	// +optional
	OutputsWritten []string `json:"outputsWritten,omitempty"`

	// OutputsWithheld are sensitive outputs that were not written to the ConfigMap.
	// +optional
	OutputsWithheld []string `json:"outputsWithheld,omitempty"`

	// HealthChecks are the results of spec.healthChecks, in their order.
	// +optional
	HealthChecks []HealthCheckResult `json:"healthChecks,omitempty"`

	// Inventory of managed resources, when asked for.
	// +optional
	Inventory *ResourceInventory `json:"inventory,omitempty"`

	// Failure of a run that failed or was cancelled.
	// +optional
	Failure *RunFailure `json:"failure,omitempty"`
}

// RunKept is what an apply has kept for a destroy, or why it has not.
type RunKept struct {
	// Digest of what is kept, sha256:<hex>; empty when nothing could be kept.
	// +optional
	Digest string `json:"digest,omitempty"`
	// Size of what is kept, in bytes.
	// +optional
	Size int64 `json:"size,omitempty"`
	// Message says why nothing is kept.
	// +optional
	Message string `json:"message,omitempty"`
}

// RunStateBackup is a version of the state that is kept, or why none is.
type RunStateBackup struct {
	// Name of the Secret that holds the newest version, or what the names of its Secrets begin with.
	// +optional
	Name string `json:"name,omitempty"`
	// Serial of the state in it.
	// +optional
	Serial int64 `json:"serial,omitempty"`
	// Message says which version could not be kept, and why.
	// +optional
	Message string `json:"message,omitempty"`
}

// HealthCheckResult is what a health check has found.
type HealthCheckResult struct {
	// Name of the check.
	Name string `json:"name"`
	// Healthy says that it has succeeded.
	Healthy bool `json:"healthy"`
	// Message says why it has not.
	// +optional
	Message string `json:"message,omitempty"`
}

// RunnerIdentity names the pod that has claimed a run.
type RunnerIdentity struct {
	// PodUID of the runner pod.
	PodUID string `json:"podUID"`
	// Node of the runner pod.
	// +optional
	Node string `json:"node,omitempty"`
}

// EngineIdentity names an engine.
type EngineIdentity struct {
	// Name of the engine: tofu or terraform.
	Name string `json:"name"`
	// Version of the engine, without v.
	Version string `json:"version"`
}

// InputReference is an object that a run has read. No digest of its values is kept.
type InputReference struct {
	// Kind of the object: Secret or ConfigMap.
	Kind string `json:"kind"`
	// Name of the object, in the run's namespace.
	Name string `json:"name"`
	// UID of the object that was read.
	UID string `json:"uid"`
	// ResourceVersion of the object that was read.
	ResourceVersion string `json:"resourceVersion"`
}

// LockInfo is what the holder of a lock wrote of itself.
type LockInfo struct {
	// ID of the lock.
	// +optional
	ID string `json:"id,omitempty"`
	// Operation of the holder.
	// +optional
	Operation string `json:"operation,omitempty"`
	// Who holds it.
	// +optional
	Who string `json:"who,omitempty"`
	// Created is when it was taken.
	// +optional
	Created string `json:"created,omitempty"`
}

// RunFailure says why a run failed.
type RunFailure struct {
	// Reason is a condition reason.
	Reason string `json:"reason"`
	// Message for a person: what, where, and what to do.
	Message string `json:"message"`
	// Diagnostics of the engine, redacted; at most 20.
	// +optional
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// Diagnostic is one error or warning of the engine.
type Diagnostic struct {
	// Severity is error or warning.
	Severity string `json:"severity"`
	// Summary of the diagnostic.
	Summary string `json:"summary"`
	// Detail of the diagnostic.
	// +optional
	Detail string `json:"detail,omitempty"`
	// Address of the resource.
	// +optional
	Address string `json:"address,omitempty"`
	// File in the module.
	// +optional
	File string `json:"file,omitempty"`
	// Line in the file.
	// +optional
	Line int `json:"line,omitempty"`
}

// TerraformRun is one plan or apply of a Terraform object: the work order and what became of it.
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=tfrun
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Operation",type="string",JSONPath=".spec.operation"
// +kubebuilder:printcolumn:name="Reason",type="string",JSONPath=".spec.reason"
// +kubebuilder:printcolumn:name="Phase",type="string",JSONPath=".status.phase"
// +kubebuilder:printcolumn:name="Step",type="string",JSONPath=".status.step"
// +kubebuilder:printcolumn:name="Plan",type="string",JSONPath=".status.plan.short"
// +kubebuilder:printcolumn:name="Failure",type="string",JSONPath=".status.failure.reason"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type TerraformRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the work order.
	// +required
	Spec TerraformRunSpec `json:"spec,omitempty"`

	// Status is what became of it.
	// +optional
	Status TerraformRunStatus `json:"status,omitempty"`
}

// TerraformRunList is a list of runs.
// +kubebuilder:object:root=true
type TerraformRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TerraformRun `json:"items"`
}
