package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// former makes a cluster as tofu-controller leaves it, while no controller runs.
type former struct {
	*story.Story
	t *testing.T

	outputs *corev1.Secret
	lock    string
	// ended gets the end of the runner that is at work.
	ended chan corev1.ContainerStateTerminated
}

// holdPod is a finalizer of this test: it shows how a pod has ended.
const holdPod = "tests.example.com/hold"

func newFormer(t *testing.T) *former {
	t.Helper()
	f := &former{Story: story.New(t, system, map[string]string{"main.tf": story.Greeting}), t: t, ended: make(chan corev1.ContainerStateTerminated, 1)}
	f.SetDefaultEventuallyTimeout(90 * time.Second)
	return f
}

func (f *former) stopController() {
	f.t.Helper()
	f.Expect(system.Controller.Kill()).To(Succeed())
	f.t.Cleanup(func() {
		select {
		case <-system.Controller.Done():
			f.startController() // for the tests that follow
		default:
		}
	})
}

func (f *former) startController() {
	f.t.Helper()
	controller, err := system.StartController(f.Ctx, "terraform-controller-"+f.Tenant.Namespace)
	f.Expect(err).NotTo(HaveOccurred())
	system.Controller = controller
}

// revision that the source offers.
func (f *former) revision() string {
	f.t.Helper()
	f.Eventually(f.SourceRevision).ShouldNot(BeEmpty())
	return f.SourceRevision()
}

func (f *former) object(name string) *infrav1.Terraform {
	tf := &infrav1.Terraform{}
	f.Expect(f.System.Client.Get(f.Ctx, f.Key(name), tf)).To(Succeed())
	return tf
}

// make creates an object with the incumbent's finalizer and this status, and one field in it that we do not know.
func (f *former) make(name string, status infrav1.TerraformStatus, change func(*infrav1.Terraform)) *infrav1.Terraform {
	f.t.Helper()
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Tenant.Namespace, Name: name, Finalizers: []string{infrav1.Finalizer}},
		Spec: infrav1.TerraformSpec{
			Interval: metav1.Duration{Duration: 10 * time.Minute}, RetryInterval: &metav1.Duration{Duration: 15 * time.Second},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: local.SourceName},
		},
	}
	change(tf)
	f.Expect(f.System.Client.Create(f.Ctx, tf)).To(Succeed())
	status.ObservedGeneration = tf.Generation
	for i := range status.Conditions {
		status.Conditions[i].LastTransitionTime = metav1.Now()
	}
	content, err := json.Marshal(map[string]any{"status": status})
	f.Expect(err).NotTo(HaveOccurred())
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(infrav1.GroupVersion.WithKind(infrav1.TerraformKind))
	raw.SetNamespace(tf.Namespace)
	raw.SetName(tf.Name)
	unknown := bytes.Replace(content, []byte(`{"status":{`), []byte(`{"status":{"blubberCount":7,`), 1)
	f.Expect(f.System.Client.Status().Patch(f.Ctx, raw, client.RawPatch("application/merge-patch+json", unknown))).To(Succeed())
	return f.object(name)
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// legacyID of a plan of that revision.
func legacyID(revision string) string {
	_, hash, _ := strings.Cut(revision, "@sha1:")
	return "plan-main-" + hash[:10]
}

