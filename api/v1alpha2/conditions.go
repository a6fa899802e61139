package v1alpha2

// Condition types, besides Ready, Reconciling and Stalled.
const (
	ConditionApply       = "Apply"
	ConditionPlan        = "Plan"
	ConditionOutput      = "Output"
	ConditionHealthCheck = "HealthCheck"
	ConditionStateLocked = "StateLocked"
)

// Reasons that users' alerts and scripts know from the incumbent.
const (
	ReasonAccessDenied             = "AccessDenied"
	ReasonArtifactFailed           = "ArtifactFailed"
	ReasonDependencyNotReady       = "DependencyNotReady"
	ReasonDeletionBlocked          = "DeletionBlockedByDependantsReason"
	ReasonTFExecNewFailed          = "TFExecNewFailed"
	ReasonTFExecInitFailed         = "TFExecInitFailed"
	ReasonVarsGenerationFailed     = "VarsGenerationFailed"
	ReasonTemplateGenerationFailed = "TemplateGenerationFailed"
	ReasonSelectWorkspaceFailed    = "SelectWorkspaceFailed"
	ReasonTFExecPlanFailed         = "TFExecPlanFailed"
	ReasonTFExecApplyFailed        = "TFExecApplyFailed"
	ReasonTFExecOutputFailed       = "TFExecOutputFailed"
	ReasonOutputsWritingFailed     = "OutputsWritingFailed"
	ReasonDriftDetected            = "DriftDetected"
	ReasonDriftDetectionFailed     = "DriftDetectionFailed"
	ReasonNoDrift                  = "NoDrift"
	ReasonPlannedNoChanges         = "TerraformPlannedNoChanges"
	ReasonPlannedWithChanges       = "TerraformPlannedWithChanges"
	ReasonAppliedSucceed           = "TerraformAppliedSucceed"
	ReasonAppliedFail              = "TerraformAppliedFail"
	ReasonOutputsAvailable         = "TerraformOutputsAvailable"
	ReasonOutputsWritten           = "TerraformOutputsWritten"
	ReasonHealthChecksSucceed      = "HealthChecksSucceed"
	ReasonHealthChecksFailed       = "HealthChecksFailed"
	ReasonLockHeld                 = "LockHeld"
	ReasonForceUnlock              = "ForceUnlock"
	ReasonRetryLimitReached        = "RetryLimitReached"
	ReasonReplanRequested          = "ReplanRequested"
	ReasonWebhookFailed            = "PostPlanningWebhookFailed"
)

// Reasons of our own.
const (
	// ReasonNotImplemented (Stalled, Ready): the kind of spec.sourceRef is none that this version works with.
	ReasonNotImplemented = "NotImplemented"
	// ReasonInvalidApprovePlan (Stalled, Ready): spec.approvePlan is no word we know.
	ReasonInvalidApprovePlan = "InvalidApprovePlan"
	// ReasonFeatureGateDisabled (Stalled, Ready) is Flux's: a kind of source is used that is switched off.
	ReasonFeatureGateDisabled = "FeatureGateDisabled"
	// ReasonPlanNotApplicable (run): the stored plan can't be applied any more; a new one is made.
	ReasonPlanNotApplicable = "PlanNotApplicable"
	// ReasonRunnerLost (run): the runner's process ended without a report.
	ReasonRunnerLost = "RunnerLost"
	// ReasonRunnerPending (Ready): the runner pod does not start.
	ReasonRunnerPending = "RunnerPending"
	// ReasonRunnerUnreachable (Ready): nobody knows whether the runner's process still works.
	ReasonRunnerUnreachable = "RunnerUnreachable"
	// ReasonRunnerForbidden (Ready): the API server refuses the runner pod, or the binding of its account.
	ReasonRunnerForbidden = "RunnerForbidden"
	// ReasonStateGuard (run): the state is not the one that the last run left.
	ReasonStateGuard = "StateGuard"
	// ReasonNamespaceTerminating (Stalled, Ready): the namespace is going, and something would have to be destroyed first.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	// ReasonStateNotPersistent (Stalled): the state would be lost with the pod.
	ReasonStateNotPersistent = "StateNotPersistent"
	// ReasonBreakTheGlassNotAllowed (Stalled, Ready): somebody wants a session, and the controller allows none.
	ReasonBreakTheGlassNotAllowed = "BreakTheGlassNotAllowed"
	// ReasonRemoteExecution (run): a service would plan and apply, and not the runner.
	ReasonRemoteExecution = "RemoteExecution"
	// ReasonQueued (Reconciling): a run is due and waits until others have ended.
	ReasonQueued = "Queued"
	// ReasonCancelled (run): the run was asked to stop.
	ReasonCancelled = "Cancelled"
	// ReasonInterrupted (run): the runner pod was told to end while the run was at work.
	ReasonInterrupted = "Interrupted"
	// ReasonDeadlineExceeded (run): a step took longer than it may.
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonSuspended (Ready False, Stalled): a suspended object that still has resources is being deleted.
	ReasonSuspended = "Suspended"
)
