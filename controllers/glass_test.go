package controllers

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

func TestConcludeGlass_SaysWhetherASessionIsWanted(t *testing.T) {
	for _, tc := range []struct {
		reason     string
		spec       bool
		annotation string
		empty      bool
		handled    string
		forbidden  bool
		want       decide.Glass
		request    string
		remembered string
	}{
		{reason: "nobody asks"},
		{reason: "the spec asks", spec: true, want: decide.GlassBroken, request: "spec"},
		{reason: "the annotation asks", annotation: "12:00", want: decide.GlassBroken, request: "12:00"},
		{reason: "an annotation without a value asks for nothing", empty: true},
		{reason: "and takes a request back", empty: true, handled: "12:00"},
		{reason: "the spec comes first", spec: true, annotation: "12:00", want: decide.GlassBroken, request: "spec"},
		{reason: "not without the flag", spec: true, forbidden: true, want: decide.GlassForbidden},
		{reason: "a session that is over is not begun again", spec: true, handled: "spec", remembered: "spec"},
		{reason: "nor is it held against the object when the flag has gone since", spec: true, handled: "spec", forbidden: true, remembered: "spec"},
		{reason: "another annotation is another request", annotation: "13:00", handled: "12:00", want: decide.GlassBroken, request: "13:00", remembered: "12:00"},
		{reason: "who no longer asks may ask again", handled: "spec"},
		{reason: "who takes the field back does not ask by an annotation of before", annotation: "12:00", handled: "spec", remembered: "12:00"},
		{reason: "the field asks again after that", spec: true, annotation: "12:00", handled: "12:00", want: decide.GlassBroken, request: "spec", remembered: "12:00"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			tf := &infrav1.Terraform{Spec: infrav1.TerraformSpec{BreakTheGlass: tc.spec}}
			if tc.annotation != "" || tc.empty {
				tf.Annotations = map[string]string{infrav1.BreakTheGlassAnnotation: tc.annotation}
			}
			tf.Status.LastHandledBreakTheGlass = tc.handled
			r := &TerraformReconciler{AllowBreakTheGlass: !tc.forbidden, BreakTheGlassLimit: time.Hour}
			o := &observation{}
			r.concludeGlass(tf, o)
			g.Expect(o.facts.Glass).To(Equal(tc.want))
			g.Expect(tf.Status.LastHandledBreakTheGlass).To(Equal(tc.remembered))
			if tc.request == "" {
				g.Expect(o.session).To(BeNil())
				return
			}
			g.Expect(o.session.Request).To(Equal(tc.request))
			g.Expect(o.session.Limit.Duration).To(Equal(time.Hour))
		})
	}
}

func TestConcludeGlass_LeavesARequestToForceForThePlanAfterTheSession(t *testing.T) {
	for name, tc := range map[string]struct {
		reason                  string
		glass, forces, deleting bool
		requested               bool
	}{
		"a session":               {"it takes the request over, so that one that can't be opened is not tried without a pause", true, false, false, true},
		"a session, force":        {"a session applies nothing", true, true, false, false},
		"no session, force":       {"the plan is made", false, true, false, true},
		"a session, force, going": {"a deletion waits for no session", true, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := &infrav1.Terraform{Spec: infrav1.TerraformSpec{BreakTheGlass: tc.glass}}
			tf.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "noon"}
			tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "net-1", Sequence: 1}
			o := &observation{facts: decide.Facts{Requested: true, ForceRequested: tc.forces, Deleting: tc.deleting}}
			(&TerraformReconciler{AllowBreakTheGlass: true}).concludeGlass(tf, o)
			g.Expect(o.facts.Requested).To(Equal(tc.requested), tc.reason)
			run := newRun(tf, o, decide.Order{Operation: decide.OpPlan, Session: tc.glass && !tc.deleting})
			g.Expect(run.Spec.RequestedAt == "noon").To(Equal(tc.requested), tc.reason)
		})
	}
}

func TestDeadHolders_LeavesSessionsOut(t *testing.T) {
	run := infrav1.TerraformRun{
		Spec:   infrav1.TerraformRunSpec{Hostname: "net-1", Session: &infrav1.Session{Request: "spec"}},
		Status: infrav1.TerraformRunStatus{Phase: infrav1.RunCancelled, Runner: &infrav1.RunnerIdentity{PodUID: "1"}},
	}
	g := NewWithT(t)
	g.Expect(deadHolders([]infrav1.TerraformRun{run})).To(BeNil(), "its shell may outlive its report")
	run.Spec.Session = nil
	g.Expect(deadHolders([]infrav1.TerraformRun{run}).Hostnames).To(Equal([]string{"net-1"}))
}

func TestRunnerAccount_OfASession(t *testing.T) {
	run := &infrav1.TerraformRun{Spec: infrav1.TerraformRunSpec{Operation: infrav1.OperationPlan, Session: &infrav1.Session{}}}
	run.Spec.Terraform.PlanServiceAccountName, run.Spec.Terraform.ServiceAccountName = "planner", "worker"
	NewWithT(t).Expect(RunnerAccount(run)).To(Equal("worker"), "who mends something needs the rights to")
}
