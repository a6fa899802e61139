package decide

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const day = 24 * time.Hour

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func activeTerraform() *v1alpha2.Terraform {
	return &v1alpha2.Terraform{
		ObjectMeta: metav1.ObjectMeta{Name: "net", Generation: 3},
		Status: v1alpha2.TerraformStatus{
			ActiveRun: &v1alpha2.ActiveRun{Name: "net-1", Sequence: 1}, RunSequence: 1,
			Plan:                   v1alpha2.PlanStatus{Pending: "plan-old", Digest: "sha256:old", Target: "before", AppliedTarget: "before"},
			ReconciliationFailures: 2,
		},
	}
}

func finishedRun(op v1alpha2.Operation, phase v1alpha2.RunPhase, change ...func(*v1alpha2.TerraformRun)) *v1alpha2.TerraformRun {
	finished := metav1.NewTime(now.Add(-time.Minute))
	run := &v1alpha2.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{Name: "net-1"},
		Spec: v1alpha2.TerraformRunSpec{
			Operation: op, Target: "here", Generation: 3, RequestedAt: "noon", Source: v1alpha2.RunSource{Revision: "main@sha1:aaaa"},
		},
		Status: v1alpha2.TerraformRunStatus{Phase: phase, FinishedAt: &finished},
	}
	if op == v1alpha2.OperationApply {
		run.Spec.Plan = &v1alpha2.PlanReference{ID: "plan-old", Digest: "sha256:old"}
		run.Status.ApplyStartedAt = &finished
	}
	for _, c := range change {
		c(run)
	}
	return run
}

func withChanges(run *v1alpha2.TerraformRun) {
	run.Status.Plan = &v1alpha2.RunPlan{ID: "plan-new", Digest: "sha256:new", HasChanges: true, Short: "+1 ~0 -0"}
}

func failing(reason string) func(*v1alpha2.TerraformRun) {
	return func(run *v1alpha2.TerraformRun) {
		run.Status.Failure = &v1alpha2.RunFailure{Reason: reason, Message: "because"}
	}
}

func TestSettle_LeavesWhatIsNotFinishedOrNotActive(t *testing.T) {
	cases := map[string]struct {
		reason string
		run    *v1alpha2.TerraformRun
		change func(*v1alpha2.Terraform)
	}{
		"no run":          {"there is nothing to account for", nil, func(*v1alpha2.Terraform) {}},
		"running":         {"a run that works has no result", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunRunning), func(*v1alpha2.Terraform) {}},
		"no active run":   {"a run counts once", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), func(tf *v1alpha2.Terraform) { tf.Status.ActiveRun = nil }},
		"another is ours": {"a run restored from a backup does not count", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), func(tf *v1alpha2.Terraform) { tf.Status.ActiveRun.Name = "net-2" }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tc.change(tf)
			before := tf.DeepCopy()
			Settle(tf, tc.run, now, day)
			g.Expect(tf).To(Equal(before), tc.reason)
		})
	}
}

