// Package story is what tests of the whole system have in common: a tenant on the local cluster, what its people do,
// and what they see.
package story

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backups"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

const (
	// patience is what a step of a story may take on a machine with two busy cores.
	patience = 90 * time.Second
	glance   = 100 * time.Millisecond
	// quiet is how long nothing must happen where nothing may.
	quiet = 3 * time.Second
	// maxState is more than a state of a test has, in bytes.
	maxState = 16 << 20
)

// Greeting is the smallest module that has a resource and an output.
const Greeting = `
variable "name" { default = "world" }
resource "terraform_data" "greeting" { input = "hello ${var.name}" }
output "greeting" { value = terraform_data.greeting.output }
`

// Driftable has a resource that a person can change behind the engine's back: a ConfigMap.
const Driftable = `
terraform {
  required_providers {
    kubernetes = { source = "hashicorp/kubernetes" }
  }
}
provider "kubernetes" { load_config_file = false }
variable "namespace" {}
resource "kubernetes_config_map" "settings" {
  metadata {
    name      = "settings"
    namespace = var.namespace
  }
  data = { color = "green" }
}
`

// Story is one test's tenant, with what the test does there.
type Story struct {
	*WithT
	// System is the cluster, Tenant the namespace that is the test's own.
	System *local.System
	Tenant *local.Tenant
	// Ctx ends with the test.
	Ctx context.Context

	t *testing.T
}

// New makes a tenant with a repository of these files. When the test fails, it tells what a person would look at.
func New(t *testing.T, system *local.System, files map[string]string) *Story {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	s := &Story{WithT: NewWithT(t), System: system, Ctx: ctx, t: t}
	s.SetDefaultEventuallyTimeout(patience)
	s.SetDefaultEventuallyPollingInterval(glance)
	s.SetDefaultConsistentlyDuration(quiet)
	s.SetDefaultConsistentlyPollingInterval(glance)
	tenant, err := system.NewTenant(ctx, "e2e", files)
	s.Expect(err).NotTo(HaveOccurred())
	s.Tenant = tenant
	t.Cleanup(cancel)
	t.Cleanup(s.suspend)
	t.Cleanup(s.tellWhatHappened)
	return s
}

// suspend spares the tests that follow the retries of what this one leaves.
func (s *Story) suspend() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list := &infrav1.TerraformList{}
	err := s.System.Client.List(ctx, list, client.InNamespace(s.Tenant.Namespace))
	for i := range list.Items {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))
		err = errors.Join(err, client.IgnoreNotFound(s.System.Client.Patch(ctx, &list.Items[i], patch)))
	}
	if s.t.Failed() && err != nil {
		s.t.Logf("suspending what the test leaves: %v", err)
		return
	}
	s.Expect(err).NotTo(HaveOccurred())
}

// Create makes a Terraform object named net, as short as users write it.
func (s *Story) Create(change ...func(*infrav1.Terraform)) {
	s.t.Helper()
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "net"},
		Spec: infrav1.TerraformSpec{
			Interval: metav1.Duration{Duration: 10 * time.Minute}, RetryInterval: &metav1.Duration{Duration: 5 * time.Minute},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: local.SourceName},
		},
	}
	for _, c := range change {
		c(tf)
	}
	s.Expect(s.System.Client.Create(s.Ctx, tf)).To(Succeed())
}

// Auto applies every plan.
func Auto(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "auto" }

// OutputsTo writes the outputs to that Secret.
func OutputsTo(secret string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: secret}
	}
}

// Get reads the object.
func (s *Story) Get() *infrav1.Terraform {
	tf := &infrav1.Terraform{}
	s.Expect(s.System.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.Tenant.Namespace, Name: "net"}, tf)).To(Succeed())
	return tf
}

// Change changes the spec, as a commit of the manifest would.
func (s *Story) Change(change ...func(*infrav1.Terraform)) {
	s.t.Helper()
	tf := s.Get()
	before := tf.DeepCopy()
	for _, c := range change {
		c(tf)
	}
	s.Expect(s.System.Client.Patch(s.Ctx, tf, client.MergeFrom(before))).To(Succeed())
}

// Annotate sets an annotation of the object; "" removes it.
func (s *Story) Annotate(key, value string) {
	s.t.Helper()
	s.Expect(local.Annotate(s.Ctx, s.System.Client, s.Get(), key, value)).To(Succeed())
}

