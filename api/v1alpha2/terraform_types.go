package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TerraformKind is the kind of the main object.
const TerraformKind = "Terraform"

// TerraformSpec says which module to apply, from where, how often, and who has to agree.
type TerraformSpec struct {
	// ApprovePlan says how a plan comes to be applied: "" or "manual" waits for a person, "auto" applies every
	// plan, "disable" only detects drift, "safe" applies what neither deletes nor replaces, and "plan-..." (an id
	// taken from status.plan.pending) approves that one plan.
	// +optional
	ApprovePlan string `json:"approvePlan,omitempty"`

	// Destroy plans and applies the destruction of all resources; the object stays.
	// +optional
	Destroy bool `json:"destroy,omitempty"`

	// BackendConfig says where the state is kept. Without it: the kubernetes backend, with the object's name as
	// the suffix of the state Secret.
	// +optional
	BackendConfig *BackendConfigSpec `json:"backendConfig,omitempty"`

	// BackendConfigsFrom adds backend settings from Secrets and ConfigMaps of the object's namespace.
	// +optional
	BackendConfigsFrom []BackendConfigsReference `json:"backendConfigsFrom,omitempty"`

	// Cloud connects the module with HCP Terraform or Terraform Enterprise instead of a backend.
	// +optional
	Cloud *CloudSpec `json:"cloud,omitempty"`

	// Workspace is the workspace of the state.
	// +kubebuilder:default:=default
	// +optional
	Workspace string `json:"workspace,omitempty"`

	// Vars are the module's input variables.
	// +optional
	Vars []Variable `json:"vars,omitempty"`

	// VarsFrom takes input variables from Secrets and ConfigMaps; they override vars, later ones earlier ones.
	// +optional
	VarsFrom []VarsReference `json:"varsFrom,omitempty"`

	// Values is the structured variable `values`.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`

	// TfVarsFiles are variable files in the artifact, relative to its root.
	// +optional
	TfVarsFiles []string `json:"tfVarsFiles,omitempty"`

	// FileMappings put keys of Secrets into files of the run.
	// +optional
	FileMappings []FileMapping `json:"fileMappings,omitempty"`

	// Interval is the time between two looks at the infrastructure: each makes a plan, which is drift detection.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +required
	Interval metav1.Duration `json:"interval"`

	// RetryInterval is the time between a failure and the next try. Default: 15s.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`

	// RetryStrategy says how the time between tries grows.
	// +kubebuilder:validation:Enum=StaticInterval;ExponentialBackoff
	// +kubebuilder:default:=StaticInterval
	// +optional
	RetryStrategy RetryStrategy `json:"retryStrategy,omitempty"`

	// MaxRetryInterval limits ExponentialBackoff. Default: 24h.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	MaxRetryInterval *metav1.Duration `json:"maxRetryInterval,omitempty"`

	// Path of the module in the artifact. Default: its root.
	// +optional
	Path string `json:"path,omitempty"`

	// SourceRef names the Flux source that holds the module.
	// +required
	SourceRef CrossNamespaceSourceReference `json:"sourceRef"`

	// Suspend stops new runs; one that is active ends by itself.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Force plans and applies at every reconcile, without approval.
	// +kubebuilder:default:=false
	// +optional
	Force bool `json:"force,omitempty"`

	// ReadInputsFromSecrets makes keys of Secrets available to templates in values.
	// +optional
	ReadInputsFromSecrets []ReadInputsFromSecretSpec `json:"readInputsFromSecrets,omitempty"`

	// WriteOutputsToSecret names the Secret that holds the module's outputs.
	// +optional
	WriteOutputsToSecret *WriteOutputsToSecretSpec `json:"writeOutputsToSecret,omitempty"`

	// DisableDriftDetection makes no plan as long as neither source nor spec changes.
	// +kubebuilder:default:=false
	// +optional
	DisableDriftDetection bool `json:"disableDriftDetection,omitempty"`

	// CliConfigSecretRef names the Secret with the engine's CLI configuration, one key that ends in .tfrc.
	// +optional
	CliConfigSecretRef *corev1.SecretReference `json:"cliConfigSecretRef,omitempty"`

	// ModuleCredentials let a run fetch modules from private git servers and registries.
	// +optional
	ModuleCredentials []ModuleCredential `json:"moduleCredentials,omitempty"`

	// HealthChecks run after an apply, and after a plan that finds nothing to change. Ready is True only when they succeed.
	// +optional
	HealthChecks []HealthCheck `json:"healthChecks,omitempty"`

	// DestroyResourcesOnDeletion destroys the resources when the object is deleted.
	// +kubebuilder:default:=false
	// +optional
	DestroyResourcesOnDeletion bool `json:"destroyResourcesOnDeletion,omitempty"`

	// ServiceAccountName is the account of the runner pod, in the object's namespace.
	// +kubebuilder:default:=tf-runner
	// +kubebuilder:validation:XValidation:rule="self == '' || size(self) <= 253 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ServiceAccount, like tf-runner"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// PlanServiceAccountName is the account for plans, so that planning needs no right to write. Default:
	// serviceAccountName.
	// +kubebuilder:validation:XValidation:rule="self == '' || size(self) <= 253 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ServiceAccount, like tf-runner"
	// +optional
	PlanServiceAccountName string `json:"planServiceAccountName,omitempty"`

	// AlwaysCleanupRunnerPod deletes the runner pod when nothing is left to do for it. With false a pod that has made a plan
	// waits, for --runner-idle-timeout at most, to be told to apply it.
	// +kubebuilder:default:=true
	// +optional
	AlwaysCleanupRunnerPod *bool `json:"alwaysCleanupRunnerPod,omitempty"`

	// RunnerTerminationGracePeriodSeconds is the time a runner has after SIGTERM.
	// +kubebuilder:default:=30
	// +optional
	RunnerTerminationGracePeriodSeconds *int64 `json:"runnerTerminationGracePeriodSeconds,omitempty"`

	// UpgradeOnInit lets init take newer provider versions than the lock file has.
	// +kubebuilder:default:=true
	// +optional
	UpgradeOnInit *bool `json:"upgradeOnInit,omitempty"`

	// RefreshBeforeApply refreshes and plans once more before an apply. When resources have changed since the plan was made,
	// and the plan with them, it is not applied, and a new one is made.
	// +kubebuilder:default:=false
	// +optional
	RefreshBeforeApply bool `json:"refreshBeforeApply,omitempty"`

	// RunnerPodTemplate shapes the runner pod.
	// +optional
	RunnerPodTemplate RunnerPodTemplate `json:"runnerPodTemplate,omitempty"`

	// EnableInventory lists the managed resources in status.inventory.
	// +optional
	EnableInventory bool `json:"enableInventory,omitempty"`

	// TfState orders work on the state's lock.
	// +optional
	TfState *TfStateSpec `json:"tfstate,omitempty"`

	// Targets limit plan and apply to these addresses.
	// +optional
	Targets []string `json:"targets,omitempty"`

	// Parallelism of an apply; 0 is the engine's default.
	// +kubebuilder:default:=0
	// +optional
	Parallelism int32 `json:"parallelism,omitempty"`

	// StoreReadablePlan also stores the plan in readable form.
	// +kubebuilder:validation:Enum=none;json;human
	// +kubebuilder:default:=none
	// +optional
	StoreReadablePlan string `json:"storeReadablePlan,omitempty"`

	// Plan has settings of the plan step.
	// +optional
	Plan *PlanSpec `json:"plan,omitempty"`

	// Webhooks are asked after planning.
	// +optional
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// DependsOn names Terraform objects that must be ready first.
	// +optional
	DependsOn []DependencyReference `json:"dependsOn,omitempty"`

	// Enterprise has no effect: it is a placeholder that no controller has ever read.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Enterprise *apiextensionsv1.JSON `json:"enterprise,omitempty"`

	// PlanOnly never applies.
	// +optional
	PlanOnly bool `json:"planOnly,omitempty"`

	// BreakTheGlass opens a runner pod for a person, where the controller allows it. Nothing is planned or applied meanwhile.
	// +optional
	BreakTheGlass bool `json:"breakTheGlass,omitempty"`

	// BranchPlanner has no effect: it is an order to tofu-controller's branch planner.
	// +optional
	BranchPlanner *BranchPlanner `json:"branchPlanner,omitempty"`

	// Remediation limits the tries after a failure.
	// +optional
	Remediation *Remediation `json:"remediation,omitempty"`

	// Timeouts limit each step of a run.
	// +optional
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// Engine chooses OpenTofu or Terraform and its version. Default: the engine of the runner image.
	// +optional
	Engine *EngineSpec `json:"engine,omitempty"`

	// WriteOutputsToConfigMap names the ConfigMap that holds the module's outputs that are not sensitive.
	// +optional
	WriteOutputsToConfigMap *WriteOutputsToConfigMapSpec `json:"writeOutputsToConfigMap,omitempty"`

	// StateBackups is the number of versions of the state that are kept in Secrets beside it: each apply keeps the state as
	// it finds it, and as it leaves it. 0 keeps none. Default: 5.
	// +kubebuilder:validation:Minimum=0
	// +optional
	StateBackups *int32 `json:"stateBackups,omitempty"`

	// Approval has settings of the approval, whatever approvePlan says.
	// +optional
	Approval *ApprovalSpec `json:"approval,omitempty"`
}