func TestSettle_Plan(t *testing.T) {
	compat.Shows(t, "status.lastPlanAt", "status.lastDriftDetectedAt", "status.lastHandledReconcileAt", "status.plan.pending",
		"status.plan.isDriftDetectionPlan", "condition.Plan",
	)
	cases := map[string]struct {
		reason  string
		run     *v1alpha2.TerraformRun
		applied string
		want    v1alpha2.PlanStatus
		cond    string
	}{
		"changes": {
			"a plan for a new target waits", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges), "before",
			v1alpha2.PlanStatus{Pending: "plan-new", Digest: "sha256:new", Run: "net-1", Summary: "+1 ~0 -0", Target: "here", AppliedTarget: "before"},
			v1alpha2.ReasonPlannedWithChanges,
		},
		"drift": {
			"changes where everything was applied are drift", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges), "here",
			v1alpha2.PlanStatus{Pending: "plan-new", Digest: "sha256:new", Run: "net-1", Summary: "+1 ~0 -0", Target: "here", AppliedTarget: "here", IsDriftDetectionPlan: true},
			v1alpha2.ReasonPlannedWithChanges,
		},
		"no changes": {
			"what needs no change is as good as applied", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), "before",
			v1alpha2.PlanStatus{Run: "net-1", Target: "here", AppliedTarget: "here"},
			v1alpha2.ReasonPlannedNoChanges,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.Plan.AppliedTarget = tc.applied
			Settle(tf, tc.run, now, day)
			g.Expect(tf.Status.Plan).To(Equal(tc.want), tc.reason)
			g.Expect(tf.Status.ActiveRun).To(BeNil())
			g.Expect(tf.Status.ReconciliationFailures).To(BeZero())
			g.Expect(tf.Status.LastHandledReconcileAt).To(Equal("noon"), "a plan answers the request that it was made for")
			g.Expect(tf.Status.LastPlanAt.Time).To(Equal(now), "by our clock, not the runner's")
			g.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionPlan).Reason).To(Equal(tc.cond))
			g.Expect(tf.Status.LastDriftDetectedAt != nil).To(Equal(tc.want.IsDriftDetectionPlan))
		})
	}
}

func TestSettle_APlanThatFindsSomethingToDestroyTakesBackThatAllIsDestroyed(t *testing.T) {
	destroys := func(run *v1alpha2.TerraformRun) { run.Spec.Terraform.Destroy = true }
	for name, tc := range map[string]struct {
		reason string
		change []func(*v1alpha2.TerraformRun)
		want   bool
	}{
		"destroys something": {"a deletion must not leave it behind", []func(*v1alpha2.TerraformRun){destroys, withChanges}, false},
		"destroys nothing":   {"there is nothing still", []func(*v1alpha2.TerraformRun){destroys}, true},
		"makes something":    {"nothing is there before it is applied", []func(*v1alpha2.TerraformRun){withChanges}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tf := activeTerraform()
			tf.Status.Plan.Destroyed = true
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, tc.change...), now, day)
			NewWithT(t).Expect(tf.Status.Plan.Destroyed).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestSettle_Apply(t *testing.T) {
	compat.Shows(t, "status.lastAppliedRevision", "status.lastAppliedByDriftDetectionAt", "status.plan.lastApplied",
		"condition.Apply", "condition.Output", "outputs.available",
	)
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.Plan.IsDriftDetectionPlan = true
	Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunSucceeded, func(run *v1alpha2.TerraformRun) {
		run.Status.OutputsRead, run.Status.Outputs, run.Status.OutputsWritten = true, []string{"a", "b"}, []string{"a"}
		run.Status.State = &v1alpha2.StateStatus{Lineage: "l", Serial: 4, Resources: 1}
	}), now, day)
	st := tf.Status
	g.Expect(st.Plan).To(Equal(v1alpha2.PlanStatus{LastApplied: "plan-old", Target: "before", AppliedTarget: "here"}))
	g.Expect(st.AppliesCompleted).To(Equal(int64(1)))
	g.Expect(st.LastAppliedRevision).To(Equal("main@sha1:aaaa"))
	g.Expect(st.LastAppliedByDriftDetectionAt).NotTo(BeNil())
	g.Expect(st.AvailableOutputs).To(Equal([]string{"a", "b"}))
	g.Expect(st.State.Serial).To(Equal(int64(4)))
	g.Expect(apimeta.FindStatusCondition(st.Conditions, v1alpha2.ConditionApply).Reason).To(Equal(v1alpha2.ReasonAppliedSucceed))
	g.Expect(apimeta.FindStatusCondition(st.Conditions, v1alpha2.ConditionOutput).Reason).To(Equal(v1alpha2.ReasonOutputsWritten))
}

