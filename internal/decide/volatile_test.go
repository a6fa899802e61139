package decide

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestSettle_CountsRefreshesThatGiveAnotherPlan(t *testing.T) {
	at := func(serial int64) *v1alpha2.StateStatus { return &v1alpha2.StateStatus{Lineage: "l", Serial: serial} }
	waits := func(id string) *v1alpha2.PlanReference { return &v1alpha2.PlanReference{ID: id, Digest: "sha256:old"} }
	cases := map[string]struct {
		reason      string
		before      int64
		waited      *v1alpha2.PlanReference
		left, found *v1alpha2.StateStatus
		change      func(*v1alpha2.TerraformRun)
		want        int64
		volatile    bool
	}{
		"first plan":     {reason: "there was none to differ from", before: 1, left: at(3), found: at(3), want: 0},
		"the same":       {reason: "a plan that comes back is not volatile", before: 5, waited: waits("plan-new"), left: at(3), found: at(3), want: 0},
		"another":        {reason: "one may be due to changed inputs", waited: waits("plan-old"), left: at(3), found: at(3), want: 1},
		"another, twice": {reason: "two in a row are not", before: 1, waited: waits("plan-old"), left: at(3), found: at(3), want: 2, volatile: true},
		"another, asked for": {reason: "somebody wants to know anew", before: 2, waited: waits("plan-old"), left: at(3), found: at(3), want: 0,
			change: func(run *v1alpha2.TerraformRun) { run.Spec.RequestedAt = "noon" }},
		"no state yet":    {reason: "no state is the same as no state", before: 1, waited: waits("plan-old"), want: 2, volatile: true},
		"serial moved":    {reason: "another state has another plan", before: 1, waited: waits("plan-old"), left: at(3), found: at(4), want: 0},
		"another lineage": {reason: "another state has another plan", before: 1, waited: waits("plan-old"), left: at(3), found: &v1alpha2.StateStatus{Lineage: "m", Serial: 3}, want: 0},
		"state not known": {reason: "nobody knows whether it has moved", before: 1, waited: waits("plan-old"), left: at(3), want: 0},
		"nothing to change": {reason: "no plan waits any more", before: 2, waited: waits("plan-old"), left: at(3), found: at(3), want: 0,
			change: func(run *v1alpha2.TerraformRun) { run.Status.Plan = &v1alpha2.RunPlan{} }},
		"failed": {reason: "a plan that was not made differs from nothing", before: 2, waited: waits("plan-old"), left: at(3), found: at(3), want: 2, volatile: true,
			change: func(run *v1alpha2.TerraformRun) { run.Status.Phase = v1alpha2.RunFailed }},
		"failed apply": {reason: "its plan is spent", before: 2, waited: waits("plan-old"), left: at(3), found: at(3), want: 0,
			change: func(run *v1alpha2.TerraformRun) {
				run.Spec.Operation, run.Status.Phase = v1alpha2.OperationApply, v1alpha2.RunFailed
			}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := activeTerraform()
			tf.Status.Plan.Differed = tc.before
			run := finishedRun(v1alpha2.OperationPlan, v1alpha2.RunSucceeded, withChanges)
			run.Spec.RequestedAt, run.Spec.Plan, run.Spec.State, run.Status.State = "", tc.waited, tc.left, tc.found
			if tc.change != nil {
				tc.change(run)
			}
			Settle(tf, run, now, day)
			g.Expect(tf.Status.Plan.Differed).To(Equal(tc.want), tc.reason)
			g.Expect(Volatile(&tf.Status)).To(Equal(tc.volatile), tc.reason)
		})
	}
}