// Request asks for a reconcile, as `flux reconcile` would, and waits until it is answered.
func (s *Story) Request() {
	s.t.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	s.Annotate(meta.ReconcileRequestAnnotation, token)
	s.Eventually(func() string { return s.Get().Status.LastHandledReconcileAt }).Should(Equal(token))
}

// Becomes waits until the condition Ready is as described and the object rests, and returns the object.
func (s *Story) Becomes(status metav1.ConditionStatus, reason string, message gomegatypes.GomegaMatcher) *infrav1.Terraform {
	s.t.Helper()
	var tf *infrav1.Terraform
	s.Eventually(func(g Gomega) {
		tf = s.Get()
		ready := conditions.Get(tf, meta.ReadyCondition)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(string(ready.Status)+" "+ready.Reason).To(HavePrefix(string(status)+" "+reason), ready.Message)
		g.Expect(ready.Message).To(message)
		g.Expect(tf.Status.ActiveRun).To(BeNil())
		g.Expect(tf.Status.ObservedGeneration).To(Equal(tf.Generation))
		g.Expect(s.Pods()).To(BeEmpty())
	}).Should(Succeed())
	return tf
}

// Applied waits until that revision is applied, whether or not a look for drift has followed.
func (s *Story) Applied(revision string) *infrav1.Terraform {
	s.t.Helper()
	tf := s.Becomes(metav1.ConditionTrue, "", ContainSubstring(revision))
	s.Expect(tf.Status.LastAppliedRevision).To(Equal(revision))
	return tf
}

// Held waits until a plan waits for approval, and returns its id.
func (s *Story) Held() string {
	s.t.Helper()
	var tf *infrav1.Terraform
	s.Eventually(func(g Gomega) {
		tf = s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring("set approvePlan"))
		g.Expect(conditions.Has(tf, meta.ReconcilingCondition)).To(BeFalse(), "an object that waits for a person rests")
	}).Should(Succeed())
	s.Expect(tf.Status.Plan.Pending).NotTo(BeEmpty())
	return tf.Status.Plan.Pending
}

// Revision of the artifact that the source offers now.
func (s *Story) Revision() string {
	s.t.Helper()
	var revision string
	s.Eventually(func(g Gomega) {
		tf := s.Get()
		revision = tf.Status.LastAttemptedRevision
		g.Expect(revision).NotTo(BeEmpty())
	}).Should(Succeed())
	return revision
}