// TestSettle_AnApplyOfWhichNothingIsLeftWasOne: a runner that was killed after the engine had ended has applied its revision.
func TestSettle_AnApplyOfWhichNothingIsLeftWasOne(t *testing.T) {
	for name, tc := range map[string]struct {
		failed v1alpha2.FailedRun
		change []func(*v1alpha2.TerraformRun)
		want   string
	}{
		"nothing is left":             {v1alpha2.FailedRun{Operation: v1alpha2.OperationApply, Target: "here"}, nil, "main@sha1:aaaa"},
		"something is left":           {v1alpha2.FailedRun{Operation: v1alpha2.OperationApply, Target: "here"}, []func(*v1alpha2.TerraformRun){withChanges}, "main@sha1:before"},
		"the apply was of another":    {v1alpha2.FailedRun{Operation: v1alpha2.OperationApply, Target: "there"}, nil, "main@sha1:before"},
		"it was a plan that had gone": {v1alpha2.FailedRun{Operation: v1alpha2.OperationPlan, Target: "here"}, nil, "main@sha1:before"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.LastAppliedRevision, tf.Status.LastFailure = "main@sha1:before", &tc.failed
			apimeta.SetStatusCondition(&tf.Status.Conditions, metav1.Condition{
				Type: v1alpha2.ConditionApply, Status: metav1.ConditionFalse, Reason: v1alpha2.ReasonAppliedFail,
			})
			Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, tc.change...), now, day)
			g.Expect(tf.Status.LastAppliedRevision).To(Equal(tc.want))
			g.Expect(apimeta.IsStatusConditionTrue(tf.Status.Conditions, v1alpha2.ConditionApply)).To(Equal(tc.want == "main@sha1:aaaa"))
		})
	}
}

func TestSettle_AnApplyThatNeverBeganHasAppliedNothing(t *testing.T) {
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.LastAppliedRevision = "main@sha1:before"
	tf.Status.LastFailure = &v1alpha2.FailedRun{Operation: v1alpha2.OperationApply, Target: "here"}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), now, day)
	g.Expect(tf.Status.LastAppliedRevision).To(Equal("main@sha1:before"))
	g.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionApply)).To(BeNil())
}

// TestSettle_RecordsRevisions: what was tried last is recorded, whatever came of it; what was planned, only with a plan.
func TestSettle_RecordsRevisions(t *testing.T) {
	compat.Shows(t, "status.lastAttemptedRevision", "status.lastPlannedRevision", "status.lastPlannedGeneration",
		"status.availableOutputs", "status.plan.isDestroyPlan",
	)
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.LastPlannedRevision, tf.Status.LastPlannedGeneration = "main@sha1:before", 2
	tf.Status.AvailableOutputs = []string{"a"}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecPlanFailed)), now, day)
	g.Expect(tf.Status.LastAttemptedRevision).To(Equal("main@sha1:aaaa"))
	g.Expect(tf.Status.LastPlannedRevision).To(Equal("main@sha1:before"))
	g.Expect(tf.Status.AvailableOutputs).To(Equal([]string{"a"}), "nobody has looked at the outputs")

	tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1", Sequence: 1}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges, func(run *v1alpha2.TerraformRun) {
		run.Spec.Terraform.Destroy, run.Status.OutputsRead = true, true
	}), now, day)
	g.Expect(tf.Status.LastPlannedRevision).To(Equal("main@sha1:aaaa"))
	g.Expect(tf.Status.LastPlannedGeneration).To(Equal(int64(3)))
	g.Expect(tf.Status.Plan.IsDestroyPlan).To(BeTrue())
	g.Expect(tf.Status.LastAppliedRevision).To(BeEmpty())
	g.Expect(tf.Status.AvailableOutputs).To(BeEmpty(), "there are none any more")
}

