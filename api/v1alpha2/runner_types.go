package v1alpha2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EngineSpec chooses an engine.
type EngineSpec struct {
	// Name of the engine. Default: tofu.
	// +kubebuilder:validation:Enum=tofu;terraform
	// +optional
	Name string `json:"name,omitempty"`

	// Version of the engine, exact (1.12.6) or a constraint (~> 1.12.0). Default: any that is found, that of the
	// runner image first.
	// +optional
	Version string `json:"version,omitempty"`
}

// RunnerPodTemplate shapes the runner pod.
type RunnerPodTemplate struct {
	// Metadata is added to the pod's.
	// +optional
	Metadata RunnerPodMetadata `json:"metadata,omitempty"`

	// Spec is merged into the pod's.
	// +optional
	Spec RunnerPodSpec `json:"spec,omitempty"`
}

// RunnerPodMetadata is metadata of the runner pod.
type RunnerPodMetadata struct {
	// Labels of the pod.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the pod.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
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

	// HostAliases of the pod.
	// +optional
	HostAliases []corev1.HostAlias `json:"hostAliases,omitempty"`

	// PriorityClassName of the pod.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// SecurityContext replaces the container's default one.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`

	// Resources of the container.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// Timeouts limit the steps of a run.
type Timeouts struct {
	// Init limits init. Default: 15m.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	Init *metav1.Duration `json:"init,omitempty"`

	// Plan limits a plan. Default: 1h.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	Plan *metav1.Duration `json:"plan,omitempty"`

	// Apply limits an apply. Default: 6h.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	Apply *metav1.Duration `json:"apply,omitempty"`

	// Outputs limits reading and writing of outputs. Default: 5m.
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	Outputs *metav1.Duration `json:"outputs,omitempty"`
}