// Runs are those of the namespace.
func (s *Story) Runs() []infrav1.TerraformRun {
	var list infrav1.TerraformRunList
	s.Expect(s.System.Client.List(s.Ctx, &list, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	return list.Items
}

// Pods are those of the namespace.
func (s *Story) Pods() []corev1.Pod {
	var list corev1.PodList
	s.Expect(s.System.Client.List(s.Ctx, &list, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	return list.Items
}

// Secret reads a Secret.
func (s *Story) Secret(name string) *corev1.Secret {
	s.t.Helper()
	secret := &corev1.Secret{}
	s.Expect(s.System.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.Tenant.Namespace, Name: name}, secret)).To(Succeed())
	return secret
}

// Events are those of the namespace.
func (s *Story) Events() []corev1.Event {
	var list corev1.EventList
	s.Expect(s.System.Client.List(s.Ctx, &list, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	return list.Items
}

// Hears waits for an event of that reason that says that.
func (s *Story) Hears(reason string, message gomegatypes.GomegaMatcher) {
	s.t.Helper()
	s.Eventually(func() []string {
		var messages []string
		for _, e := range s.Events() {
			if e.Reason == reason && e.InvolvedObject.Kind == infrav1.TerraformKind {
				messages = append(messages, e.Message)
			}
		}
		return messages
	}).Should(ContainElement(message))
}

// RestsQuietly holds that nothing is written and nothing begun for a while: no hot loop.
func (s *Story) RestsQuietly() {
	s.t.Helper()
	s.Eventually(func() string { return conditions.GetReason(s.Get(), meta.ReconcilingCondition) }).
		ShouldNot(Equal(meta.ProgressingReason), "first it has to come to rest")
	before := s.Get()
	s.Consistently(func(g Gomega) {
		tf := s.Get()
		g.Expect(tf.ResourceVersion).To(Equal(before.ResourceVersion))
		g.Expect(tf.Status.RunSequence).To(Equal(before.Status.RunSequence))
	}).Should(Succeed())
}

// tellWhatHappened prints, for a story that failed, what a person would look at.
func (s *Story) tellWhatHappened() {
	if !s.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tell := func(title string, what any) {
		text, err := yaml.Marshal(what)
		s.t.Logf("%s (%v):\n%s", title, err, text)
	}
	var objects infrav1.TerraformList
	var runs infrav1.TerraformRunList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&objects, &runs, &pods} {
		if err := s.System.Client.List(ctx, list, client.InNamespace(s.Tenant.Namespace)); err != nil {
			s.t.Log(err)
		}
	}
	for _, tf := range objects.Items {
		tell("Terraform "+tf.Name, tf.Status)
	}
	for _, run := range runs.Items {
		tell("run "+run.Name+" "+string(run.Spec.Operation), run.Status)
	}
	for _, pod := range pods.Items {
		tell("pod "+pod.Name, pod.Status)
		log, err := s.System.Node.Logs(pod.Namespace, pod.Name, "tf-runner")
		s.t.Logf("log of %s (%v):\n%s", pod.Name, err, log)
	}
	for _, e := range s.Events() {
		s.t.Logf("event %s %s: %s: %s", e.Type, e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

// Key names an object of the tenant's namespace.
func (s *Story) Key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.Tenant.Namespace, Name: name}
}

// NamespaceVariable tells the module where it works.
func (s *Story) NamespaceVariable() func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.Vars = append(tf.Spec.Vars, infrav1.Variable{Name: "namespace", Value: JSON(`"` + s.Tenant.Namespace + `"`)})
	}
}

// Paint changes the driftable ConfigMap behind the engine's back.
func (s *Story) Paint(color string) {
	s.t.Helper()
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "settings"}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"data":{"color":"`+color+`"}}`))
	s.Expect(s.System.Client.Patch(s.Ctx, settings, patch)).To(Succeed())
}

// Color is what the driftable ConfigMap says.
func (s *Story) Color() string {
	settings := &corev1.ConfigMap{}
	s.Expect(s.System.Client.Get(s.Ctx, s.Key("settings"), settings)).To(Succeed())
	return settings.Data["color"]
}

// DeleteObject deletes the object and waits until it is gone.
func (s *Story) DeleteObject() {
	s.t.Helper()
	s.Expect(s.System.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(s.System.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue(), "the object goes")
}

// LeavesNothing of an object that is gone: the state Secret and its Lease, and, if there is something in the state, the backups
// of it; nothing else.
func (s *Story) LeavesNothing() {
	s.t.Helper()
	s.Eventually(func(g Gomega) {
		g.Expect(s.Runs()).To(BeEmpty())
		g.Expect(s.Pods()).To(BeEmpty())
		var secrets corev1.SecretList
		g.Expect(s.System.Client.List(s.Ctx, &secrets, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
		left := false
		for _, secret := range secrets.Items {
			state, err := bundle.Unpack(secret.Data["tfstate"], maxState)
			left = left || strings.HasPrefix(secret.Name, "tfstate-") && err == nil && !backups.Empty(state)
		}
		for _, secret := range secrets.Items {
			g.Expect(secret.Name).To(Or(HavePrefix("tfstate-"), And(HavePrefix("tfbackup-"), WithTransform(func(string) bool { return left }, BeTrue()))))
		}
		err := s.System.Client.Get(s.Ctx, s.Key(infrav1.RunnerReportRole), &rbacv1.RoleBinding{})
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the binding goes with the last object")
	}).Should(Succeed())
}

// SourceRevision is what the source offers now; "" for nothing.
func (s *Story) SourceRevision() string {
	source := s.Source()
	if source.Status.Artifact == nil {
		return ""
	}
	return source.Status.Artifact.Revision
}

// Refuses waits until Ready is False for that reason and says all of that, and an event does, too.
func (s *Story) Refuses(reason string, says ...string) {
	s.t.Helper()
	matchers := make([]gomegatypes.GomegaMatcher, 0, len(says))
	for _, text := range says {
		matchers = append(matchers, ContainSubstring(text))
	}
	s.Eventually(func(g Gomega) {
		ready := conditions.Get(s.Get(), meta.ReadyCondition)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(string(ready.Status) + " " + ready.Reason).To(Equal("False " + reason))
		g.Expect(ready.Message).To(And(matchers...))
	}).Should(Succeed())
	s.Hears(reason, And(matchers...))
}

// Source reads the tenant's GitRepository.
func (s *Story) Source() *sourcev1.GitRepository {
	source := &sourcev1.GitRepository{}
	s.Expect(s.System.Client.Get(s.Ctx, s.Key(local.SourceName), source)).To(Succeed())
	return source
}

// JSON is the value of a variable.
func JSON(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }
