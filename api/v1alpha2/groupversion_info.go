// Package v1alpha2 holds the types of the API group infra.contrib.fluxcd.io: Terraform, what a team wants,
// and TerraformRun, one plan or apply of it.
// +kubebuilder:object:generate=true
// +groupName=infra.contrib.fluxcd.io
package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion of the types in this package.
	GroupVersion = schema.GroupVersion{Group: "infra.contrib.fluxcd.io", Version: "v1alpha2"}

	// SchemeBuilder collects the types for AddToScheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Terraform{}, &TerraformList{}, &TerraformRun{}, &TerraformRunList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