// RetryStrategy names how the time between tries grows.
type RetryStrategy string

const (
	// StaticInterval tries again after retryInterval each time.
	StaticInterval RetryStrategy = "StaticInterval"
	// ExponentialBackoff doubles retryInterval with each failure.
	ExponentialBackoff RetryStrategy = "ExponentialBackoff"
)

// CrossNamespaceSourceReference names a Flux source.
type CrossNamespaceSourceReference struct {
	// APIVersion is accepted and ignored.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the source.
	// +kubebuilder:validation:Enum=GitRepository;Bucket;OCIRepository;ExternalArtifact
	// +required
	Kind string `json:"kind"`

	// Name of the source.
	// +required
	Name string `json:"name"`

	// Namespace of the source. Default: the object's own.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// ApprovalSpec has settings of the approval.
type ApprovalSpec struct {
	// Protect lists addresses of modules and resources. A plan that deletes, replaces or forgets one of them, or what is in it,
	// waits for a person who approves that plan, whatever else lets plans go on: auto, force, a deletion. A trailing *
	// stands for the rest.
	// +optional
	Protect []string `json:"protect,omitempty"`
}

// PlanSpec has settings of the plan step.
type PlanSpec struct {
	// Lock the state while planning.
	// +optional
	Lock *bool `json:"lock,omitempty"`
}

// Webhook is asked after planning.
type Webhook struct {
	// Stage of the run.
	// +kubebuilder:validation:Enum=post-planning
	// +kubebuilder:default:=post-planning
	// +required
	Stage string `json:"stage"`

	// Enabled switches the webhook.
	// +kubebuilder:default:=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// URL of the webhook.
	// +required
	URL string `json:"url"`

	// PayloadType says what is sent: SpecAndPlan, SpecOnly or PlanOnly.
	// +kubebuilder:default:=SpecAndPlan
	// +optional
	PayloadType string `json:"payloadType,omitempty"`

	// ErrorMessageTemplate makes the message of a refusal.
	// +optional
	ErrorMessageTemplate string `json:"errorMessageTemplate,omitempty"`

	// TestExpression says whether the answer is a yes.
	// +required
	TestExpression string `json:"testExpression"`
}

// DependencyReference names a Terraform object that must be ready first.
type DependencyReference struct {
	// Name of the object.
	// +required
	Name string `json:"name"`

	// Namespace of the object. Default: the object's own.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// ReadyExpr is a CEL expression over `self` and `dep` that says when the dependency is ready.
	// +optional
	ReadyExpr string `json:"readyExpr,omitempty"`
}

// BranchPlanner has no effect.
type BranchPlanner struct {
	// EnablePathScope has no effect.
	// +optional
	EnablePathScope bool `json:"enablePathScope,omitempty"`
}

// Remediation limits the tries after a failure.
type Remediation struct {
	// Retries after the first try; negative: no limit.
	// +optional
	Retries int64 `json:"retries,omitempty"`
}

// Terraform is a module, its source, and how it is planned and applied.
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:shortName=tf
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Revision",type="string",JSONPath=".status.lastAppliedRevision"
// +kubebuilder:printcolumn:name="Plan",type="string",JSONPath=".status.plan.summary"
// +kubebuilder:printcolumn:name="Pending",type="string",JSONPath=".status.plan.pending"
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type Terraform struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what a team wants.
	// +optional
	Spec TerraformSpec `json:"spec,omitempty"`

	// Status is what is known of the object.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status TerraformStatus `json:"status,omitempty"`
}

// TerraformList is a list of Terraform objects.
// +kubebuilder:object:root=true
type TerraformList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Terraform `json:"items"`
}
