package runner_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/remote"
)

// elsewhere is a world whose state is not in the cluster.
func elsewhere(t *testing.T, state *remote.State) *world {
	t.Helper()
	return newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: state.Backend()}
	})
}

// startRun makes a run that a runner on that host has claimed.
func (w *world) startRun(hostname string) {
	w.t.Helper()
	other := w.newRun(v1alpha2.OperationApply, func(r *v1alpha2.TerraformRun) {
		r.Spec.Hostname, r.Spec.Plan = hostname, &v1alpha2.PlanReference{ID: "plan-1", Digest: "sha256:1"}
	})
	now := metav1.Now()
	other.Status = v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunRunning, Runner: &v1alpha2.RunnerIdentity{PodUID: "another"}, StartedAt: &now}
	NewWithT(w.t).Expect(api.Client.Status().Update(w.t.Context(), other)).To(Succeed())
}

func TestUnlock_OfABackendThatOnlyTheEngineKnows(t *testing.T) {
	for _, tc := range []struct {
		reason   string
		order    *v1alpha2.Unlock
		who      string
		atWork   string
		released bool
	}{
		{"without an order every lock stays", nil, "ann@desk", "", false},
		{"the lock of that ID is released", &v1alpha2.Unlock{ID: "lock-1", Evidence: "ordered"}, "ann@desk", "", true},
		{"another one stays", &v1alpha2.Unlock{ID: "lock-2", Evidence: "ordered"}, "ann@desk", "", false},
		{"an order releases no lock of a run that is at work", &v1alpha2.Unlock{ID: "lock-1", Evidence: "ordered"}, "root@other-1", "other-1", false},
		{"of a pod whose process has ended nobody holds anything", &v1alpha2.Unlock{Hostnames: []string{"dead-1"}, Evidence: "ended"}, "root@dead-1", "", true},
		{"of no other pod that is known", &v1alpha2.Unlock{Hostnames: []string{"dead-1"}, Evidence: "ended"}, "root@dead-2", "", false},
		{"what this pod's own engine has left, after its end, is nobody's", nil, "root@demo-x", "", true},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			state := remote.NewState(t)
			w := elsewhere(t, state)
			if tc.atWork != "" {
				w.startRun(tc.atWork)
			}
			state.Hold("lock-1", tc.who)
			run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.Unlock = tc.order }))
			if tc.released {
				g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
				g.Expect(state.Released()[0]).To(Equal("lock-1"))
				g.Expect(state.Holder()).To(BeEmpty())
				g.Expect(run.Status.Unlocked == "lock-1").To(Equal(tc.order != nil))
				return
			}
			g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
			g.Expect(run.Status.Failure.Message).To(ContainSubstring(tc.who))
			g.Expect(run.Status.Lock.ID).To(Equal("lock-1"))
			g.Expect(state.Holder()).To(Equal("lock-1"))
			g.Expect(state.Released()).To(BeEmpty())
		})
	}
}

func TestUnlock_BeforeAnApply(t *testing.T) {
	g := NewWithT(t)
	state := remote.NewState(t)
	w := elsewhere(t, state)
	planned := w.plan()
	state.Hold("lock-1", "ann@desk")

	refused := w.execute(t.Context(), w.applyRun(planned, nil))
	g.Expect(refused.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	g.Expect(state.Content()).To(BeEmpty())

	applied := w.execute(t.Context(), w.applyRun(planned, func(r *v1alpha2.TerraformRun) {
		r.Spec.Unlock = &v1alpha2.Unlock{ID: "lock-1", Evidence: "ordered"}
	}))
	g.Expect(applied.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", applied.Status.Failure, w.log)
	g.Expect(applied.Status.Unlocked).To(Equal("lock-1"))
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
}
