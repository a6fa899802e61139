package config_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

// letWorkWithPods gives people what Kubernetes' own role edit has on pods and tokens.
func (w *approvalWorld) letWorkWithPods(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: w.namespace, Name: "works-with-pods"}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name}}
	for name := range w.people {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name})
	}
	api.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "tf-runner"}},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods", "serviceaccounts/token"}, Verbs: []string{"get", "create", "patch"}},
			{APIGroups: []string{""}, Resources: []string{"pods/exec", "pods/attach"}, Verbs: []string{"get", "create"}},
			{APIGroups: []string{""}, Resources: []string{"pods/ephemeralcontainers"}, Verbs: []string{"patch"}},
		}}, binding)
	for name := range w.people {
		NewWithT(t).Eventually(func(g Gomega) {
			g.Expect((&access{verb: "create", resource: "pods", namespace: w.namespace}).of(t, g, name)).To(BeTrue())
		}).WithTimeout(wait).Should(Succeed())
	}
}

func (w *approvalWorld) pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: map[string]string{infrav1.NameLabel: infrav1.NameValue}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "tf-runner",
			InitContainers:     []corev1.Container{{Name: "install", Image: "example.com/runner"}},
			Containers:         []corev1.Container{{Name: "runner", Image: "example.com/runner"}},
		},
	}
}

// token asks for one that is bound to the pod.
func token(t *testing.T, c client.Client, pod *corev1.Pod) error {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	return c.SubResource("token").Create(t.Context(), account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}})
}

// enter opens an exec, which fails in any case: no node runs the pod.
func enter(t *testing.T, who, how string, pod *corev1.Pod) error {
	t.Helper()
	config := rest.CopyConfig(api.Config)
	config.Impersonate.UserName = who
	clients, err := kubernetes.NewForConfig(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return clients.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource(how).
		Param("container", "runner").Param("command", "sh").Param("stdout", "true").Do(t.Context()).Error()
}

func asNode(t *testing.T) client.Client {
	t.Helper()
	config := rest.CopyConfig(api.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:one", Groups: []string{"system:nodes", "system:masters"}}
	c, err := apiserver.NewClient(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// TestApprovalPolicy_StrictKeepsRunnerPodsToTheController: whoever is a runner pod, or has its token, is believed.
func TestApprovalPolicy_StrictKeepsRunnerPodsToTheController(t *testing.T) {
	applyApprovalPolicies(t, "strict")
	w := newApprovalWorld(t, map[string]string{strictLabel: "strict"})
	w.letWorkWithPods(t)
	g := NewWithT(t)
	forbidden := MatchError(apierrors.IsForbidden, "IsForbidden")
	g.Eventually(func() error {
		return w.people[editor].Create(t.Context(), w.pod("early-tf-runner"), client.DryRunAll)
	}, wait, 100*time.Millisecond).Should(And(forbidden, MatchError(ContainSubstring("made by the controller"))))
	pod := w.pod("net-tf-runner")
	pod.Labels[infrav1.RunNameLabel] = "net-1"
	g.Expect(asController(t).Create(t.Context(), pod)).To(Succeed())
	g.Eventually(func() error { return token(t, w.people[editor], pod) }, wait, 100*time.Millisecond).Should(forbidden)
	g.Eventually(func() error { return enter(t, editor, "exec", pod) }, wait, 100*time.Millisecond).Should(forbidden)

	patch := func(who, subresource, patch string) error {
		c, body := w.people[who], client.RawPatch("application/strategic-merge-patch+json", []byte(patch))
		if subresource != "" {
			return c.SubResource(subresource).Patch(t.Context(), pod.DeepCopy(), body)
		}
		return c.Patch(t.Context(), pod.DeepCopy(), body)
	}
	const ended = `{"metadata":{"annotations":{"infra.contrib.fluxcd.io/process-ended":"I saw it"}}}`
	const debugger = `{"spec":{"ephemeralContainers":[{"name":"debug","image":"example.com/debug"}]}}`
	for who := range w.people {
		g.Expect(w.people[who].Create(t.Context(), w.pod("db-tf-runner"))).To(MatchError(ContainSubstring("made by the controller")), who)
		g.Expect(patch(who, "", `{"spec":{"containers":[{"name":"runner","image":"example.com/other"}]}}`)).To(MatchError(ContainSubstring("images")), who)
		g.Expect(patch(who, "", `{"spec":{"initContainers":[{"name":"install","image":"example.com/other"}]}}`)).To(MatchError(ContainSubstring("images")), who)
		for _, label := range []string{
			`"app.kubernetes.io/name":"other"`, `"app.kubernetes.io/name":null`, `"infra.contrib.fluxcd.io/terraform":"other"`,
			`"infra.contrib.fluxcd.io/terraform-name":"other"`, `"infra.contrib.fluxcd.io/run":null`, `"infra.contrib.fluxcd.io/run":"net-2"`,
			`"infra.contrib.fluxcd.io/run-sequence":"2"`,
		} {
			g.Expect(patch(who, "", `{"metadata":{"labels":{`+label+`}}}`)).To(And(forbidden, MatchError(ContainSubstring("the labels of a runner pod"))), who+" "+label)
		}
		g.Expect(token(t, w.people[who], pod)).To(MatchError(ContainSubstring("for its node only")), who)
		g.Expect(w.people[who].Create(t.Context(), w.pod("worker-"+who))).To(Succeed(), "other pods are nobody's business")
		g.Expect(token(t, w.people[who], w.mine(t, "worker-"+who))).To(Succeed(), "nor are their tokens")
		g.Expect(patch(who, "", `{"metadata":{"labels":{"a":"b"}}}`)).To(Succeed(), "nor what decides nothing")
	}
	relabelled := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"infra.contrib.fluxcd.io/run":"net-2"}}}`))
	g.Expect(asController(t).Patch(t.Context(), pod.DeepCopy(), relabelled)).To(Succeed())
	refused := And(forbidden, MatchError(ContainSubstring("the verb approve on terraforms is needed")))
	for _, how := range []string{"exec", "attach"} {
		g.Expect(enter(t, editor, how, pod)).To(refused, how)
		g.Expect(enter(t, approver, how, pod)).To(MatchError(ContainSubstring("does not have a host assigned")), how)
		g.Expect(enter(t, editor, how, w.mine(t, "worker-"+editor))).To(MatchError(ContainSubstring("does not have a host assigned")), how)
	}
	g.Expect(patch(editor, "", ended)).To(refused)
	g.Expect(patch(approver, "", ended)).To(Succeed())
	g.Expect(patch(editor, "ephemeralcontainers", debugger)).To(refused)
	g.Expect(patch(approver, "ephemeralcontainers", debugger)).To(Succeed())
	g.Expect(token(t, asNode(t), pod)).To(Succeed(), "the pod's kubelet")
	const driver = "system:serviceaccount:kube-system:secrets-store"
	api.Create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "makes-tokens"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
	}}, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "makes-tokens"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "makes-tokens"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: driver}},
	})
	g.Eventually(func() error { return token(t, as(t, driver), pod) }, wait, 100*time.Millisecond).Should(Succeed(), "a driver of a secret store")
}

func (w *approvalWorld) mine(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	NewWithT(t).Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, pod)).To(Succeed())
	return pod
}
