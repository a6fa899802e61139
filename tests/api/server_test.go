package api_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestTerraform_DefaultsOfTheServer(t *testing.T) {
	compat.Shows(t, "api.defaults", "status.observedGeneration")
	g := NewWithT(t)
	object := manifest(t, "Terraform", "defaults", `
interval: 10m
sourceRef: {kind: GitRepository, name: source}
`)
	g.Expect(create(t, object)).To(Succeed())

	generation, _, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(generation).To(Equal(int64(-1)), "kstatus must not take a new object for a current one")

	var terraform v1alpha2.Terraform
	g.Expect(server.client.Get(t.Context(), client.ObjectKeyFromObject(object), &terraform)).To(Succeed())
	g.Expect(terraform.Spec.Workspace).To(Equal("default"))
	g.Expect(terraform.Spec.ServiceAccountName).To(Equal("tf-runner"))
	g.Expect(terraform.Spec.AlwaysCleanupRunnerPod).To(HaveValue(BeTrue()))
	g.Expect(terraform.Spec.UpgradeOnInit).To(HaveValue(BeTrue()))
	g.Expect(terraform.Spec.RunnerTerminationGracePeriodSeconds).To(HaveValue(Equal(int64(30))))
}

func TestTerraform_TypedClientKeepsAnExplicitFalse(t *testing.T) {
	compat.Shows(t, "spec.upgradeOnInit", "weak.27")
	g := NewWithT(t)
	object := manifest(t, "Terraform", "explicit-false", `
interval: 10m
sourceRef: {kind: GitRepository, name: source}
upgradeOnInit: false
alwaysCleanupRunnerPod: false
`)
	g.Expect(create(t, object)).To(Succeed())
	var terraform v1alpha2.Terraform
	g.Expect(server.client.Get(t.Context(), client.ObjectKeyFromObject(object), &terraform)).To(Succeed())
	terraform.Spec.Path = "./changed"
	g.Expect(server.client.Update(t.Context(), &terraform)).To(Succeed())
	g.Expect(terraform.Spec.UpgradeOnInit).To(HaveValue(BeFalse()))
	g.Expect(terraform.Spec.AlwaysCleanupRunnerPod).To(HaveValue(BeFalse()))
}

