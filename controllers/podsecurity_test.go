package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// TestBuildPod_IsAdmittedUnderRestricted creates the pods of real runs in a namespace where the API server's own admission
// enforces the Pod Security Standard "restricted".
func TestBuildPod_IsAdmittedUnderRestricted(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	api.Create(t, namespace)
	api.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: infrav1.DefaultServiceAccount}})
	pod := func(change func(*PodInput)) *corev1.Pod {
		in := podInput()
		in.Terraform.Namespace = namespace.Name
		change(&in)
		in.Run.Spec.Terraform.ServiceAccountName, in.Run.Spec.Terraform.PlanServiceAccountName = infrav1.DefaultServiceAccount, ""
		built := BuildPod(in)
		built.OwnerReferences, built.Name, built.GenerateName = nil, "", "x-"
		return built
	}
	admitted := map[string]func(*PodInput){
		"a plan":   func(*PodInput) {},
		"an apply": func(in *PodInput) { in.Run.Spec.Operation = infrav1.OperationApply },
		"a foreign image with the runner installed": func(in *PodInput) {
			in.Run.Spec.Terraform.RunnerPodTemplate.Spec.Image = "registry.example/team/tools:1"
		},
	}
	for name, change := range admitted {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			built := pod(change)
			g.Expect(api.Client.Create(t.Context(), built)).To(Succeed())
			for _, c := range append(built.Spec.Containers, built.Spec.InitContainers...) {
				s := c.SecurityContext
				g.Expect(s.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()), c.Name)
				g.Expect(s.RunAsNonRoot).To(HaveValue(BeTrue()), c.Name)
				g.Expect(s.AllowPrivilegeEscalation).To(HaveValue(BeFalse()), c.Name)
				g.Expect(s.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")), c.Name)
				g.Expect(s.Capabilities.Add).To(BeEmpty(), c.Name)
				g.Expect(s.SeccompProfile.Type).To(Equal(corev1.SeccompProfileTypeRuntimeDefault), c.Name)
			}
		})
	}
	t.Run("what a user's template opens is refused", func(t *testing.T) {
		err := api.Client.Create(t.Context(), pod(func(in *PodInput) {
			in.Run.Spec.Terraform.RunnerPodTemplate.Spec.SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
		}))
		NewWithT(t).Expect(err).To(And(MatchError(apierrors.IsForbidden, "IsForbidden"), MatchError(ContainSubstring("restricted"))))
	})
}
