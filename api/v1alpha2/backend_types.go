package v1alpha2

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackendConfigSpec says where the state is kept.
type BackendConfigSpec struct {
	// Disable writes no backend block.
	// +optional
	Disable bool `json:"disable,omitempty"`

	// SecretSuffix is the last part of the state Secret's name, tfstate-<workspace>-<suffix>.
	// +optional
	SecretSuffix string `json:"secretSuffix,omitempty"`

	// InClusterConfig uses the runner pod's own account.
	// +optional
	InClusterConfig bool `json:"inClusterConfig,omitempty"`

	// CustomConfiguration is the text of the terraform block, instead of all other settings here.
	// +optional
	CustomConfiguration string `json:"customConfiguration,omitempty"`

	// ConfigPath is the path of a kubeconfig.
	// +optional
	ConfigPath string `json:"configPath,omitempty"`

	// Labels of the state Secret.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// BackendConfigsReference takes backend settings from one object.
type BackendConfigsReference struct {
	// Kind of the object.
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	// +required
	Kind string `json:"kind"`

	// Name of the object, in the Terraform object's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Keys to take. Default: all.
	// +optional
	Keys []string `json:"keys,omitempty"`

	// Optional says that the object may be absent.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// CloudSpec is a cloud block.
type CloudSpec struct {
	// Organization of the workspaces.
	// +required
	Organization string `json:"organization"`

	// Workspaces to use.
	// +required
	Workspaces *CloudWorkspacesSpec `json:"workspaces"`

	// Hostname of the service.
	// +optional
	Hostname string `json:"hostname,omitempty"`

	// Token in clear text. Who reads the object reads it: prefer tokenSecretRef.
	// +optional
	Token string `json:"token,omitempty"`

	// TokenSecretRef names the Secret with the token, in the Terraform object's namespace. Default for key: token. It counts
	// where token is set, too.
	// +optional
	TokenSecretRef *meta.SecretKeyReference `json:"tokenSecretRef,omitempty"`
}

// CloudWorkspacesSpec selects workspaces of a cloud block.
type CloudWorkspacesSpec struct {
	// Name of the workspace.
	// +optional
	Name string `json:"name,omitempty"`

	// Tags of the workspaces.
	// +optional
	Tags []string `json:"tags,omitempty"`
}

// TfStateSpec orders work on the state's lock.
type TfStateSpec struct {
	// ForceUnlock releases a lock: no, yes (the one of lockIdentifier), or auto (any).
	// +kubebuilder:validation:Enum=yes;no;auto
	// +kubebuilder:default:="no"
	// +optional
	ForceUnlock string `json:"forceUnlock,omitempty"`

	// LockIdentifier is the ID of the lock to release.
	// +optional
	LockIdentifier string `json:"lockIdentifier,omitempty"`

	// LockTimeout is the time to wait for a lock.
	// +kubebuilder:default:="0s"
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	LockTimeout *metav1.Duration `json:"lockTimeout,omitempty"`
}
