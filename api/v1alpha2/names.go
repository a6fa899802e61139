package v1alpha2

const (
	// Finalizer of a Terraform object.
	Finalizer = "finalizers.tf.contrib.fluxcd.io"

	// DependencyFinalizerPrefix begins the finalizers by which the incumbent held an object for those that depend on it. They
	// are removed, and never made: what depends on an object is looked up.
	DependencyFinalizerPrefix = "tf.dependency.of."

	// RunnerFinalizer keeps a runner pod until its run is accounted for.
	RunnerFinalizer = "infra.contrib.fluxcd.io/runner"

	// FieldManager of all writes of the controller; the incumbent's name, so that its fields are ours.
	FieldManager = "tf-controller"

	// ApprovePlanAnnotation approves the plan whose id it holds.
	ApprovePlanAnnotation = "infra.contrib.fluxcd.io/approve-plan"

	// RejectPlanAnnotation refuses the plan whose id it holds, whatever approves it.
	RejectPlanAnnotation = "infra.contrib.fluxcd.io/reject-plan"

	// CancelRunAnnotation asks the run that it names to stop.
	CancelRunAnnotation = "infra.contrib.fluxcd.io/cancel-run"

	// AbandonAnnotation lets an object that is being deleted go and leaves its resources as they are; its value says why.
	AbandonAnnotation = "infra.contrib.fluxcd.io/abandon"

	// ApprovedByAnnotation names the approver.
	ApprovedByAnnotation = "infra.contrib.fluxcd.io/approved-by"

	// StateGuardOverrideAnnotation overrides the refusal of the state guard whose evidence it holds.
	StateGuardOverrideAnnotation = "infra.contrib.fluxcd.io/state-guard-override"

	// ResetRequestAnnotation sets the count of failures to 0, when its value equals that of reconcile.fluxcd.io/requestedAt.
	ResetRequestAnnotation = "reconcile.fluxcd.io/resetAt"

	// BreakTheGlassAnnotation is the incumbent's: while it has a value, a person wants a session in the runner's pod, as with
	// spec.breakTheGlass.
	BreakTheGlassAnnotation = "break-the-glass.tf-controller/requestedAt"

	// ProcessEndedAnnotation on a runner pod, or on the TerraformRun of one that is gone, is a person's word that its process has ended.
	ProcessEndedAnnotation = "infra.contrib.fluxcd.io/process-ended"

	// PodShapeAnnotation on a runner pod holds a digest of what it was made of, apart from its run.
	PodShapeAnnotation = "infra.contrib.fluxcd.io/pod-shape"

	// TerraformLabel on a runner pod holds its namespace, on TLS Secrets of the incumbent "true".
	TerraformLabel = "infra.contrib.fluxcd.io/terraform"

	// FormerTLSSecretPrefix begins the names of the TLS Secrets that the incumbent has made in every namespace.
	FormerTLSSecretPrefix = "terraform-runner.tls-"

	// TerraformNameLabel holds the name of the Terraform object, hashed over 63 characters (SafeLabelValue).
	TerraformNameLabel = "infra.contrib.fluxcd.io/terraform-name"

	// RunSequenceLabel holds the sequence of a run.
	RunSequenceLabel = "infra.contrib.fluxcd.io/run-sequence"

	// RunNameLabel on a runner pod holds the name of its run.
	RunNameLabel = "infra.contrib.fluxcd.io/run"

	// PlanNameLabel selects the Secrets of an object's stored plan (SafeLabelValue).
	PlanNameLabel = "infra.contrib.fluxcd.io/plan-name"

	// PlanWorkspaceLabel selects those of one workspace (SafeLabelValue).
	PlanWorkspaceLabel = "infra.contrib.fluxcd.io/plan-workspace"

	// PlanFullNameAnnotation holds the object's name unabridged.
	PlanFullNameAnnotation = "infra.contrib.fluxcd.io/plan-full-name"

	// PlanFullWorkspaceAnnotation holds the workspace unabridged.
	PlanFullWorkspaceAnnotation = "infra.contrib.fluxcd.io/plan-full-workspace"

	// PlanChunkAnnotation is the number of a chunk, from 0.
	PlanChunkAnnotation = "infra.contrib.fluxcd.io/plan-chunk"

	// PlanHashAnnotation is the hex sha256 of the plan file (one Secret) or of the chunk (several).
	PlanHashAnnotation = "infra.contrib.fluxcd.io/plan-hash"

	// SavedPlanAnnotation is the id of the stored plan.
	SavedPlanAnnotation = "savedPlan"

	// RunnerReportRole is the ClusterRole (and RoleBinding) that lets runners read their object and report.
	RunnerReportRole = "terraform-runner-report"

	// ArtifactAudience is the audience of the token that a runner fetches its artifact with.
	ArtifactAudience = "terraform-controller"

	// DefaultServiceAccount is the account of runner pods.
	DefaultServiceAccount = "tf-runner"
)

// Labels that the incumbent's Service selects runner pods by.
const (
	CreatedByLabel = "app.kubernetes.io/created-by"
	CreatedByValue = "tofu-controller"
	NameLabel      = "app.kubernetes.io/name"
	NameValue      = "tf-runner"
	InstanceLabel  = "app.kubernetes.io/instance"
)