// rested has been applied, by a token that still stands in its spec, and another object depends on it.
func (f *former) rested(revision string) {
	tf := f.make("rested", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReadyCondition, metav1.ConditionTrue, infrav1.ReasonNoDrift, "No drift: "+revision),
			condition(infrav1.ConditionApply, metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, "Applied successfully"),
			condition(infrav1.ConditionOutput, metav1.ConditionTrue, infrav1.ReasonOutputsWritten, "Outputs written"),
			condition(infrav1.ConditionPlan, metav1.ConditionTrue, infrav1.ReasonPlannedWithChanges, "Plan generated"),
		},
		LastAppliedRevision: revision, LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1,
		LastPlanAt: ptr.To(metav1.Now()), AvailableOutputs: []string{"greeting"}, Plan: infrav1.PlanStatus{LastApplied: legacyID(revision)},
	}, func(tf *infrav1.Terraform) {
		tf.Finalizers = append(tf.Finalizers, "tf.dependency.of.approved", "tf.dependency.of.long-gone")
		tf.Spec.ApprovePlan = legacyID(revision)
		tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "rested-outputs"}
	})
	f.storePlan("tfplan-default-rested", tf, legacyID(revision), true)
	// A state Secret of 0.16.4 has the object's labels.
	f.storeState("rested", "hello world", map[string]string{"kustomize.toolkit.fluxcd.io/name": "infra"})
	f.outputs = &corev1.Secret{ObjectMeta: f.meta("rested-outputs"), Data: map[string][]byte{"greeting": []byte("hello world")}}
	f.outputs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))}
	f.Expect(f.System.Client.Create(f.Ctx, f.outputs)).To(Succeed())
}

// approved has a plan that waits, and whose legacy id a person has just put into the spec.
func (f *former) approved(revision string) {
	id := legacyID(revision)
	tf := f.make("approved", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, "Fulfilling prerequisites"),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, "Plan generated: set approvePlan: \""+id+"\" to approve this plan."),
			condition(infrav1.ConditionPlan, metav1.ConditionTrue, infrav1.ReasonPlannedWithChanges, "Plan generated"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1, LastPlanAt: ptr.To(metav1.Now()),
		Plan: infrav1.PlanStatus{Pending: id},
	}, func(tf *infrav1.Terraform) {
		tf.Spec.ApprovePlan = id
		tf.Spec.DependsOn = []infrav1.DependencyReference{{Name: "rested"}}
	})
	f.storePlan("tfplan-default-approved", tf, id, true)
}

// applying was in the middle of an apply: its runner is at work and holds the lock.
func (f *former) applying(revision string) {
	tf := f.make("applying", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, "Fulfilling prerequisites"),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Applying"),
			condition(infrav1.ConditionApply, metav1.ConditionUnknown, meta.ProgressingReason, "Apply started"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1, Plan: infrav1.PlanStatus{Pending: legacyID(revision)},
	}, story.Auto)
	f.storePlan("tfplan-default-applying-0", tf, legacyID(revision), true)
	f.storeState("applying", "an older greeting", nil)
	f.runner(tf, corev1.PodRunning, fmt.Sprintf("trap 'sleep %d; exit 0' TERM; while :; do sleep 0.1; done", int(outlasting.Seconds())))
	f.lock = "6b1d3a52-0000-4000-8000-000000000001"
	created := time.Now().UTC().Format(time.RFC3339Nano)
	f.Expect(f.System.Client.Create(f.Ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Tenant.Namespace, Name: "lock-" + stateOf("applying"), Annotations: map[string]string{
			"app.terraform.io/lock-info": fmt.Sprintf(`{"ID":%q,"Operation":"OperationTypeApply","Who":"runner@applying-tf-runner","Created":%q}`, f.lock, created),
		}},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &f.lock},
	})).To(Succeed())
}

// troubled has failed as often as it may; its runner has failed too, and its plan Secret has no labels, as of old.
func (f *former) troubled(revision string) {
	tf := f.make("troubled", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.StalledCondition, metav1.ConditionTrue, infrav1.ReasonRetryLimitReached, "Resource reached maximum number of retries."),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Reconciliation in progress"),
			condition(infrav1.ConditionStateLocked, metav1.ConditionTrue, infrav1.ReasonLockHeld, "Terraform Locked with Lock Identifier: gone"),
		},
		LastAttemptedRevision: revision, ReconciliationFailures: 9, Lock: infrav1.LockStatus{Pending: "gone"},
	}, func(tf *infrav1.Terraform) {
		story.Auto(tf)
		tf.Spec.Remediation = &infrav1.Remediation{Retries: 3}
	})
	f.storePlan("tfplan-default-troubled", tf, legacyID(revision), false)
	f.runner(tf, corev1.PodFailed, "exit 1")
}

