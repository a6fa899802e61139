package decide

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestSettle_State(t *testing.T) {
	recorded := v1alpha2.StateStatus{Lineage: "l", Serial: 7, Resources: 3, Size: 900}
	found := &v1alpha2.StateStatus{Lineage: "m", Serial: 1}
	reports := func(run *v1alpha2.TerraformRun) { run.Status.State = found }
	cases := map[string]struct {
		reason string
		run    *v1alpha2.TerraformRun
		want   *v1alpha2.StateStatus
	}{
		"reported": {"what a run leaves is what the next one has to find",
			finishedRun(v1alpha2.OperationApply, v1alpha2.RunSucceeded, reports), found},
		"reported by a failed run": {"a failed apply has left something, too",
			finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecApplyFailed), reports), found},
		"refused": {"what the guard has refused must not pass it the next time",
			finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonStateGuard), reports), &recorded},
		"plan without a word": {"a plan does not write the state",
			finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonRunnerLost)), &recorded},
		"apply without a word": {"nobody knows how large the state is now: the guard must not take our own destroy for a loss",
			finishedRun(v1alpha2.OperationApply, v1alpha2.RunFailed, failing(v1alpha2.ReasonRunnerLost)), &v1alpha2.StateStatus{Lineage: "l", Serial: 7}},
		"overridden, and not made yet": {"a person has agreed that it is gone",
			finishedRun(v1alpha2.OperationPlan, v1alpha2.RunFailed, failing(v1alpha2.ReasonTFExecInitFailed), func(run *v1alpha2.TerraformRun) {
				run.Spec.StateOverride, run.Status.StateOverridden = "gone-1", "the state is gone"
			}), nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.State = recorded.DeepCopy()
			Settle(tf, tc.run, now, day)
			g.Expect(tf.Status.State).To(Equal(tc.want), tc.reason)
			if tc.run.Status.StateOverridden != "" {
				g.Expect(tf.Status.StateOverride).To(Equal(&v1alpha2.StateOverride{
					Token: "gone-1", Message: "the state is gone", Run: "net-1", At: *tc.run.Status.FinishedAt,
				}))
			}
		})
	}
}

func TestSettle_Kept(t *testing.T) {
	older := &v1alpha2.KeptStatus{Digest: "sha256:older", Revision: "main@sha1:0000", Size: 5}
	cases := map[string]struct {
		reason string
		phase  v1alpha2.RunPhase
		kept   *v1alpha2.RunKept
		want   *v1alpha2.KeptStatus
	}{
		"stored":                    {"an apply replaces what was kept", v1alpha2.RunSucceeded, &v1alpha2.RunKept{Digest: "sha256:new", Size: 9}, &v1alpha2.KeptStatus{Digest: "sha256:new", Revision: "main@sha1:aaaa", Size: 9}},
		"stored by a failed apply":  {"it has made something, too", v1alpha2.RunFailed, &v1alpha2.RunKept{Digest: "sha256:new"}, &v1alpha2.KeptStatus{Digest: "sha256:new", Revision: "main@sha1:aaaa"}},
		"too large":                 {"the older one is still more than nothing", v1alpha2.RunSucceeded, &v1alpha2.RunKept{Message: "too large"}, older},
		"a destroy, which has none": {"until the last resource is gone it may be needed", v1alpha2.RunFailed, nil, older},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tf := activeTerraform()
			tf.Status.Kept = older.DeepCopy()
			run := finishedRun(v1alpha2.OperationApply, tc.phase)
			run.Status.Kept = tc.kept
			Settle(tf, run, now, day)
			NewWithT(t).Expect(tf.Status.Kept).To(Equal(tc.want), tc.reason)
		})
	}
}
