package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WriteOutputsToSecretSpec names the Secret for the outputs.
type WriteOutputsToSecretSpec struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`

	// Labels of the Secret.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the Secret.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Outputs to write, each `output` or `output:key`. Default: all.
	// +optional
	Outputs []string `json:"outputs,omitempty"`
}

// WriteOutputsToConfigMapSpec names the ConfigMap for the outputs that are not sensitive.
type WriteOutputsToConfigMapSpec struct {
	// Name of the ConfigMap, in the object's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Labels of the ConfigMap.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the ConfigMap.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Outputs to write, each `output` or `output:key`. Default: all that are not sensitive.
	// +optional
	Outputs []string `json:"outputs,omitempty"`
}

// HealthCheck is a check after an apply.
type HealthCheck struct {
	// Name of the check.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Type of the check.
	// +kubebuilder:validation:Enum=tcp;http
	// +required
	Type string `json:"type"`

	// URL of an http check.
	// +optional
	URL string `json:"url,omitempty"`

	// Address (host:port) of a tcp check.
	// +optional
	Address string `json:"address,omitempty"`

	// Timeout of the check.
	// +kubebuilder:default:="20s"
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration(self)",message="must be a duration like 30s, 10m or 1h30m"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}