// going is being deleted; its only apply has failed after it had made something.
func (f *former) going(revision string) {
	tf := f.make("going", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReadyCondition, metav1.ConditionFalse, infrav1.ReasonTFExecApplyFailed, "error running Apply: blub"),
			condition(infrav1.ConditionApply, metav1.ConditionFalse, infrav1.ReasonAppliedFail, "error running Apply: blub"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, ReconciliationFailures: 2,
	}, func(tf *infrav1.Terraform) {
		tf.Finalizers = append(tf.Finalizers, "tf.dependency.of.long-gone")
		tf.Spec.DestroyResourcesOnDeletion = true
	})
	f.storeState("going", "hello world", nil)
	f.Expect(f.System.Client.Delete(f.Ctx, tf)).To(Succeed())
}

func (f *former) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: f.Tenant.Namespace, Name: name}
}

// storePlan keeps what looks like a plan to the incumbent: nobody may apply it, as nobody can tell what is in it.
func (f *former) storePlan(name string, tf *infrav1.Terraform, id string, labelled bool) {
	secret := &corev1.Secret{ObjectMeta: f.meta(name), Data: map[string][]byte{"tfplan": zipped([]byte("a plan of blubs"))}}
	secret.Annotations = map[string]string{"encoding": "gzip", infrav1.SavedPlanAnnotation: id}
	if labelled {
		secret.Labels = map[string]string{infrav1.PlanNameLabel: tf.Name, infrav1.PlanWorkspaceLabel: "default"}
		secret.Annotations[infrav1.PlanFullNameAnnotation], secret.Annotations[infrav1.PlanFullWorkspaceAnnotation] = tf.Name, "default"
		secret.Annotations[infrav1.PlanHashAnnotation] = strings.Repeat("0", 64)
	}
	secret.OwnerReferences = []metav1.OwnerReference{{APIVersion: infrav1.GroupVersion.String(), Kind: infrav1.TerraformKind, Name: tf.Name, UID: tf.UID}}
	f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
}

func stateOf(name string) string { return "tfstate-default-" + name }

// storeState keeps a state of the greeting module.
func (f *former) storeState(name, greeting string, labels map[string]string) {
	state := fmt.Sprintf(`{"version":4,"terraform_version":"1.12.1","serial":5,"lineage":"5f0c1d7e-0000-4000-8000-%012x",
"outputs":{"greeting":{"value":%[2]q,"type":"string"}},
"resources":[{"mode":"managed","type":"terraform_data","name":"greeting","provider":"provider[\"terraform.io/builtin/terraform\"]",
"instances":[{"schema_version":0,"attributes":{"id":"0a1b2c3d-0000-4000-8000-000000000000","input":{"value":%[2]q,"type":"string"},
"output":{"value":%[2]q,"type":"string"},"triggers_replace":null},"sensitive_attributes":[]}]}],"check_results":null}`, len(name), greeting)
	secret := &corev1.Secret{ObjectMeta: f.meta(stateOf(name)), Data: map[string][]byte{"tfstate": zipped([]byte(state))}}
	secret.Annotations = map[string]string{"encoding": "gzip"}
	secret.Labels = map[string]string{"tfstate": "true", "tfstateSecretSuffix": name, "tfstateWorkspace": "default", "app.kubernetes.io/managed-by": "terraform"}
	maps.Copy(secret.Labels, labels)
	f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
}

func zipped(content []byte) []byte {
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	_, _ = w.Write(content)
	_ = w.Close()
	return buffer.Bytes()
}

// identity of a state.
type identity struct {
	Lineage   string `json:"lineage"`
	Serial    int64  `json:"serial"`
	Resources []any  `json:"resources"`
}

