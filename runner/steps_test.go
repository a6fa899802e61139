package runner_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// TestExecute_SaysWhichStepFails: what only a wrapper in place of the engine brings about.
func TestExecute_SaysWhichStepFails(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/SelectWorkspaceFailed", "condition.Ready=False/TFExecOutputFailed", "weak.13")
	for _, tc := range []struct {
		name, why, fails string
		reason           string
		step             v1alpha2.RunStep
	}{
		{"workspace", "the engine refuses its name, say", `"$1" = workspace`, v1alpha2.ReasonSelectWorkspaceFailed, v1alpha2.StepInit},
		{"outputs", "everything is applied, and can't be told", `"$1" = output`, v1alpha2.ReasonTFExecOutputFailed, v1alpha2.StepOutputs},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) { s.Workspace = "stage" })
			planned := w.plan()
			w.wrapTofu(`if [ ` + tc.fails + ` ]; then printf '\nError: Blub\n\nIt does not work.\n' >&2; exit 1; fi; exec "$TOFU" "$@"`)
			run := w.execute(t.Context(), w.applyRun(planned, nil))
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunFailed))
			g.Expect(run.Status.Failure.Reason).To(Equal(tc.reason), tc.why+": "+run.Status.Failure.Message)
			g.Expect(run.Status.Failure.Message).To(ContainSubstring("Blub: It does not work."))
			g.Expect(run.Status.Step).To(Equal(tc.step))
		})
	}
}

// TestExecute_FindsNothingOfAnEarlierRun: a pod that was interrupted may have left its directory, at the same path.
func TestExecute_FindsNothingOfAnEarlierRun(t *testing.T) {
	compat.Shows(t, "weak.18")
	g := NewWithT(t)
	files := oneResource()
	files["more.tf"] = `resource "terraform_data" "b" {}`
	w := newWorld(t, files, nil)
	g.Expect(w.plan().Status.Plan.Short).To(Equal("+2 ~0 -0"))
	stray := filepath.Join(w.cfg.Root, w.namespace+"-demo", "stray.auto.tfvars")
	g.Expect(os.WriteFile(stray, []byte("no = HCL {"), 0o600)).To(Succeed(), "the directory is where it was")
	delete(w.files, "more.tf")
	g.Expect(w.plan().Status.Plan.Short).To(Equal("+1 ~0 -0"), "what a commit has removed is gone")
}
