package runner_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// inSession begins a session, waits until it is open, lets a person do something, and returns the run when it is over.
func (w *world) inSession(change func(*v1alpha2.TerraformRun), person func(*v1alpha2.TerraformRun)) *v1alpha2.TerraformRun {
	w.t.Helper()
	g := NewWithT(w.t)
	run := w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		r.Spec.Session = &v1alpha2.Session{Request: "spec", Limit: metav1.Duration{Duration: time.Minute}}
		change(r)
	})
	var ended *v1alpha2.TerraformRun
	var wg sync.WaitGroup
	wg.Go(func() { ended = w.execute(w.t.Context(), run) })
	g.Eventually(func() *v1alpha2.SessionStatus { return w.get(run).Status.Session }, time.Minute, 50*time.Millisecond).ShouldNot(BeNil(), w.log.String())
	person(w.get(run))
	wg.Wait()
	return ended
}

func TestSession_EndsInEachOfItsWays(t *testing.T) {
	for _, tc := range []struct {
		reason string
		limit  time.Duration
		end    func(*world, *v1alpha2.TerraformRun) error
		phase  v1alpha2.RunPhase
	}{
		{"the person leaves, and removes the file as the incumbent's tool does", time.Minute, func(w *world, _ *v1alpha2.TerraformRun) error {
			return os.Remove(filepath.Join(w.cfg.Root, ".break-glass"))
		}, v1alpha2.RunSucceeded},
		{"its time is over", time.Second, func(*world, *v1alpha2.TerraformRun) error { return nil }, v1alpha2.RunSucceeded},
		{"it is called off", time.Minute, func(w *world, run *v1alpha2.TerraformRun) error {
			run.Spec.Cancel = &v1alpha2.Cancel{Reason: "the session is no longer wanted"}
			return api.Client.Update(w.t.Context(), run)
		}, v1alpha2.RunCancelled},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			applied := w.apply(w.plan())
			run := w.inSession(func(r *v1alpha2.TerraformRun) {
				r.Spec.State, r.Spec.Session.Limit.Duration = applied.Status.State, tc.limit
			}, func(run *v1alpha2.TerraformRun) {
				g.Expect(run.Status.Step).To(Equal(v1alpha2.StepSession))
				g.Expect(run.Status.Session.Note).To(BeEmpty())
				g.Expect(filepath.Join(run.Status.Session.Directory, ".terraform")).To(BeADirectory(), "init is done")
				g.Expect(filepath.Join(run.Status.Session.Directory, "generated.auto.tfvars.json")).To(BeAnExistingFile())
				g.Expect(run.Status.Session.Until.Sub(run.Status.Session.OpenedAt.Time)).To(Equal(tc.limit))
				g.Expect(tc.end(w, run)).To(Succeed())
			})
			g.Expect(run.Status.Phase).To(Equal(tc.phase), "%+v\n%s", run.Status.Failure, w.log)
			g.Expect(run.Status.Plan).To(BeNil(), "nothing is planned")
			g.Expect(run.Status.State.Lineage).To(Equal(applied.Status.State.Lineage), "the state is recorded as the person leaves it")
			g.Expect(filepath.Join(w.cfg.Root, ".break-glass")).NotTo(BeAnExistingFile())
		})
	}
}

func TestSession_IsOpenToWhoHasToMendSomething(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*world, *v1alpha2.TerraformRun)
		note   types.GomegaMatcher
	}{
		{"the state is gone, and init must not make an empty one", func(_ *world, r *v1alpha2.TerraformRun) {
			r.Spec.State = &v1alpha2.StateStatus{Lineage: "a", Serial: 7, Resources: 3}
		}, ContainSubstring("the state is gone")},
		{"init fails", func(w *world, _ *v1alpha2.TerraformRun) {}, ContainSubstring("Not initialised: ")},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			files := oneResource()
			if tc.reason == "init fails" {
				files["bad.tf"] = `module "x" { source = "./nowhere" }`
			}
			w := newWorld(t, files, nil)
			run := w.inSession(func(r *v1alpha2.TerraformRun) { tc.change(w, r) }, func(run *v1alpha2.TerraformRun) {
				g.Expect(run.Status.Session.Note).To(tc.note)
				g.Expect(os.Remove(filepath.Join(w.cfg.Root, ".break-glass"))).To(Succeed())
			})
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded))
		})
	}
}