// states of the namespace, by the names of their Secrets.
func (f *former) states() map[string]identity {
	f.t.Helper()
	found := map[string]identity{}
	for _, secret := range f.secrets() {
		if secret.Labels["tfstate"] != "true" {
			continue
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(secret.Data["tfstate"]))
		f.Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(unzipped)
		f.Expect(err).NotTo(HaveOccurred())
		var state identity
		f.Expect(json.Unmarshal(content, &state)).To(Succeed())
		found[secret.Name] = state
	}
	return found
}

func (f *former) secrets() []corev1.Secret {
	var list corev1.SecretList
	f.Expect(f.System.Client.List(f.Ctx, &list, client.InNamespace(f.Tenant.Namespace))).To(Succeed())
	return list.Items
}

// leaveTLS makes what the incumbent's certificate rotation leaves in each namespace.
func (f *former) leaveTLS() {
	for _, name := range []string{"terraform-runner.tls-1764000000", "terraform-runner.tls-1764600000"} {
		secret := &corev1.Secret{ObjectMeta: f.meta(name), Type: corev1.SecretTypeTLS, Immutable: ptr.To(true), Data: map[string][]byte{
			"tls.crt": []byte("blub"), "tls.key": []byte("blub"), "ca.crt": []byte("blub"), "ca.key": []byte("blub"),
		}}
		secret.Labels = map[string]string{infrav1.TerraformLabel: "true"}
		f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
	}
}

// runner makes a runner pod as the incumbent does, as far as that matters here, and waits until it is in that phase. Its grace
// is a second. It is not restarted, as the local node restarts nothing.
func (f *former) runner(tf *infrav1.Terraform, phase corev1.PodPhase, script string) {
	f.t.Helper()
	pod := &corev1.Pod{ObjectMeta: f.meta(tf.Name + "-tf-runner"), Spec: corev1.PodSpec{
		ServiceAccountName: infrav1.DefaultServiceAccount, RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: ptr.To(int64(1)),
		Containers: []corev1.Container{{Name: "tf-runner", Image: local.RunnerImage, Command: []string{"sh", "-c", script}}},
	}}
	pod.Labels = map[string]string{
		infrav1.CreatedByLabel: infrav1.CreatedByValue, infrav1.NameLabel: infrav1.NameValue, infrav1.InstanceLabel: "tf-runner-12345678",
		infrav1.TerraformLabel: f.Tenant.Namespace, "tf.weave.works/tls-secret-name": "terraform-runner.tls-1764600000",
	}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))}
	if phase == corev1.PodRunning {
		pod.Finalizers = []string{holdPod}
	}
	f.Expect(f.System.Client.Create(f.Ctx, pod)).To(Succeed())
	f.Eventually(func() corev1.PodPhase {
		f.Expect(f.System.Client.Get(f.Ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
		return pod.Status.Phase
	}).Should(Equal(phase))
}

// watchPod looks how the runner that is at work ends, and lets its pod go then.
func (f *former) watchPod() {
	ctx, cancel := context.WithCancel(f.Ctx)
	done := make(chan struct{})
	f.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil && f.lookAtPod(ctx) {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// lookAtPod says whether there is more to see.
func (f *former) lookAtPod(ctx context.Context) bool {
	pod := &corev1.Pod{}
	if err := f.System.Client.Get(ctx, f.Key("applying-tf-runner"), pod); err != nil {
		return client.IgnoreNotFound(err) != nil
	}
	held := len(pod.Finalizers) > 0 && pod.Finalizers[0] == holdPod
	if !held || len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Terminated == nil {
		return held
	}
	changed := pod.DeepCopy()
	changed.Finalizers = changed.Finalizers[1:]
	if err := f.System.Client.Patch(ctx, changed, client.MergeFromWithOptions(pod, client.MergeFromWithOptimisticLock{})); err != nil {
		return true
	}
	f.ended <- *pod.Status.ContainerStatuses[0].State.Terminated
	return false
}
