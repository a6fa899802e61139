package engine

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestClassify_GoesByTheSummaryOfErrors(t *testing.T) {
	for _, tc := range []struct {
		severity, summary string
		want              Class
	}{
		{"error", "Error acquiring the state lock", ClassLocked},
		{"error", "Error loading state", ClassStateUnread},
		{"error", "Saved plan is stale", ClassPlanUnusable},
		{"error", "Saved plan does not match the given state", ClassPlanUnusable},
		{"error", "Inconsistent dependency lock file", ClassPlanUnusable},
		{"error", "Mismatch between input and plan variable value", ClassPlanUnusable},
		{"error", `Failed to load "tfplan" as a plan file`, ClassPlanUnusable},
		{"error", "Failed to save state", ClassStateNotSaved},
		{"error", "Failed to save state of another kind", ClassOther},
		{"error", "Provider produced inconsistent final plan", ClassOther},
		{"warning", "Saved plan is stale", ClassOther},
	} {
		t.Run(tc.severity+" "+tc.summary, func(t *testing.T) {
			c := &collector{}
			addTo(c, v1alpha2.Diagnostic{Severity: "error", Summary: "something first"})
			addTo(c, v1alpha2.Diagnostic{Severity: tc.severity, Summary: tc.summary})
			NewWithT(t).Expect(c.failure("plan", nil).Class).To(Equal(tc.want))
		})
	}
}

func TestClassify_LooksAtTheDetailWhereTheSummaryIsNotEnough(t *testing.T) {
	for _, tc := range []struct {
		summary, detail string
		want            Class
	}{
		{"Failed to resolve provider packages", "Could not resolve provider hashicorp/random: the previously-selected version 2.0.0 is no longer available", ClassPlanUnusable},
		{"Failed to query available provider packages", "Could not retrieve the list: the\npreviously-selected version 2.0.0 is no longer available", ClassPlanUnusable},
		{"Failed to install provider", "Error while installing hashicorp/random v2.0.0: the local package doesn't match any of the checksums previously recorded", ClassPlanUnusable},
		{"Failed to install provider", "Error while installing hashicorp/random v2.0.0: connection refused", ClassOther},
		{"Failed to save state", "", ClassStateNotSaved},
	} {
		t.Run(tc.summary+": "+tc.detail, func(t *testing.T) {
			NewWithT(t).Expect(classify(v1alpha2.Diagnostic{Severity: "error", Summary: tc.summary, Detail: tc.detail})).To(Equal(tc.want))
		})
	}
}

func TestError_NamesCommandAndFirstError(t *testing.T) {
	g := NewWithT(t)
	exit := &exec.ExitError{}
	err := fmt.Errorf("planning: %w", &Error{
		Command: "plan", Errors: 2, Class: ClassLocked, err: fmt.Errorf("exit status 1\nall of stderr: %w", exit),
		Diagnostics: []v1alpha2.Diagnostic{{Severity: "error", Summary: "A", Detail: "because\nof this", Address: "x.y"}},
	})
	g.Expect(err).To(MatchError("planning: engine command plan: exit status 1: x.y: A: because"))
	g.Expect(ClassOf(err)).To(Equal(ClassLocked))
	g.Expect(ClassOf(errors.New("other"))).To(Equal(ClassOther))
	var found *exec.ExitError
	g.Expect(errors.As(err, &found)).To(BeTrue())
}

func addTo(c *collector, d v1alpha2.Diagnostic) { c.add(d, d) }

func TestCollector_KeepsErrorsBeforeWarnings(t *testing.T) {
	g := NewWithT(t)
	c := &collector{}
	for i := range 30 {
		addTo(c, v1alpha2.Diagnostic{Severity: "warning", Summary: "w" + strconv.Itoa(i)})
	}
	for i := range 25 {
		addTo(c, v1alpha2.Diagnostic{Severity: "error", Summary: "e" + strconv.Itoa(i)})
	}
	g.Expect(c.all()).To(HaveLen(MaxDiagnostics))
	g.Expect(c.all()).To(HaveEach(HaveField("Severity", "error")))
	g.Expect(c.errorCount).To(Equal(25))
}

