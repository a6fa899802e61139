package runner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// mountTofu makes a folder of mounted engines, in which the real tofu claims to be of these versions.
func (w *world) mountTofu(versions ...string) {
	w.t.Helper()
	w.cfg.Engines.Folder = w.t.TempDir()
	for _, version := range versions {
		dir := filepath.Join(w.cfg.Engines.Folder, "tofu_"+version)
		text := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = version ]; then %[1]s \"$@\" | sed 's/1\\.12\\.[0-9]*/%[2]s/'; exit; fi\nexec %[1]s \"$@\"\n",
			filepath.Join(api.Root, "bin", "tofu"), version)
		if err := os.Mkdir(dir, 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tofu"), []byte(text), 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
}

func tofu(version string) *v1alpha2.EngineIdentity {
	return &v1alpha2.EngineIdentity{Name: "tofu", Version: version}
}

func chosen(version string) func(*v1alpha2.TerraformSpec) {
	return func(s *v1alpha2.TerraformSpec) { s.Engine = &v1alpha2.EngineSpec{Version: version} }
}

func TestEngine_OfAnApplyIsThatOfItsPlan(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), chosen("~> 1.11.0"))
	w.mountTofu("1.11.8")
	planned := w.plan()
	g.Expect(planned.Status.Engine).To(Equal(tofu("1.11.8")))

	w.mountTofu("1.11.8", "1.11.9")
	applied := w.apply(planned)
	g.Expect(applied.Status.Engine).To(Equal(tofu("1.11.8")), "not the newest that the spec allows: the one that has made the plan")
	next := w.plan()
	g.Expect(next.Status.Engine).To(Equal(tofu("1.11.9")), "a new plan takes the newest")
	g.Expect(next.Status.Plan.HasChanges).To(BeFalse())
}

func TestEngine_OfThePlanIsGone(t *testing.T) {
	for _, left := range []string{"1.11.9", "1.10.0"} {
		g := NewWithT(t)
		w := newWorld(t, oneResource(), chosen("~> 1.11.0"))
		w.mountTofu("1.11.8")
		planned := w.plan()
		w.mountTofu(left)
		got := w.execute(t.Context(), w.applyRun(planned, nil))
		g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonPlanNotApplicable))
		g.Expect(got.Status.Failure.Message).To(And(
			HavePrefix("the plan was made with tofu 1.11.8: spec.engine: no tofu 1.11.8 was found, and downloads are not allowed here; there is tofu 1.12.6 ("),
			ContainSubstring("tofu "+left+" (")))
		g.Expect(got.Status.ApplyStartedAt).To(BeNil())
	}
}

func TestEngine_ThatCanNotBeHadFailsWithAllThatThereIs(t *testing.T) {
	for want, says := range map[string]string{
		"1.11.8": "spec.engine: no tofu 1.11.8 was found, and downloads are not allowed here; there is tofu 1.12.6 (",
		"newest": `spec.engine.version: "newest" is neither a version, like 1.12.6, nor a constraint, like ~> 1.12.0`,
		"1.4.0":  "spec.engine.version: tofu 1.4.0 can't be driven by this controller, >= 1.5.0 can",
	} {
		g := NewWithT(t)
		w := newWorld(t, oneResource(), chosen(want))
		got := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
		g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecNewFailed))
		g.Expect(got.Status.Failure.Message).To(HavePrefix(says))
	}
}

func TestEngine_OfTheImageIsTakenWhenItWillDo(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), chosen(">= 1.11, < 1.13"))
	w.mountTofu("1.12.9")
	g.Expect(w.plan().Status.Engine).To(Equal(tofu("1.12.6")))
}

func TestEngine_ThatCanNotBeDownloadedNowSaysNothingAgainstThePlan(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), chosen("~> 1.11.0"))
	w.mountTofu("1.11.8")
	planned := w.plan()
	w.mountTofu("1.11.9")
	w.cfg.Engines.Cache, w.cfg.Engines.Releases = t.TempDir(), &engine.Releases{TofuURL: "http://127.0.0.1:1"}
	got := w.execute(t.Context(), w.applyRun(planned, nil))
	g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecNewFailed))
	g.Expect(got.Status.Failure.Message).To(ContainSubstring("nor could it be downloaded"))
	g.Expect(got.Status.ApplyStartedAt).To(BeNil())

	w.mountTofu("1.11.8")
	g.Expect(w.apply(planned).Status.Engine).To(Equal(tofu("1.11.8")), "the plan is still there")
}
