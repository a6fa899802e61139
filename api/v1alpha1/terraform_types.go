package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

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
	BackendConfig *v1alpha2.BackendConfigSpec `json:"backendConfig,omitempty"`

	// BackendConfigsFrom adds backend settings from Secrets and ConfigMaps of the object's namespace.
	// +optional
	BackendConfigsFrom []v1alpha2.BackendConfigsReference `json:"backendConfigsFrom,omitempty"`

	// Cloud connects the module with HCP Terraform or Terraform Enterprise instead of a backend.
	// +optional
	Cloud *CloudSpec `json:"cloud,omitempty"`

	// Workspace is the workspace of the state.
	// +kubebuilder:default:=default
	// +optional
	Workspace string `json:"workspace,omitempty"`

	// Vars are the module's input variables.
	// +optional
	Vars []v1alpha2.Variable `json:"vars,omitempty"`

	// VarsFrom takes input variables from Secrets and ConfigMaps; they override vars, later ones earlier ones.
	// +optional
	VarsFrom []v1alpha2.VarsReference `json:"varsFrom,omitempty"`

	// Values is the structured variable `values`.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Values *apiextensionsv1.JSON `json:"values,omitempty"`

	// FileMappings put keys of Secrets into files of the run.
	// +optional
	FileMappings []v1alpha2.FileMapping `json:"fileMappings,omitempty"`

	// Interval is the time between two looks at the infrastructure: each makes a plan, which is drift detection.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +required
	Interval metav1.Duration `json:"interval"`

	// RetryInterval is the time between a failure and the next try. Default: 15s.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`

	// Path of the module in the artifact. Default: its root.
	// +optional
	Path string `json:"path,omitempty"`

	// SourceRef names the Flux source that holds the module.
	// +required
	SourceRef v1alpha2.CrossNamespaceSourceReference `json:"sourceRef"`

	// Suspend stops new runs; one that is active ends by itself.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Force plans and applies at every reconcile, without approval.
	// +kubebuilder:default:=false
	// +optional
	Force bool `json:"force,omitempty"`

	// ReadInputsFromSecrets makes keys of Secrets available to templates in values.
	// +optional
	ReadInputsFromSecrets []v1alpha2.ReadInputsFromSecretSpec `json:"readInputsFromSecrets,omitempty"`

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

	// HealthChecks run after an apply.
	// +optional
	HealthChecks []v1alpha2.HealthCheck `json:"healthChecks,omitempty"`

	// DestroyResourcesOnDeletion destroys the resources when the object is deleted.
	// +kubebuilder:default:=false
	// +optional
	DestroyResourcesOnDeletion bool `json:"destroyResourcesOnDeletion,omitempty"`

	// ServiceAccountName is the account of the runner pod, in the object's namespace.
	// +kubebuilder:default:=tf-runner
	// +kubebuilder:validation:XValidation:rule="self == '' || size(self) <= 253 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ServiceAccount, like tf-runner"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// AlwaysCleanupRunnerPod deletes the runner pod when nothing is left to do for it. With false a pod that has made a plan
	// waits, for --runner-idle-timeout at most, to be told to apply it.
	// +kubebuilder:default:=true
	// +optional
	AlwaysCleanupRunnerPod *bool `json:"alwaysCleanupRunnerPod,omitempty"`

	// RunnerTerminationGracePeriodSeconds is the time a runner has after SIGTERM.
	// +kubebuilder:default:=30
	// +optional
	RunnerTerminationGracePeriodSeconds *int64 `json:"runnerTerminationGracePeriodSeconds,omitempty"`

	// RefreshBeforeApply refreshes the state once more before an apply.
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

	// Webhooks are asked after planning.
	// +optional
	Webhooks []v1alpha2.Webhook `json:"webhooks,omitempty"`

	// DependsOn names Terraform objects that must be ready first.
	// +optional
	DependsOn []DependencyReference `json:"dependsOn,omitempty"`

	// Enterprise is accepted and ignored.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Enterprise *apiextensionsv1.JSON `json:"enterprise,omitempty"`

	// BreakTheGlass opens the runner pod for a person.
	// +optional
	BreakTheGlass bool `json:"breakTheGlass,omitempty"`
}

// Terraform is a module, its source, and how it is planned and applied.
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=tf
// +kubebuilder:subresource:status
// +kubebuilder:deprecatedversion:warning="v1alpha1 Terraform is deprecated, upgrade to v1alpha2"
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
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
	Status v1alpha2.TerraformStatus `json:"status,omitempty"`
}

// TerraformList is a list of Terraform objects.
// +kubebuilder:object:root=true
type TerraformList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Terraform `json:"items"`
}
