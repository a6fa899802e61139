package config_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const (
	wait       = 20 * time.Second
	controller = "system:serviceaccount:flux-system:terraform-controller"
)

var (
	api *apiserver.Server

	kustomizations = []string{
		"crd", "rbac", "tenants", "policies", "policies/annotation-only", "policies/strict", "manager", "egress", "samples", "default", "local",
	}
)

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(infrav1.AddToScheme(scheme))
	utilruntime.Must(sourcev1.AddToScheme(scheme))
	return scheme
}

// render gives the documents of a kustomization, as kubectl builds it.
func render(t *testing.T, name string) [][]byte {
	t.Helper()
	g := NewWithT(t)
	out, err := exec.Command(filepath.Join(api.Root, "bin", "kubectl"), "kustomize", name).Output()
	g.Expect(err).NotTo(HaveOccurred())
	reader := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(out)))
	defer reader.Close()
	var documents [][]byte
	buffer := make([]byte, len(out)+1)
	for {
		n, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return documents
		}
		g.Expect(err).NotTo(HaveOccurred())
		documents = append(documents, bytes.Clone(buffer[:n]))
	}
}

func apply(t *testing.T, name string, options ...client.ApplyOption) {
	t.Helper()
	for _, document := range render(t, name) {
		object := &unstructured.Unstructured{}
		g := NewWithT(t)
		g.Expect(utilyaml.Unmarshal(document, &object.Object)).To(Succeed())
		options := append([]client.ApplyOption{client.FieldOwner("test"), client.ForceOwnership}, options...)
		err := api.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), options...)
		g.Expect(err).NotTo(HaveOccurred(), "%s %s", object.GetKind(), object.GetName())
	}
}

func ensureNamespace(t *testing.T, name string) {
	t.Helper()
	err := api.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	NewWithT(t).Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
}

func TestManifests_ParseStrictly(t *testing.T) {
	decoder := serializer.NewCodecFactory(newScheme(), serializer.EnableStrict).UniversalDeserializer()
	for _, name := range kustomizations {
		t.Run(name, func(t *testing.T) {
			documents := render(t, name)
			NewWithT(t).Expect(documents).NotTo(BeEmpty())
			for _, document := range documents {
				_, _, err := decoder.Decode(document, nil, nil)
				NewWithT(t).Expect(err).NotTo(HaveOccurred(), string(document))
			}
		})
	}
}

func TestManifests_AreAcceptedByTheServer(t *testing.T) {
	g := NewWithT(t)
	_, err := envtest.InstallCRDs(api.Config, envtest.CRDInstallOptions{
		MaxTime: apiserver.Patience,
		Paths:   []string{filepath.Join(api.Root, "bin", "crds", "source")}, ErrorIfPathMissing: true,
	})
	g.Expect(err).NotTo(HaveOccurred(), "make companions")
	ensureNamespace(t, "flux-system")
	ensureNamespace(t, "infra")
	for _, name := range kustomizations {
		t.Run(name, func(t *testing.T) { apply(t, name, client.DryRunAll) })
	}
}

