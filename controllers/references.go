package controllers

import (
	"fmt"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
)

// denyReferences makes a source unusable for an object that refers to a Secret of another namespace, where that is not allowed.
// Where it is, the runner still needs the right to read it.
func denyReferences(tf *infrav1.Terraform, src *source.Source, allowCrossNamespace bool) {
	ref := tf.Spec.CliConfigSecretRef
	if ref == nil || ref.Namespace == "" || ref.Namespace == tf.Namespace || allowCrossNamespace {
		return
	}
	src.State = source.Denied
	src.Message = fmt.Sprintf("spec.cliConfigSecretRef: cannot access secret %s/%s, cross-namespace references have been disabled; "+
		"use a Secret in namespace %s or start the controller with --allow-cross-namespace-refs", ref.Namespace, ref.Name, tf.Namespace)
}