func TestTerraform_ServerRefuses(t *testing.T) {
	compat.Shows(t, "api.refusals")
	for name, spec := range map[string]string{
		"no interval":       `sourceRef: {kind: GitRepository, name: source}`,
		"no source":         `interval: 10m`,
		"unknown kind":      `{interval: 10m, sourceRef: {kind: HelmRepository, name: source}}`,
		"unknown engine":    `{interval: 10m, sourceRef: {kind: Bucket, name: source}, engine: {name: pulumi}}`,
		"negative backups":  `{interval: 10m, sourceRef: {kind: Bucket, name: source}, stateBackups: -1}`,
		"unknown lock word": `{interval: 10m, sourceRef: {kind: Bucket, name: source}, tfstate: {forceUnlock: perhaps}}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(create(t, manifest(t, "Terraform", "refused", spec))).To(Satisfy(apierrors.IsInvalid))
		})
	}
}

func TestTerraform_RefusalOfAKindNamesThoseThatThereAre(t *testing.T) {
	compat.Shows(t, "api.refusals")
	g := NewWithT(t)
	err := create(t, manifest(t, "Terraform", "refused", `{interval: 10m, sourceRef: {kind: HelmChart, name: source}}`))
	g.Expect(err).To(MatchError(ContainSubstring(`spec.sourceRef.kind: Unsupported value: "HelmChart": ` +
		`supported values: "GitRepository", "Bucket", "OCIRepository", "ExternalArtifact"`)))
}

func TestTerraform_KubectlShowsAndExplains(t *testing.T) {
	compat.Shows(t, "api.group", "api.columns")
	g := NewWithT(t)
	object := manifest(t, "Terraform", "shown", `
interval: 10m
sourceRef: {kind: GitRepository, name: source}
`)
	g.Expect(create(t, object)).To(Succeed())
	_, err := kubectl(t, "patch", "tf", "shown", "--subresource=status", "--type=merge", "-p", `{"status": {
		"lastAppliedRevision": "main@sha1:abc", "plan": {"pending": "plan-main-abc", "summary": "+3 ~1 -0"},
		"conditions": [{"type": "Ready", "status": "Unknown", "reason": "TerraformPlannedWithChanges",
			"message": "waits", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`)
	g.Expect(err).NotTo(HaveOccurred())

	table, err := kubectl(t, "get", "tf", "shown")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(table).To(MatchRegexp(`^NAME +READY +REVISION +PLAN +PENDING +STATUS +AGE\n` +
		`shown +Unknown +main@sha1:abc +\+3 ~1 -0 +plan-main-abc +waits +\S+\n$`))

	explained, err := kubectl(t, "explain", "tf.spec.approvePlan")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(explained).To(ContainSubstring("ApprovePlan says how a plan comes to be applied"))
}

func TestTerraformRun_IsImmutableExceptCancel(t *testing.T) {
	for _, tc := range []struct{ reason, path, value string }{
		{"another operation is another run", "/spec/operation", `"Plan"`},
		{"the history must stay true", "/spec/reason", `"Invented"`},
		{"what was planned is what is applied", "/spec/source/digest", `"sha256:other"`},
		{"the frozen spec changes what is done", "/spec/terraform/destroy", `true`},
		{"also deep inside the frozen spec", "/spec/terraform/vars/0/value", `"other"`},
		{"also by a new field of the frozen spec", "/spec/terraform/targets", `["a.b"]`},
		{"the target is what status compares with", "/spec/target", `"other"`},
		{"the generation is what was observed", "/spec/generation", `8`},
		{"a request is answered once", "/spec/requestedAt", `"later"`},
		{"the pod is looked for by name", "/spec/podName", `"other"`},
		{"the lock's holder is known by it", "/spec/hostname", `"other"`},
		{"the plan's id depends on it", "/spec/appliesCompleted", `3`},
		{"exactly the approved plan is applied", "/spec/plan/digest", `"sha256:other"`},
		{"nobody else has approved", "/spec/approval/by", `"somebody"`},
		{"coverage is what was approved", "/spec/approval/changes/-", `"sha256:more"`},
		{"the guard compares with it", "/spec/state/serial", `1`},
		{"another plan would be approved", "/spec/formerPlan", `"plan-main-1"`},
		{"a lock is released on proof only", "/spec/unlock", `{"id": "lock", "evidence": "none"}`},
	} {
		t.Run(tc.path, func(t *testing.T) {
			g := NewWithT(t)
			run := applyRun()
			g.Expect(create(t, run)).To(Succeed())
			err := patch(t, run, `[{"op": "add", "path": "`+tc.path+`", "value": `+tc.value+`}]`)
			g.Expect(err).To(Satisfy(apierrors.IsInvalid), tc.reason)
			g.Expect(err).To(MatchError(ContainSubstring("immutable")), tc.reason)
		})
	}
}

func TestTerraformRun_KeepsEveryOptionalPart(t *testing.T) {
	for _, path := range []string{
		"/spec/requestedAt", "/spec/appliesCompleted", "/spec/approval", "/spec/state", "/spec/terraform/vars", "/spec/tidyUp", "/spec/formerPlan",
	} {
		t.Run(path, func(t *testing.T) {
			g := NewWithT(t)
			run := applyRun()
			g.Expect(create(t, run)).To(Succeed())
			g.Expect(patch(t, run, `[{"op": "remove", "path": "`+path+`"}]`)).To(MatchError(ContainSubstring("immutable")))
		})
	}
}

func TestTerraformRun_IsCancelledOnceAndForAll(t *testing.T) {
	g := NewWithT(t)
	run := applyRun()
	g.Expect(create(t, run)).To(Succeed())
	g.Expect(patch(t, run, `[{"op": "add", "path": "/spec/cancel", "value": {"reason": "asked", "by": "a person"}}]`)).To(Succeed())
	g.Expect(run.Spec.Cancel).To(HaveValue(Equal(v1alpha2.Cancel{Reason: "asked", By: "a person"})))
	g.Expect(patch(t, run, `[{"op": "remove", "path": "/spec/cancel"}]`)).To(MatchError(ContainSubstring("stays cancelled")))
}

func TestTerraformRun_ServerRefuses(t *testing.T) {
	for name, change := range map[string]func(*v1alpha2.TerraformRun){
		"an apply without a plan": func(r *v1alpha2.TerraformRun) { r.Spec.Plan = nil },
		"an operation of its own": func(r *v1alpha2.TerraformRun) { r.Spec.Operation = "Destroy" },
		"a run without operation": func(r *v1alpha2.TerraformRun) { r.Spec.Operation = "" },
	} {
		t.Run(name, func(t *testing.T) {
			run := applyRun()
			change(run)
			NewWithT(t).Expect(create(t, run)).To(Satisfy(apierrors.IsInvalid))
		})
	}
}

func TestTerraformRun_NeedsAWorkOrder(t *testing.T) {
	g := NewWithT(t)
	g.Expect(create(t, manifest(t, "TerraformRun", "empty", "null"))).To(Satisfy(apierrors.IsInvalid))
}

func TestTerraformRun_HasNoOtherPhases(t *testing.T) {
	g := NewWithT(t)
	run := applyRun()
	g.Expect(create(t, run)).To(Succeed())
	run.Status.Phase = "Sleeping"
	g.Expect(server.client.Status().Update(t.Context(), run)).To(Satisfy(apierrors.IsInvalid))
}

// manifest makes an object from the YAML of its spec.
func manifest(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	var content any
	if err := yaml.Unmarshal([]byte(spec), &content); err != nil {
		t.Fatalf("reading the spec of %s: %v", name, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupVersion.String(), "kind": kind,
		"metadata": map[string]any{"name": name, "namespace": "default"},
	}}
	if content != nil {
		object.Object["spec"] = content
	}
	return object
}

// applyRun is a run with every part but unlock and cancel.
func applyRun() *v1alpha2.TerraformRun {
	return &v1alpha2.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "run-", Namespace: "default"},
		Spec: v1alpha2.TerraformRunSpec{
			Operation: v1alpha2.OperationApply,
			Reason:    "Approved",
			Source:    v1alpha2.RunSource{Kind: "GitRepository", Namespace: "default", Name: "source", Digest: "sha256:1"},
			Terraform: v1alpha2.TerraformSpec{
				Interval: metav1.Duration{Duration: time.Minute},
				Vars:     []v1alpha2.Variable{{Name: "a"}},
			},
			Target: "target", Generation: 7, RequestedAt: "now", PodName: "pod", Hostname: "host", AppliesCompleted: 2, TidyUp: true, FormerPlan: "plan-main-0",
			Plan:     &v1alpha2.PlanReference{ID: "plan-main-1", Digest: "sha256:2"},
			Approval: &v1alpha2.Approval{PlanID: "plan-main-1", By: "someone", At: metav1.Now(), Changes: []string{"sha256:3"}},
			State:    &v1alpha2.StateStatus{Lineage: "line", Serial: 4},
		},
	}
}

func patch(t *testing.T, object client.Object, operations string) error {
	t.Helper()
	return server.client.Patch(t.Context(), object, client.RawPatch("application/json-patch+json", []byte(operations)))
}

// kubectl runs the real one; an error has what it wrote.
func kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(binFolder, "kubectl"), args...)
	command.Env = []string{"KUBECONFIG=" + server.kubeconfig, "HOME=" + filepath.Dir(server.kubeconfig)}
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Logf("kubectl %q: %s", args, problems.String())
	}
	return string(output), err
}
