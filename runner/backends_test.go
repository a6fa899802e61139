package runner_test

import (
	"fmt"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestExecute_GuardsStatesThatOnlyTheEngineCanRead(t *testing.T) {
	compat.Shows(t, "spec.backendConfig.customConfiguration", "use.custom-backend")
	g := NewWithT(t)
	state := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: fmt.Sprintf("backend \"local\" {\n  path = %q\n}", state)}
		onVolume(s, filepath.Dir(state))
	})
	planned := w.plan()
	g.Expect(planned.Status.State).To(BeNil(), "there is none yet")
	applied := w.apply(planned)
	g.Expect(applied.Status.State.Lineage).NotTo(BeEmpty())
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
	g.Expect(applied.Status.State.Size).To(BeNumerically(">", 100))

	other := *applied.Status.State
	other.Lineage = "another"
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.State = &other }))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonStateGuard))
	g.Expect(run.Status.Failure.Message).To(ContainSubstring("the state is another one"))

	run = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.State = applied.Status.State }))
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded))
	g.Expect(run.Status.Plan.HasChanges).To(BeFalse())
}

func TestExecute_WorksInTheWorkspace(t *testing.T) {
	compat.Shows(t, "spec.workspace")
	g := NewWithT(t)
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) { s.Workspace = "stage" })
	applied := w.apply(w.plan())
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
	secret := &corev1.Secret{}
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "tfstate-stage-demo"}, secret)).To(Succeed())
	g.Expect(w.plan().Status.Plan.HasChanges).To(BeFalse())
}

func TestExecute_ApplyOfSomethingThatFails(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/TFExecApplyFailed")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": `
resource "terraform_data" "ok" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.ok]
  provisioner "local-exec" { command = "echo broken; exit 3" }
}`}, nil)
	got := w.execute(t.Context(), w.applyRun(w.plan(), nil))
	g.Expect(got.Status.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecApplyFailed))
	g.Expect(got.Status.Failure.Message).To(HavePrefix("main.tf:5: local-exec provisioner error: Error running command 'echo broken; exit 3': exit status 3. Output: broken"))
	g.Expect(got.Status.Failure.Diagnostics[0].Address).To(Equal("terraform_data.bad"))
	g.Expect(got.Status.State.Resources).To(BeEquivalentTo(2), "what was made, and what half exists, is in the state")
	g.Expect(got.Status.ApplyStartedAt).NotTo(BeNil())
}

func TestDisabledBackend_IsTheModulesOwn(t *testing.T) {
	compat.Shows(t, "spec.destroy", "spec.backendConfig.disable", "plan-secret.content", "weak.1")
	g := NewWithT(t)
	state := filepath.Join(t.TempDir(), "state")
	files := oneResource()
	files["backend.tf"] = fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}", state)
	w := newWorld(t, files, func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{Disable: true}
		onVolume(s, filepath.Dir(state))
	})
	planned := w.plan()
	g.Expect(planned.Status.Plan.ID).NotTo(BeEmpty(), "there is a plan that can be approved")
	applied := w.apply(planned)
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

func TestState_OnThePodsOwnDiskIsRefused(t *testing.T) {
	const module = "the state would be lost with the pod: the module has no backend; give it one, or leave out spec.backendConfig.disable"
	const local = `the state would be lost with the pod: the backend "local" keeps it on the pod's own disk; ` +
		`take another backend, or a path in a volume of spec.runnerPodTemplate that outlives the pod`
	kept, scratch := t.TempDir(), t.TempDir()
	inKept := fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}", filepath.Join(kept, "sub", "state"))
	for _, tc := range []struct{ reason, backend, workspace, message string }{
		{"no backend is a file beside the module", "", "", module},
		{"a path is one beside the module", `terraform {
  backend "local" {
    path = "x/state"
  }
}`, "", local},
		{"an absolute path may be anywhere in the pod", fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}", filepath.Join(scratch, "state")), "", local},
		{"states of other workspaces are beside the module", inKept, "stage", local},
		{"a volume that goes with the pod is no better", inKept, "emptyDir", local},
	} {
		w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
			s.BackendConfig = &v1alpha2.BackendConfigSpec{Disable: true}
			onVolume(s, kept)
			if tc.workspace == "emptyDir" {
				s.RunnerPodTemplate.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
			} else {
				s.Workspace = tc.workspace
			}
		})
		if tc.backend != "" {
			w.files["backend.tf"] = tc.backend
		}
		t.Log(tc.reason)
		w.failsToPlan(v1alpha2.ReasonStateNotPersistent, tc.message)
	}
}
