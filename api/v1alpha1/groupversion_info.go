// Package v1alpha1 holds the deprecated version of the kind Terraform: served, not stored, for manifests and clients that
// still use it. It is a part of v1alpha2, and gets no new fields in its spec.
//
// There is no conversion: the API server changes the version and drops what the schema of the other version lacks. What is
// written as v1alpha1 therefore loses the spec fields of v1alpha2 only. The status is the one of v1alpha2, whole: what the
// controller knows of runs, approvals and the state must not be lost because somebody applied an old manifest.
// +kubebuilder:object:generate=true
// +groupName=infra.contrib.fluxcd.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion of the types in this package.
	GroupVersion = schema.GroupVersion{Group: "infra.contrib.fluxcd.io", Version: "v1alpha1"}

	// SchemeBuilder collects the types for AddToScheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Terraform{}, &TerraformList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
