package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

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
}

// WriteOutputsToSecretSpec names the Secret for the outputs.
type WriteOutputsToSecretSpec struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`

	// Outputs to write, each `output` or `output:key`. Default: all.
	// +optional
	Outputs []string `json:"outputs,omitempty"`
}

// DependencyReference names a Terraform object that must be ready first.
type DependencyReference struct {
	// Name of the object.
	// +required
	Name string `json:"name"`

	// Namespace of the object. Default: the object's own.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// RunnerPodTemplate shapes the runner pod.
type RunnerPodTemplate struct {
	// Metadata is added to the pod's.
	// +optional
	Metadata v1alpha2.RunnerPodMetadata `json:"metadata,omitempty"`

	// Spec is merged into the pod's.
	// +optional
	Spec RunnerPodSpec `json:"spec,omitempty"`
}

// RunnerPodSpec is the part of a pod's spec that users shape.
type RunnerPodSpec struct {
	// Image with the engine and its tools.
	// +optional
	Image string `json:"image,omitempty"`

	// EnvFrom adds environment variables of Secrets and ConfigMaps.
	// +optional
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// Env adds environment variables.
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`

	// NodeSelector of the pod.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Affinity of the pod.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// Tolerations of the pod.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// VolumeMounts of the container.
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`

	// Volumes of the pod.
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// InitContainers of the pod.
	// +optional
	InitContainers []corev1.Container `json:"initContainers,omitempty"`
}

// CloudSpec is a cloud block.
type CloudSpec struct {
	// Organization of the workspaces.
	// +required
	Organization string `json:"organization"`

	// Workspaces to use.
	// +required
	Workspaces *v1alpha2.CloudWorkspacesSpec `json:"workspaces"`

	// Hostname of the service.
	// +optional
	Hostname string `json:"hostname,omitempty"`

	// Token in clear text.
	// +optional
	Token string `json:"token,omitempty"`
}
