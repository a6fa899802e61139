package runner_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/rescue"
)

// largeState is a module whose state has more than 1 MiB when it is packed. The state has the noise twice, as input and output.
func largeState(t *testing.T) map[string]string {
	t.Helper()
	noise := make([]byte, 700<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"main.tf":   "resource \"terraform_data\" \"large\" {\n  input = file(\"noise.txt\")\n}\n",
		"noise.txt": base64.StdEncoding.EncodeToString(noise),
	}
}

// A state that no Secret can hold: nothing is lost, and it is said what helps.
func TestLargeState_IsKeptWhereTofuCanNotWriteIt(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, largeState(t), nil)
	got := w.execute(t.Context(), w.applyRun(w.plan(), nil))
	g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecApplyFailed))
	g.Expect(got.Status.Failure.Message).To(And(
		HavePrefix("Failed to persist state to backend: "), ContainSubstring("it is kept in Secret tfrescue-demo, and the next plan writes it"),
		MatchRegexp(`packed the state has 1[0-9]{6} bytes, and tofu 1\.12\.6 keeps at most 1048576, in one Secret: split the module, choose another `+
			`backend \(spec\.backendConfig\.customConfiguration\), or Terraform 1\.7 or later \(spec\.engine\)`)))
	g.Expect(got.Status.State.Resources).To(BeZero(), "the state of before")
	g.Expect(w.secretsLike("tfrescue-demo")).To(HaveLen(2))
	kept, err := rescue.Load(t.Context(), api.Client, w.terraform, "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(kept.Content)).To(ContainSubstring(w.files["noise.txt"]), "all of it")

	// The next plan says the same again, and makes nothing a second time.
	next := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(next.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecInitFailed))
	g.Expect(next.Status.Failure.Message).To(And(
		ContainSubstring("the state stays in Secret tfrescue-demo; packed the state has "), ContainSubstring("spec.engine")))
	g.Expect(rescue.Load(t.Context(), api.Client, w.terraform, "")).To(Equal(kept))

	// Another backend: everything would be made again there, as long as the state is not.
	moved := filepath.Join(t.TempDir(), "state")
	w.change(func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: "backend \"local\" {\n  path = \"" + moved + "\"\n}"}
		onVolume(s, filepath.Dir(moved))
	})
	elsewhere := func(r *v1alpha2.TerraformRun) { r.Spec.Backend = "another" }
	next = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, elsewhere))
	g.Expect(next.Status.Failure.Reason).To(Equal(v1alpha2.ReasonStateGuard))
	g.Expect(next.Status.Failure.Message).To(Equal("the state that could not be written to another backend or workspace is kept in Secret tfrescue-demo, " +
		"and here there are no resources: push the kept state, or, to begin anew, delete that Secret"))
	g.Expect(os.WriteFile(moved, kept.Content, 0o600)).To(Succeed())
	next = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, elsewhere))
	g.Expect(next.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", next.Status.Failure)
	g.Expect(next.Status.Plan.HasChanges).To(BeFalse())
}
