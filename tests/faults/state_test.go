package faults

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

const (
	stateSecret = "tfstate-default-net"
	stateKey    = "tfstate"
)

// rewritten changes the text of a state as it is stored.
func rewritten(s *story.Story, stored []byte, from, to string) []byte {
	unzipped, err := gzip.NewReader(bytes.NewReader(stored))
	s.Expect(err).NotTo(HaveOccurred())
	text, err := io.ReadAll(unzipped)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(string(text)).To(ContainSubstring(from))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write([]byte(strings.ReplaceAll(string(text), from, to)))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(w.Close()).To(Succeed())
	return zipped.Bytes()
}

// TestState_IsNotTheOneThatWasLeft: nothing is done with such a state, and none is made in its place.
func TestState_IsNotTheOneThatWasLeft(t *testing.T) {
	compat.Shows(t, "use.back-up-and-restore-state")
	t.Parallel()
	cases := map[string]struct {
		reason string
		// spoil changes the Secret as it is now; older is what it held before the last apply.
		spoil func(s *story.Story, now *corev1.Secret, older []byte)
		says  string
	}{
		"deleted": {"an init would make an empty one, and the apply everything anew", func(s *story.Story, now *corev1.Secret, _ []byte) {
			s.Expect(system.Client.Delete(s.Ctx, now)).To(Succeed())
		}, "the state is gone"},
		"truncated": {"half a state is none", func(s *story.Story, now *corev1.Secret, _ []byte) {
			put(s, now, stateKey, now.Data[stateKey][:len(now.Data[stateKey])/2])
		}, "can't be read"},
		"other lineage": {"somebody else's state", func(s *story.Story, now *corev1.Secret, _ []byte) {
			put(s, now, stateKey, rewritten(s, now.Data[stateKey], s.Get().Status.State.Lineage, "00000000-1111-2222-3333-444444444444"))
		}, "the state is another one"},
		"older": {"a backup that was put back", func(s *story.Story, now *corev1.Secret, older []byte) {
			put(s, now, stateKey, older)
		}, "the state is older than it was"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			s.Create(story.Auto, impatient)
			s.Applied(s.Revision())
			older := s.Secret(stateSecret).Data[stateKey]
			revision, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
			s.Expect(err).NotTo(HaveOccurred())
			s.Applied(revision)
			good := s.Secret(stateSecret)

			spoilt := time.Now()
			tc.spoil(s, good.DeepCopy(), older)
			s.Request()
			s.Refuses(infrav1.ReasonStateGuard, tc.says)
			took(t, "state "+name+": said", spoilt)
			s.Eventually(func() int64 { return s.Get().Status.ReconciliationFailures }).Should(BeNumerically(">=", 2), "also the next time")
			s.Consistently(func(g Gomega) {
				found := &corev1.Secret{}
				err := system.Client.Get(s.Ctx, s.Key(stateSecret), found)
				g.Expect(name == "deleted").To(Equal(apierrors.IsNotFound(err)), "nothing is made in its place: %v", err)
				g.Expect(applies(s)).To(HaveLen(2), tc.reason)
			}).Should(Succeed())

			mended := time.Now()
			restore(s, good)
			s.Becomes(metav1.ConditionTrue, "", ContainSubstring(revision))
			took(t, "state "+name+": after the good one was put back", mended)
			s.Expect(applies(s)).To(HaveLen(2), "nothing was made anew")
		})
	}
}

// restore puts a Secret back as it was.
func restore(s *story.Story, secret *corev1.Secret) {
	secret.ResourceVersion, secret.UID = "", ""
	err := system.Client.Create(s.Ctx, secret.DeepCopy())
	if apierrors.IsAlreadyExists(err) {
		err = system.Client.Update(s.Ctx, secret)
	}
	s.Expect(err).NotTo(HaveOccurred())
}

// forbid makes the API server refuse what the expression does not hold for, in the story's namespace, and returns when it
// does. The function it returns ends that.
func forbid(s *story.Story, resource string, operation admissionv1.OperationType, expression string, sample client.Object) func() {
	name := s.Tenant.Namespace
	fail, scope := admissionv1.Fail, metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": name}}
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &scope,
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{operation},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: expression, Message: "the platform does not allow that today"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	s.Expect(system.Client.Create(s.Ctx, policy)).To(Succeed())
	s.Expect(system.Client.Create(s.Ctx, binding)).To(Succeed())
	s.Eventually(func() bool {
		try := sample.DeepCopyObject().(client.Object)
		if operation == admissionv1.Create {
			return apierrors.IsInvalid(system.Client.Create(s.Ctx, try, client.DryRunAll))
		}
		return apierrors.IsInvalid(system.Client.Update(s.Ctx, try, client.DryRunAll))
	}).Should(BeTrue(), "the policy acts")
	return func() {
		s.Expect(system.Client.Delete(s.Ctx, binding)).To(Succeed())
		s.Expect(system.Client.Delete(s.Ctx, policy)).To(Succeed())
	}
}

// TestState_BackendRefusesTheLastWrite: what the engine could not save is saved as soon as the backend takes it.
func TestState_BackendRefusesTheLastWrite(t *testing.T) {
	compat.Shows(t, "state.too-large")
	t.Parallel()
	p := admit(t, []phase{{name: "apply", command: "create", operation: infrav1.OperationApply, step: infrav1.StepApply}})[0]
	allow := forbid(p.Story, "secrets", admissionv1.Update, "object.metadata.name != '"+stateSecret+"'", p.Secret(stateSecret))
	refused := time.Now()
	p.gate.open(p.Story)
	p.Eventually(func() (string, error) {
		return system.Node.Logs(p.Tenant.Namespace, "net-tf-runner", "tf-runner")
	}).Should(ContainSubstring("does not allow that today"))
	p.Consistently(func() infrav1.RunPhase { return p.struckRun().Status.Phase }).Should(Equal(infrav1.RunRunning), "it tries again")
	allow()
	p.Eventually(func(g Gomega) {
		run := p.struckRun()
		g.Expect(run.Status.Phase).To(Equal(infrav1.RunFailed))
		g.Expect(run.Status.Failure.Message).To(ContainSubstring("the state was saved"))
		g.Expect(run.Status.State.Resources).To(Equal(int64(2)))
	}).Should(Succeed())
	took(t, "backend refuses the last write: state saved", refused)
	p.recovers()
	took(t, "backend refuses the last write", refused)
	p.Expect(applies(p.Story)).To(HaveLen(1), "nothing was made anew")
	p.sound()
}
