package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

	module  string
	outputs *corev1.Secret
	// ended gets the end of the runner that is at work.
	ended chan corev1.ContainerStateTerminated
}

// holdPod is a finalizer of this test: it shows how a pod has ended.
const holdPod = "tests.example.com/hold"

func newFormer(t *testing.T) *former {
	t.Helper()
	module := story.Greeting + "output \"answer\" { value = 42 }\n"
	f := &former{Story: story.New(t, system, map[string]string{"main.tf": module}), t: t, module: module, ended: make(chan corev1.ContainerStateTerminated, 1)}
	f.SetDefaultEventuallyTimeout(2 * time.Minute)
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

func (f *former) startController(args ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Ctx), time.Minute)
	defer cancel()
	controller, err := system.StartController(ctx, "terraform-controller-"+f.Tenant.Namespace, args...)
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
	f.Expect(f.System.Client.Status().Patch(f.Ctx, raw, client.RawPatch("application/merge-patch+json", unknown), client.FieldOwner("tf-controller"))).To(Succeed())
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

func (f *former) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: f.Tenant.Namespace, Name: name}
}

// storedPlan is a plan in the incumbent's form.
type storedPlan struct {
	file          []byte
	id, workspace string
	// chunks is how many Secrets hold it; 0: one, that has no number. Old versions set no labels.
	chunks int
	bare   bool
	// spoiled: the hash is not that of the file.
	spoiled bool
}

// storePlan keeps a plan as the incumbent does (contract 2.2).
func (f *former) storePlan(tf *infrav1.Terraform, p storedPlan) {
	data, hashed := zipped(p.file), p.file
	name := "tfplan-" + p.workspace + "-" + tf.Name
	for i := range max(p.chunks, 1) {
		part := data
		if p.chunks > 0 {
			size := (len(data) + p.chunks - 1) / p.chunks
			part = data[i*size : min((i+1)*size, len(data))]
			hashed = part
		}
		secret := &corev1.Secret{ObjectMeta: f.meta(name), Data: map[string][]byte{"tfplan": part}}
		f.describePlan(&secret.ObjectMeta, tf, tf.Name, p)
		secret.Annotations["encoding"] = "gzip"
		secret.Annotations[infrav1.PlanHashAnnotation] = hexOf(hashed)
		if p.chunks > 0 {
			secret.Name = fmt.Sprintf("%s-%d", name, i)
			secret.Annotations[infrav1.PlanChunkAnnotation] = strconv.Itoa(i)
		}
		if p.spoiled {
			secret.Annotations[infrav1.PlanHashAnnotation] = strings.Repeat("0", 64)
		}
		f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
	}
}

// describePlan is what all objects that hold a plan have.
func (f *former) describePlan(meta *metav1.ObjectMeta, tf *infrav1.Terraform, label string, p storedPlan) {
	meta.Annotations = map[string]string{infrav1.SavedPlanAnnotation: p.id}
	if !p.bare {
		meta.Labels = map[string]string{infrav1.PlanNameLabel: label, infrav1.PlanWorkspaceLabel: p.workspace}
		meta.Annotations[infrav1.PlanFullNameAnnotation], meta.Annotations[infrav1.PlanFullWorkspaceAnnotation] = tf.Name, p.workspace
	}
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: infrav1.GroupVersion.String(), Kind: infrav1.TerraformKind, Name: tf.Name, UID: tf.UID}}
}

// storeReadable keeps both readable forms of a plan, though an object asks for one (contract 2.3).
func (f *former) storeReadable(tf *infrav1.Terraform, p storedPlan) {
	secret := &corev1.Secret{ObjectMeta: f.meta("tfplan-" + p.workspace + "-" + tf.Name + ".json"), Data: map[string][]byte{"tfplan": zipped([]byte("{}"))}}
	f.describePlan(&secret.ObjectMeta, tf, tf.Name+".json", p)
	text := &corev1.ConfigMap{ObjectMeta: f.meta("tfplan-" + p.workspace + "-" + tf.Name), Data: map[string]string{"tfplan": "blub"}}
	f.describePlan(&text.ObjectMeta, tf, tf.Name, p)
	f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
	f.Expect(f.System.Client.Create(f.Ctx, text)).To(Succeed())
}