func TestRBAC_ControllerHasWhatItNeedsAndNoMore(t *testing.T) {
	compat.Shows(t, "promise.multi-tenancy")
	ensureNamespace(t, "flux-system")
	apply(t, "rbac")
	const infra, rbac, secret = "infra.contrib.fluxcd.io", "rbac.authorization.k8s.io", "terraform-controller-tls"
	cases := []access{
		{"watch", infra, "terraforms", "", "", true, "objects of all namespaces"},
		{"patch", infra, "terraforms/status", "tenant", "x", true, "status"},
		{"update", infra, "terraforms/finalizers", "tenant", "x", true, "owner references that block deletion"},
		{"delete", infra, "terraforms", "tenant", "x", false, "objects are the users'"},
		{"create", infra, "terraforms", "tenant", "x", false, "objects are the users'"},
		{"create", infra, "terraformruns", "tenant", "x", true, "runs are its own"},
		{"patch", infra, "terraformruns/status", "tenant", "x", true, "a run whose process has ended"},
		{"create", "", "pods", "tenant", "x", true, "runners"},
		{"create", "", "pods/exec", "tenant", "x", false, "nobody looks into runners"},
		{"get", "", "secrets", "tenant", "x", false, "Secrets are the runners' business"},
		{"list", "", "secrets", "", "", false, "Secrets are the runners' business"},
		{"create", "", "secrets", "tenant", "x", false, "Secrets are the runners' business"},
		{"update", "", "secrets", "flux-system", secret, true, "its own certificate"},
		{"get", "", "secrets", "flux-system", "flux-system", false, "not the Git credentials beside it"},
		{"list", "", "secrets", "flux-system", "", false, "not the Git credentials beside it"},
		{"update", "coordination.k8s.io", "leases", "flux-system", "x", true, "leader election"},
		{"update", "coordination.k8s.io", "leases", "tenant", "x", false, "locks of states are the runners'"},
		{"patch", rbac, "rolebindings", "tenant", "terraform-runner-report", true, "the one binding"},
		{"patch", rbac, "rolebindings", "tenant", "admins", false, "no other binding"},
		{"bind", rbac, "clusterroles", "", "terraform-runner-report", true, "the one role"},
		{"bind", rbac, "clusterroles", "", "cluster-admin", false, "no other role"},
		{"escalate", rbac, "clusterroles", "", "terraform-runner-report", false, "no role at all"},
		{"create", "authentication.k8s.io", "tokenreviews", "", "", true, "runners' tokens"},
		{"impersonate", "", "serviceaccounts", "tenant", "tf-runner", false, "nobody"},
		{"create", "", "serviceaccounts/token", "tenant", "tf-runner", false, "nobody"},
		{"get", "", "serviceaccounts", "tenant", "tf-runner", true, "to say that it is missing"},
		{"get", "", "nodes", "", "local", true, "the taint out-of-service"},
		{"patch", "", "nodes", "", "local", false, "nodes are the administrator's"},
		{"watch", "source.toolkit.fluxcd.io", "gitrepositories", "", "", true, "sources"},
		{"watch", "source.toolkit.fluxcd.io", "ocirepositories", "", "", true, "sources"},
		{"watch", "source.toolkit.fluxcd.io", "buckets", "", "", true, "sources"},
		{"watch", "source.toolkit.fluxcd.io", "externalartifacts", "", "", true, "sources"},
		{"patch", "source.toolkit.fluxcd.io", "gitrepositories", "tenant", "x", false, "sources are the users'"},
	}
	// The authorizer learns of roles and bindings a moment after they are there: what is denied is asked about once it knows.
	for _, c := range cases {
		if c.allowed {
			NewWithT(t).Eventually(func(g Gomega) { g.Expect(c.ask(t, g)).To(BeTrue(), c.reason) }).WithTimeout(10 * time.Second).Should(Succeed())
		}
	}
	for _, c := range cases {
		t.Run(c.verb+" "+c.resource+" "+c.reason, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(c.ask(t, g)).To(Equal(c.allowed), c.reason)
		})
	}
}

// access that the controller has, or has not.
type access struct {
	verb, group, resource, namespace, name string
	allowed                                bool
	reason                                 string
}

func (c *access) ask(t *testing.T, g Gomega) bool {
	t.Helper()
	return c.of(t, g, controller)
}

// of asks for another user.
func (c *access) of(t *testing.T, g Gomega, user string) bool {
	t.Helper()
	resource, subresource := splitResource(c.resource)
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: c.verb, Group: c.group, Resource: resource, Subresource: subresource,
			Namespace: c.namespace, Name: c.name,
		},
	}}
	g.Expect(api.Client.Create(t.Context(), review)).To(Succeed())
	return review.Status.Allowed
}

func splitResource(name string) (resource, subresource string) {
	resource, subresource, _ = strings.Cut(name, "/")
	return resource, subresource
}

// policyWorld is a namespace with a run, and accounts that RBAC lets write its status.
type policyWorld struct {
	namespace string
	run       *infrav1.TerraformRun
	own, twin *corev1.Pod
}

func newPolicyWorld(t *testing.T) *policyWorld {
	t.Helper()
	w := &policyWorld{namespace: api.Namespace(t)}
	account := metav1.ObjectMeta{Namespace: w.namespace, Name: "tf-runner"}
	api.Create(t, &corev1.ServiceAccount{ObjectMeta: account})
	api.Account(t, w.namespace, "tf-runner", rbacv1.PolicyRule{
		APIGroups: []string{infrav1.GroupVersion.Group}, Resources: []string{"terraformruns/status"}, Verbs: []string{"patch"},
	})
	w.own, w.twin = w.pod(t, "networking-tf-runner"), w.pod(t, "other-tf-runner")
	w.run = &infrav1.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "networking-3f9ac1d2"},
		Spec: infrav1.TerraformRunSpec{
			Operation: infrav1.OperationPlan, Reason: "test", Target: "t", Generation: 1,
			PodName: w.own.Name, Hostname: "networking-x",
		},
	}
	NewWithT(t).Expect(asController(t).Create(t.Context(), w.run)).To(Succeed())
	return w
}

func (w *policyWorld) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: "tf-runner", Containers: []corev1.Container{{Name: "x", Image: "x"}},
		},
	}
	api.Create(t, pod)
	return pod
}