func TestSettle_Failure(t *testing.T) {
	compat.Shows(t, "status.lock.pending", "status.reconciliationFailures", "condition.Apply", "plan-secret.unusable", "weak.13")
	lock := func(run *v1alpha2.TerraformRun) { run.Status.Lock = &v1alpha2.LockInfo{ID: "lock-1"} }
	cases := map[string]struct {
		reason   string
		run      *v1alpha2.TerraformRun
		failures int64
		pending  string
		lock     string
		apply    bool
	}{
		"plan": {
			"a plan that fails leaves the plan that waits", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecPlanFailed)),
			3, "plan-old", "", false,
		},
		"apply": {
			"an apply that fails has spent its plan", finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecApplyFailed)),
			3, "", "", true,
		},
		"not applicable": {
			"a stale plan is nobody's failure", finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonPlanNotApplicable), func(run *v1alpha2.TerraformRun) {
				run.Status.ApplyStartedAt = nil
			}), 2, "", "", false,
		},
		"lock held": {
			"the holder's lock is named", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonLockHeld), lock), 3, "plan-old", "lock-1", false,
		},
		"cancelled": {
			"who cancels is not punished", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunCancelled, failing(v1alpha2.ReasonCancelled)), 2, "plan-old", "", false,
		},
		"without a reason": {
			"a failure needs no explanation to count", finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed), 3, "plan-old", "", false,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tc.run.Spec.RequestedAt = "" // a request begins to count anew
			Settle(tf, tc.run, now, day)
			g.Expect(tf.Status.ReconciliationFailures).To(Equal(tc.failures), tc.reason)
			g.Expect(tf.Status.Plan.Pending).To(Equal(tc.pending), tc.reason)
			g.Expect(tf.Status.Lock.Pending).To(Equal(tc.lock), tc.reason)
			g.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionApply) != nil).To(Equal(tc.apply), tc.reason)
		})
	}
}

func TestSettle_StateThatTheGuardHasNotPassedIsNotRecorded(t *testing.T) {
	cases := map[string]struct {
		reason string
		step   v1alpha2.RunStep
		why    string
		serial int64
	}{
		"refused":        {"the next run would take it for good", v1alpha2.StepGuard, v1alpha2.ReasonStateGuard, 7},
		"refused, init":  {"other backends are read after init", v1alpha2.StepInit, v1alpha2.ReasonStateGuard, 7},
		"not looked at":  {"nobody has compared it", v1alpha2.StepWorkspace, v1alpha2.ReasonTFExecNewFailed, 7},
		"failed after":   {"a failed apply leaves a new state", v1alpha2.StepApply, v1alpha2.ReasonTFExecApplyFailed, 3},
		"failed in init": {"it was compared", v1alpha2.StepInit, v1alpha2.ReasonTFExecInitFailed, 3},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.State = &v1alpha2.StateStatus{Lineage: "ours", Serial: 7}
			Settle(tf, finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(tc.why), func(run *v1alpha2.TerraformRun) {
				run.Status.Step, run.Status.State = tc.step, &v1alpha2.StateStatus{Lineage: "theirs", Serial: 3}
				if tc.step != v1alpha2.StepApply {
					run.Status.ApplyStartedAt = nil
				}
			}), now, day)
			g.Expect(tf.Status.State.Serial).To(Equal(tc.serial), tc.reason)
		})
	}
}

func TestSettle_ForgetsWhatTheIncumbentLeftUndone(t *testing.T) {
	compat.Shows(t, "condition.Apply=Unknown/Progressing")
	g := NewWithT(t)
	tf := activeTerraform()
	tf.Status.FormerRunner = &v1alpha2.FormerRunner{PodUID: "1", Hostname: "net-tf-runner"}
	apimeta.SetStatusCondition(&tf.Status.Conditions, metav1.Condition{Type: v1alpha2.ConditionApply, Status: metav1.ConditionUnknown, Reason: "Progressing", Message: "Apply started"})
	failedRun := finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecPlanFailed))
	Settle(tf, failedRun, now, day)
	g.Expect(tf.Status.FormerRunner).NotTo(BeNil(), "its lock may still be in the way")

	tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1", Sequence: 1}
	Settle(tf, finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded), now, day)
	g.Expect(tf.Status.FormerRunner).To(BeNil())
	g.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, v1alpha2.ConditionApply)).To(BeNil(), "there is nothing to apply: none is going on")
}
