package runner_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/rescue"
)

// stateFile is the state as it is in its Secret.
func (w *world) stateFile() map[string]any {
	w.t.Helper()
	content, err := backend.ReadContent(w.t.Context(), api.Client, &backend.Settings{
		Kubernetes: true, Namespace: w.namespace, StateSecret: "tfstate-default-demo", Workspace: "default",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(content, &file); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// rescues keeps a state as an apply that could not write it does.
func (w *world) rescues(file map[string]any) *rescue.State {
	w.t.Helper()
	content, err := json.Marshal(file)
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := backend.Identify(content)
	if err != nil {
		w.t.Fatal(err)
	}
	kept := &rescue.State{Lineage: id.Lineage, Serial: id.Serial, Content: content}
	if err := rescue.Save(w.t.Context(), api.Client, w.terraform, kept); err != nil {
		w.t.Fatal(err)
	}
	return kept
}

// another records something else than the module's state does.
func another(file map[string]any) {
	file["outputs"] = map[string]any{"made": map[string]any{"value": "by the apply", "type": "string"}}
}

func serial(file map[string]any, more float64) { file["serial"] = file["serial"].(float64) + more }

// TestRecovery_NeverGivesUpWhatNoOtherPlaceHas: the Secret goes when the backend records all that it does, and not before.
func TestRecovery_NeverGivesUpWhatNoOtherPlaceHas(t *testing.T) {
	for reason, tc := range map[string]struct {
		change  func(file map[string]any)
		refusal string
	}{
		"it follows":                           {func(f map[string]any) { another(f); serial(f, 1) }, ""},
		"it is written":                        {func(f map[string]any) { f["terraform_version"] = "1.0.0" }, ""},
		"it is written, with a later serial":   {func(f map[string]any) { serial(f, -1) }, ""},
		"somebody has used its serial":         {another, "the backend has lineage .*, and records something else"},
		"the backend has moved on":             {func(f map[string]any) { another(f); serial(f, -1) }, "and records something else"},
		"the backend has a state from nowhere": {func(f map[string]any) { serial(f, 9); f["lineage"] = "x" }, "it has lineage x, serial"},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			w.apply(w.plan())
			file := w.stateFile()
			before := file["serial"]
			tc.change(file)
			kept := w.rescues(file)
			got := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
			if tc.refusal == "" {
				g.Expect(got.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", got.Status.Failure)
				g.Expect(w.secretsLike("tfrescue-")).To(BeEmpty())
				g.Expect(w.stateFile()["resources"]).To(Equal(file["resources"]))
				return
			}
			g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonStateGuard))
			g.Expect(got.Status.Failure.Message).To(And(
				HavePrefix("a state that an apply could not write is kept in Secret tfrescue-demo, and does not follow the one of the backend: "),
				MatchRegexp(tc.refusal), HaveSuffix("push the kept state, or, to go on with what is there, delete that Secret")))
			g.Expect(rescue.Load(t.Context(), api.Client, w.terraform, "")).To(Equal(kept))
			g.Expect(w.stateFile()["serial"]).To(Equal(before), "nothing is written")
			g.Expect(rescue.Remove(t.Context(), api.Client, w.terraform, kept)).To(Succeed())
			w.plan()
		})
	}
}

// TestRecovery_ComesBeforeAPersonsWork: what a person does in a session must not cross a state that was rescued.
func TestRecovery_ComesBeforeAPersonsWork(t *testing.T) {
	for reason, tc := range map[string]struct {
		change func(file map[string]any)
		note   string
		stays  int
	}{
		"it follows":         {func(f map[string]any) { another(f); serial(f, 1) }, "^$", 0},
		"it does not follow": {another, "^Mind the state: a state that an apply could not write is kept in Secret tfrescue-demo, ", 1},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			w.apply(w.plan())
			file := w.stateFile()
			tc.change(file)
			w.rescues(file)
			run := w.inSession(func(*v1alpha2.TerraformRun) {}, func(run *v1alpha2.TerraformRun) {
				g.Expect(run.Status.Session.Note).To(MatchRegexp(tc.note))
				g.Expect(w.secretsLike("tfrescue-")).To(HaveLen(tc.stays))
				g.Expect(os.Remove(filepath.Join(w.cfg.Root, ".break-glass"))).To(Succeed())
			})
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", run.Status.Failure)
		})
	}
}
