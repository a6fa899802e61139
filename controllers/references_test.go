package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestDenyReferences_ToSecretsOfOtherNamespaces(t *testing.T) {
	compat.Shows(t, "spec.cliConfigSecretRef")
	for _, tc := range []struct {
		reason  string
		ref     *corev1.SecretReference
		allowed bool
		denied  bool
	}{
		{"there is none", nil, false, false},
		{"the default is the object's own", &corev1.SecretReference{Name: "cli"}, false, false},
		{"it is the object's own", &corev1.SecretReference{Name: "cli", Namespace: "own"}, false, false},
		{"the controller does not allow it", &corev1.SecretReference{Name: "cli", Namespace: "other"}, false, true},
		{"the controller allows it", &corev1.SecretReference{Name: "cli", Namespace: "other"}, true, false},
	} {
		g := NewWithT(t)
		tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: "demo"}, Spec: infrav1.TerraformSpec{CliConfigSecretRef: tc.ref}}
		src := source.Source{State: source.Ready}
		denyReferences(tf, &src, tc.allowed)
		g.Expect(src.State == source.Denied).To(Equal(tc.denied), tc.reason)
		if tc.denied {
			g.Expect(src.Message).To(Equal("spec.cliConfigSecretRef: cannot access secret other/cli, cross-namespace references have been disabled; " +
				"use a Secret in namespace own or start the controller with --allow-cross-namespace-refs"))
		}
	}
}
