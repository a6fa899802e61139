package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

const (
	// patience is what a step of a story may take on a machine with two busy cores.
	patience = 90 * time.Second
	glance   = 100 * time.Millisecond
	// quiet is how long nothing must happen where nothing may.
	quiet = 3 * time.Second
)

// greeting is the smallest module that has a resource and an output.
const greeting = `
variable "name" { default = "world" }
resource "terraform_data" "greeting" { input = "hello ${var.name}" }
output "greeting" { value = terraform_data.greeting.output }
`

// story is one test's tenant, with what the test does there.
type story struct {
	*WithT
	t      *testing.T
	ctx    context.Context
	tenant *local.Tenant
}

func newStory(t *testing.T, files map[string]string) *story {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	s := &story{WithT: NewWithT(t), t: t, ctx: ctx}
	s.SetDefaultEventuallyTimeout(patience)
	s.SetDefaultEventuallyPollingInterval(glance)
	s.SetDefaultConsistentlyDuration(quiet)
	s.SetDefaultConsistentlyPollingInterval(glance)
	tenant, err := system.NewTenant(ctx, "e2e", files)
	s.Expect(err).NotTo(HaveOccurred())
	s.tenant = tenant
	t.Cleanup(cancel)
	t.Cleanup(s.tellWhatHappened)
	return s
}

// create makes a Terraform object named net, as short as users write it.
func (s *story) create(change ...func(*infrav1.Terraform)) {
	s.t.Helper()
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.tenant.Namespace, Name: "net"},
		Spec: infrav1.TerraformSpec{
			Interval: metav1.Duration{Duration: 10 * time.Minute}, RetryInterval: &metav1.Duration{Duration: 5 * time.Minute},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: local.SourceName},
		},
	}
	for _, c := range change {
		c(tf)
	}
	s.Expect(system.Client.Create(s.ctx, tf)).To(Succeed())
}

func auto(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "auto" }

func outputsTo(secret string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: secret}
	}
}

func (s *story) get() *infrav1.Terraform {
	tf := &infrav1.Terraform{}
	s.Expect(system.Client.Get(s.ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: "net"}, tf)).To(Succeed())
	return tf
}

// change changes the spec, as a commit of the manifest would.
func (s *story) change(change func(*infrav1.Terraform)) {
	s.t.Helper()
	tf := s.get()
	before := tf.DeepCopy()
	change(tf)
	s.Expect(system.Client.Patch(s.ctx, tf, client.MergeFrom(before))).To(Succeed())
}

func (s *story) annotate(key, value string) {
	s.t.Helper()
	s.Expect(local.Annotate(s.ctx, system.Client, s.get(), key, value)).To(Succeed())
}

// request asks for a reconcile, as `flux reconcile` would, and waits until it is answered.
func (s *story) request() {
	s.t.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	s.annotate(meta.ReconcileRequestAnnotation, token)
	s.Eventually(func() string { return s.get().Status.LastHandledReconcileAt }).Should(Equal(token))
}

// becomes waits until the condition Ready is as described and the object rests, and returns the object.
func (s *story) becomes(status metav1.ConditionStatus, reason string, message types.GomegaMatcher) *infrav1.Terraform {
	s.t.Helper()
	var tf *infrav1.Terraform
	s.Eventually(func(g Gomega) {
		tf = s.get()
		ready := conditions.Get(tf, meta.ReadyCondition)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(string(ready.Status)+" "+ready.Reason).To(HavePrefix(string(status)+" "+reason), ready.Message)
		g.Expect(ready.Message).To(message)
		g.Expect(tf.Status.ActiveRun).To(BeNil())
		g.Expect(tf.Status.ObservedGeneration).To(Equal(tf.Generation))
		g.Expect(s.pods()).To(BeEmpty())
	}).Should(Succeed())
	return tf
}

func (s *story) applied(revision string) *infrav1.Terraform {
	s.t.Helper()
	tf := s.becomes(metav1.ConditionTrue, "Terraform", ContainSubstring(revision))
	s.Expect(tf.Status.LastAppliedRevision).To(Equal(revision))
	return tf
}

// held waits until a plan waits for approval, and returns its id.
func (s *story) held() string {
	s.t.Helper()
	tf := s.becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring("set approvePlan"))
	s.Expect(tf.Status.Plan.Pending).NotTo(BeEmpty())
	s.Expect(conditions.Has(tf, meta.ReconcilingCondition)).To(BeFalse(), "an object that waits for a person rests")
	return tf.Status.Plan.Pending
}

// revision of the artifact that the source offers now.
func (s *story) revision() string {
	s.t.Helper()
	var revision string
	s.Eventually(func(g Gomega) {
		tf := s.get()
		revision = tf.Status.LastAttemptedRevision
		g.Expect(revision).NotTo(BeEmpty())
	}).Should(Succeed())
	return revision
}

func (s *story) runs() []infrav1.TerraformRun {
	var list infrav1.TerraformRunList
	s.Expect(system.Client.List(s.ctx, &list, client.InNamespace(s.tenant.Namespace))).To(Succeed())
	return list.Items
}

func (s *story) pods() []corev1.Pod {
	var list corev1.PodList
	s.Expect(system.Client.List(s.ctx, &list, client.InNamespace(s.tenant.Namespace))).To(Succeed())
	return list.Items
}

func (s *story) secret(name string) *corev1.Secret {
	s.t.Helper()
	secret := &corev1.Secret{}
	s.Expect(system.Client.Get(s.ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: name}, secret)).To(Succeed())
	return secret
}

func (s *story) events() []corev1.Event {
	var list corev1.EventList
	s.Expect(system.Client.List(s.ctx, &list, client.InNamespace(s.tenant.Namespace))).To(Succeed())
	return list.Items
}

// eventually an event with that reason says that.
func (s *story) hears(reason string, message types.GomegaMatcher) {
	s.t.Helper()
	s.Eventually(func() []string {
		var messages []string
		for _, e := range s.events() {
			if e.Reason == reason && e.InvolvedObject.Kind == infrav1.TerraformKind {
				messages = append(messages, e.Message)
			}
		}
		return messages
	}).Should(ContainElement(message))
}

// restsQuietly holds that nothing is written and nothing begun for a while: no hot loop.
func (s *story) restsQuietly() {
	s.t.Helper()
	before := s.get()
	s.Consistently(func(g Gomega) {
		tf := s.get()
		g.Expect(tf.ResourceVersion).To(Equal(before.ResourceVersion))
		g.Expect(tf.Status.RunSequence).To(Equal(before.Status.RunSequence))
	}).Should(Succeed())
}

// tellWhatHappened prints, for a story that failed, what a person would look at.
func (s *story) tellWhatHappened() {
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
		if err := system.Client.List(ctx, list, client.InNamespace(s.tenant.Namespace)); err != nil {
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
		log, err := system.Node.Logs(pod.Namespace, pod.Name, "tf-runner")
		s.t.Logf("log of %s (%v):\n%s", pod.Name, err, log)
	}
	for _, e := range s.events() {
		s.t.Logf("event %s %s: %s: %s", e.Type, e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

func namespaced(s *story, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.tenant.Namespace, Name: name}
}