// The text is what Terraform 1.5 and OpenTofu before 1.12 write for a failed init, without colour.
func TestFromText_ReadsTheFormForPeople(t *testing.T) {
	g := NewWithT(t)
	got := fromText(`
Initializing the backend...
╷
│ Warning: Old thing
│ 
│ Use the new one.
╵
╷
│ Error: Invalid expression
│ 
│   on modules/a/bad.tf line 12, in resource "terraform_data" "b":
│   12:   input =
│ 
│ Expected the start of an expression.
╵
`)
	g.Expect(got).To(HaveLen(2))
	g.Expect(got[0]).To(Equal(v1alpha2.Diagnostic{Severity: "warning", Summary: "Old thing", Detail: "Use the new one."}))
	g.Expect(got[1].Summary).To(Equal("Invalid expression"))
	g.Expect(got[1].File).To(Equal("modules/a/bad.tf"))
	g.Expect(got[1].Line).To(Equal(12))
	g.Expect(got[1].Detail).To(HaveSuffix("Expected the start of an expression."))
	g.Expect(fromText("nothing to see")).To(BeEmpty())
	g.Expect(fromText("\nError loading state: the state is already locked by another terraform client\nLock Info:\n  ID:        7\n")).To(Equal([]v1alpha2.Diagnostic{{
		Severity: "error", Summary: "Error loading state", Detail: "the state is already locked by another terraform client\nLock Info:\n  ID:        7",
	}}), "the words of Terraform 1.5.7's init where there is no state yet")
}

func TestFromText_TakesTheBreaksOfLinesOut(t *testing.T) {
	for why, tc := range map[string]struct{ text, want string }{
		"a line goes on where the next word had no room": {
			"Could not retrieve the list of available versions for provider\nhashicorp/random: no available releases match the given constraints 2.0.0\n\nTo see more, run:\n    terraform providers\n",
			"Could not retrieve the list of available versions for provider hashicorp/random: no available releases match the given constraints 2.0.0\n\nTo see more, run:\n    terraform providers",
		},
		"lines of their own stay": {
			"Error message: the state is already locked by another terraform client\nLock Info:\n  ID:        7\n  Path:\n",
			"Error message: the state is already locked by another terraform client\nLock Info:\n  ID:        7\n  Path:",
		},
	} {
		got := fromText("Error: Failed\n\n" + tc.text)
		NewWithT(t).Expect(got).To(Equal([]v1alpha2.Diagnostic{{Severity: "error", Summary: "Failed", Detail: tc.want}}), why)
	}
}

func TestProgress_SaysWhatIsDone(t *testing.T) {
	g := NewWithT(t)
	p := &Progress{}
	g.Expect(p.Started()).To(BeFalse())
	for _, e := range []Event{
		{Type: EventPlannedChange, Address: "a.create", Action: "create"},
		{Type: EventPlannedChange, Address: "a.replace", Action: "replace"},
		{Type: EventPlannedChange, Address: "a.half", Action: "replace"},
		{Type: EventPlannedChange, Address: "a.later", Action: "delete"},
		{Type: EventPlannedChange, Address: "a.bad", Action: "update"},
		{Type: EventPlannedChange, Address: "a.slow", Action: "create"},
		{Type: EventPlannedChange, Address: "a.same", Action: "noop"},
		{Type: EventPlannedChange, Address: "data.a", Action: "read"},
		{Type: EventApplyStart, Address: "a.create", Action: "create"},
		{Type: EventApplyComplete, Address: "a.create", Action: "create"},
		{Type: EventApplyStart, Address: "a.replace", Action: "delete"},
		{Type: EventApplyComplete, Address: "a.replace", Action: "delete"},
		{Type: EventApplyStart, Address: "a.replace", Action: "create"},
		{Type: EventApplyComplete, Address: "a.replace", Action: "create"},
		{Type: EventApplyStart, Address: "a.half", Action: "delete"},
		{Type: EventApplyComplete, Address: "a.half", Action: "delete"},
		{Type: EventApplyStart, Address: "a.bad", Action: "update"},
		{Type: EventApplyErrored, Address: "a.bad", Action: "update"},
		{Type: EventApplyStart, Address: "a.slow", Action: "create"},
		{Type: EventApplyProgress, Address: "a.slow", Action: "create"},
	} {
		p.Observe(e)
	}
	g.Expect(p.Started()).To(BeTrue())
	g.Expect(p.Done()).To(Equal([]string{"a.create", "a.replace"}))
	g.Expect(p.InFlight()).To(Equal([]string{"a.half", "a.slow"}))
	g.Expect(p.Failed()).To(Equal([]string{"a.bad"}))
	g.Expect(p.NotStarted()).To(Equal([]string{"a.later"}))
}
