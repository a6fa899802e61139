package v1alpha2

import (
	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Variable is an input variable.
type Variable struct {
	// Name of the variable.
	// +required
	Name string `json:"name"`

	// Value of the variable, any JSON.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Value *apiextensionsv1.JSON `json:"value,omitempty"`

	// ValueFrom takes the value from elsewhere.
	// +optional
	ValueFrom *corev1.EnvVarSource `json:"valueFrom,omitempty"`
}

// VarsReference takes input variables from one object. The values are strings.
type VarsReference struct {
	// Kind of the object.
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	// +required
	Kind string `json:"kind"`

	// Name of the object, in the Terraform object's namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// VarsKeys to take, each `key` or `key:variable`. Default: all.
	// +optional
	VarsKeys []string `json:"varsKeys,omitempty"`

	// Optional says that the object may be absent.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// FileMapping puts one key of a Secret into a file.
type FileMapping struct {
	// SecretRef names the Secret and key.
	// +required
	SecretRef meta.SecretKeyReference `json:"secretRef"`

	// Location is where the path starts.
	// +kubebuilder:validation:Enum=home;workspace
	// +required
	Location string `json:"location"`

	// Path of the file.
	// +kubebuilder:validation:Pattern=`^(.?[/_a-zA-Z0-9]{1,})*$`
	// +required
	Path string `json:"path"`
}

// ModuleCredential is what a git server or a registry asks for.
type ModuleCredential struct {
	// URL that the addresses of the modules begin with: https://host, ssh://git@host, with a port and a path where needed. A
	// registry is https://host. Of several that fit, the longest counts.
	// +kubebuilder:validation:Pattern=`^(http|https|ssh)://.+$`
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL string `json:"url"`

	// SecretRef names a Secret of the object's namespace, in the format of a GitRepository's: for HTTPS username and password, or
	// bearerToken; token for a registry; ca.crt; tls.crt and tls.key. For SSH identity and known_hosts, and password when the
	// identity has one.
	// +required
	SecretRef meta.LocalObjectReference `json:"secretRef"`
}

// ReadInputsFromSecretSpec makes a Secret available to templates.
type ReadInputsFromSecretSpec struct {
	// Name of the Secret.
	// +required
	Name string `json:"name"`

	// As is the name in templates.
	// +required
	As string `json:"as"`
}
