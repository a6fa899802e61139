package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// find decodes the manifests of that kind.
func find[T any](t *testing.T, kustomization, kind string) []T {
	t.Helper()
	g := NewWithT(t)
	var found []T
	for _, document := range render(t, kustomization) {
		object := &unstructured.Unstructured{}
		g.Expect(utilyaml.Unmarshal(document, &object.Object)).To(Succeed())
		if object.GetKind() != kind {
			continue
		}
		var typed T
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed)).To(Succeed())
		found = append(found, typed)
	}
	g.Expect(found).NotTo(BeEmpty(), kind)
	return found
}

// TestManager_IsAdmittedUnderRestricted creates the pod of the Deployment in a namespace where the API server's own admission
// enforces the Pod Security Standard "restricted".
func TestManager_IsAdmittedUnderRestricted(t *testing.T) {
	g := NewWithT(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	api.Create(t, namespace)
	api.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "terraform-controller"}})
	template := find[appsv1.Deployment](t, "manager", "Deployment")[0].Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = namespace.Name, "controller"
	g.Expect(api.Client.Create(t.Context(), pod.DeepCopy())).To(Succeed())

	s := pod.Spec.Containers[0].SecurityContext
	g.Expect(s.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))
	g.Expect(s.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
	pod.Name, s.AllowPrivilegeEscalation = "escalates", ptr.To(true)
	g.Expect(api.Client.Create(t.Context(), pod)).To(MatchError(ContainSubstring("violates PodSecurity")), "the admission is on")
}

// TestNetworkPolicy_OpensWhatIsNeeded: of the controller's ports one is open to runners and one to whoever scrapes; what
// it calls is named.
func TestNetworkPolicy_OpensWhatIsNeeded(t *testing.T) {
	g := NewWithT(t)
	deployment := find[appsv1.Deployment](t, "manager", "Deployment")[0]
	declared := map[string]int32{}
	for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
		declared[port.Name] = port.ContainerPort
	}
	labels := deployment.Spec.Template.Labels
	opened := map[string]networkingv1.NetworkPolicyIngressRule{}
	for _, policy := range find[networkingv1.NetworkPolicy](t, "manager", "NetworkPolicy") {
		g.Expect(labels).To(HaveKeyWithValue("app", policy.Spec.PodSelector.MatchLabels["app"]), policy.Name)
		g.Expect(policy.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress), policy.Name)
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				g.Expect(declared).To(HaveKey(port.Port.String()), policy.Name)
				opened[port.Port.String()] = rule
			}
		}
	}
	g.Expect(opened).To(And(HaveLen(2), HaveKey("artifacts"), HaveKey("http-prom")), "neither health checks, which the kubelet makes, nor anything else")
	g.Expect(opened["artifacts"].From).To(HaveLen(1))
	runners := opened["artifacts"].From[0]
	g.Expect(runners.NamespaceSelector.MatchLabels).To(BeEmpty(), "of all namespaces")
	g.Expect(runners.PodSelector.MatchLabels).To(Equal(map[string]string{infrav1.NameLabel: infrav1.NameValue}), "but runners only")

	egress := find[networkingv1.NetworkPolicy](t, "egress", "NetworkPolicy")[0]
	g.Expect(labels).To(HaveKeyWithValue("app", egress.Spec.PodSelector.MatchLabels["app"]))
	var ports []int32
	for _, rule := range egress.Spec.Egress {
		for _, port := range rule.Ports {
			ports = append(ports, port.Port.IntVal)
		}
	}
	g.Expect(ports).To(ConsistOf(int32(53), int32(53), int32(443), int32(6443)), "DNS and the API server")
	g.Expect(egress.Spec.Egress[1].To[0].NamespaceSelector).To(BeNil(), "source-controller and notification-controller, beside it")
}