// client works with a token of the runner account, bound to pod unless that is nil.
func (w *policyWorld) client(t *testing.T, pod *corev1.Pod) client.Client {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "tf-runner"}}
	NewWithT(t).Expect(api.Client.SubResource("token").Create(t.Context(), account, request)).To(Succeed())
	config := rest.AnonymousClientConfig(api.Config)
	config.BearerToken = request.Status.Token
	c, err := apiserver.NewClient(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

func (w *policyWorld) report(t *testing.T, c client.Client, podUID string) error {
	t.Helper()
	changed := w.run.DeepCopy()
	changed.Status.Phase = infrav1.RunRunning
	changed.Status.Runner = &infrav1.RunnerIdentity{PodUID: podUID}
	return c.Status().Patch(t.Context(), changed, client.MergeFrom(w.run))
}

func TestPolicy_OnlyTheRunsOwnPodReports(t *testing.T) {
	ensureNamespace(t, "flux-system")
	apply(t, "rbac")
	applyPolicies(t, "policies")
	g := NewWithT(t)
	w := newPolicyWorld(t)
	own := w.client(t, w.own)
	awaitPolicy(t, w)

	refused := And(MatchError(apierrors.IsForbidden, "IsForbidden"), MatchError(ContainSubstring("runner pod")))
	g.Expect(w.report(t, w.client(t, nil), string(w.own.UID))).To(refused, "a token that no pod holds")
	g.Expect(w.report(t, w.client(t, w.twin), string(w.own.UID))).To(refused, "another pod of the account")
	g.Expect(w.report(t, api.Client, string(w.own.UID))).To(refused, "an administrator")
	g.Expect(w.report(t, own, "another")).To(MatchError(ContainSubstring("claimed by another pod")))
	g.Expect(w.report(t, own, string(w.own.UID))).To(Succeed(), "its own pod")

	g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(w.run), w.run)).To(Succeed())
	ended := func(summary string) client.Patch {
		return client.RawPatch("application/merge-patch+json", []byte(`{"status":{"finishedAt":"2026-01-01T00:00:00Z","plan":{"short":"`+summary+`"}}}`))
	}
	g.Expect(own.Status().Patch(t.Context(), w.run, ended("+1 ~0 -0"))).To(Succeed(), "its result")
	g.Expect(own.Status().Patch(t.Context(), w.run.DeepCopy(), ended("+1 ~0 -0"))).To(Succeed(), "once more, as its answer may be lost")
	g.Expect(own.Status().Patch(t.Context(), w.run.DeepCopy(), ended("+0 ~0 -0"))).To(MatchError(ContainSubstring("what it has reported stands")))

	g.Expect(api.Client.Delete(t.Context(), w.own, client.GracePeriodSeconds(0))).To(Succeed())
	again := w.pod(t, w.own.Name)
	g.Expect(w.report(t, w.client(t, again), string(again.UID))).
		To(MatchError(ContainSubstring("claimed by another pod")), "a later pod of that name does not take over")

	g.Expect(w.report(t, asController(t), "gone")).To(Succeed(), "the controller ends runs of lost pods")
}

func TestPolicy_OnlyTheControllerOrdersRuns(t *testing.T) {
	ensureNamespace(t, "flux-system")
	apply(t, "rbac")
	applyPolicies(t, "policies")
	g := NewWithT(t)
	w := newPolicyWorld(t)
	awaitPolicy(t, w)

	forged := w.run.DeepCopy()
	forged.ObjectMeta = metav1.ObjectMeta{Namespace: w.namespace, Name: "forged"}
	g.Eventually(func() error { return api.Client.Create(t.Context(), forged.DeepCopy(), client.DryRunAll) }, wait, 100*time.Millisecond).
		Should(MatchError(ContainSubstring("runs are made by the controller")), "not even by an administrator")

	cancel := w.run.DeepCopy()
	cancel.Spec.Cancel = &infrav1.Cancel{Reason: "test"}
	g.Expect(api.Client.Patch(t.Context(), cancel.DeepCopy(), client.MergeFrom(w.run))).To(MatchError(ContainSubstring("cancel-run")))
	g.Expect(asController(t).Patch(t.Context(), cancel, client.MergeFrom(w.run))).To(Succeed())

	swap := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"terraform":{"interval":null,"path":"elsewhere"}}}`))
	g.Expect(asController(t).Patch(t.Context(), w.run, swap)).To(MatchError(ContainSubstring("immutable")), "nor does the controller change an order")

	labelled := w.run.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	g.Expect(api.Client.Patch(t.Context(), labelled, client.MergeFrom(w.run))).To(Succeed(), "metadata is free")
}

// asController works as the controller's account.
func asController(t *testing.T) client.Client {
	t.Helper()
	config := rest.CopyConfig(api.Config)
	config.Impersonate.UserName = controller
	c, err := apiserver.NewClient(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// awaitPolicy waits until the policy is in force, which takes the API server a second or more.
func awaitPolicy(t *testing.T, w *policyWorld) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		probe := w.run.DeepCopy()
		probe.Status.Step = infrav1.StepClaim
		return api.Client.Status().Patch(t.Context(), probe, client.MergeFrom(w.run), client.DryRunAll)
	}, wait, 100*time.Millisecond).ShouldNot(Succeed())
}

// applyPolicies applies what is in force for one test only.
func applyPolicies(t *testing.T, name string) {
	t.Helper()
	apply(t, name)
	documents := render(t, name)
	t.Cleanup(func() {
		for _, document := range documents {
			object := &unstructured.Unstructured{}
			NewWithT(t).Expect(utilyaml.Unmarshal(document, &object.Object)).To(Succeed())
			NewWithT(t).Expect(client.IgnoreNotFound(api.Client.Delete(context.Background(), object))).To(Succeed())
		}
	})
}