// planFile is a plan that the engine of the runner has made of the module.
func (f *former) planFile() []byte {
	f.t.Helper()
	dir := f.t.TempDir()
	f.Expect(os.WriteFile(filepath.Join(dir, "main.tf"), []byte(f.module), 0o600)).To(Succeed())
	tofu, err := filepath.Abs("../../bin/tofu")
	f.Expect(err).NotTo(HaveOccurred())
	backend := "terraform {\n  backend \"local\" {}\n}\n" // of the incumbent, and written as it does
	f.Expect(os.WriteFile(filepath.Join(dir, "backend_override.tf"), []byte(backend), 0o600)).To(Succeed())
	for _, arguments := range [][]string{{"init", "-input=false"}, {"plan", "-input=false", "-out=tfplan"}} {
		command := exec.CommandContext(f.Ctx, tofu, arguments...)
		command.Dir = dir
		said, err := command.CombinedOutput()
		f.Expect(err).NotTo(HaveOccurred(), string(said))
	}
	file, err := os.ReadFile(filepath.Join(dir, "tfplan"))
	f.Expect(err).NotTo(HaveOccurred())
	return file
}

func hexOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func stateOf(name string) string { return "tfstate-default-" + name }

// storeState keeps a state of the module, in that workspace.
func (f *former) storeState(name, workspace, greeting string, labels map[string]string) {
	state := fmt.Sprintf(`{"version":4,"terraform_version":"1.12.1","serial":5,"lineage":"5f0c1d7e-0000-4000-8000-%012x",
"outputs":{"greeting":{"value":%[2]q,"type":"string"},"answer":{"value":42,"type":"number"}},
"resources":[{"mode":"managed","type":"terraform_data","name":"greeting","provider":"provider[\"terraform.io/builtin/terraform\"]",
"instances":[{"schema_version":0,"attributes":{"id":"0a1b2c3d-0000-4000-8000-000000000000","input":{"value":%[2]q,"type":"string"},
"output":{"value":%[2]q,"type":"string"},"triggers_replace":null},"sensitive_attributes":[]}]}],"check_results":null}`, len(name), greeting)
	secret := &corev1.Secret{ObjectMeta: f.meta("tfstate-" + workspace + "-" + name), Data: map[string][]byte{"tfstate": zipped([]byte(state))}}
	secret.Annotations = map[string]string{"encoding": "gzip"}
	secret.Labels = map[string]string{"tfstate": "true", "tfstateSecretSuffix": name, "tfstateWorkspace": workspace, "app.kubernetes.io/managed-by": "terraform"}
	maps.Copy(secret.Labels, labels)
	f.Expect(f.System.Client.Create(f.Ctx, secret)).To(Succeed())
}

// lockState locks a state as a runner does that began an apply then.
func (f *former) lockState(name, id, who string, created time.Time) {
	f.Expect(f.System.Client.Create(f.Ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Tenant.Namespace, Name: "lock-" + stateOf(name), Annotations: map[string]string{
			"app.terraform.io/lock-info": fmt.Sprintf(`{"ID":%q,"Operation":"OperationTypeApply","Who":%q,"Created":%q}`,
				id, who, created.UTC().Format(time.RFC3339Nano)),
		}},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &id},
	})).To(Succeed())
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
func (f *former) runner(tf *infrav1.Terraform, phase corev1.PodPhase, script string, finalizers ...string) *corev1.Pod {
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
	pod.Finalizers = finalizers
	if phase == corev1.PodPending {
		pod.Spec.Containers[0].Image = "registry.example.com/tf-runner:gone"
	}
	f.Expect(f.System.Client.Create(f.Ctx, pod)).To(Succeed())
	f.Eventually(func() corev1.PodPhase {
		f.Expect(f.System.Client.Get(f.Ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
		return pod.Status.Phase
	}).Should(Equal(phase))
	return pod
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
