package plan

import (
	"testing"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestParseApprove(t *testing.T) {
	compat.Shows(t, "spec.approvePlan", "spec.approvePlan.replan")
	cases := map[string]struct {
		reason, text string
		want         Approve
	}{
		"empty":       {"The default waits.", "", Approve{Mode: ApproveManual}},
		"manual":      {"A word for the default.", "manual", Approve{Mode: ApproveManual}},
		"auto":        {"Goes on.", "auto", Approve{Mode: ApproveAuto}},
		"disable":     {"Drift only.", "disable", Approve{Mode: ApproveDisable}},
		"safe":        {"Goes on when nothing is lost.", "safe", Approve{Mode: ApproveSafe}},
		"token":       {"One plan.", "plan-main-b8e362c206", Approve{ApproveToken, "plan-main-b8e362c206"}},
		"short token": {"What it is worth is up to Matches.", "plan-m", Approve{ApproveToken, "plan-m"}},
		"no plan":     {"It names none.", "plan-", Approve{ApproveInvalid, "plan-"}},
		"planner":     {"Not a token.", "planner", Approve{ApproveInvalid, "planner"}},
		"replan":      {"Discards the pending plan.", "replan", Approve{ApproveReplan, "replan"}},
		"replan id":   {"The incumbent's form.", "replan-main-b8e3", Approve{ApproveReplan, "replan-main-b8e3"}},
		"case":        {"The incumbent minded case.", "Auto", Approve{ApproveInvalid, "Auto"}},
		"blank":       {"A blank is not nothing.", " ", Approve{ApproveInvalid, " "}},
		"trailing":    {"A typing error must not apply.", "auto ", Approve{ApproveInvalid, "auto "}},
		"yes":         {"An unknown word.", "yes", Approve{ApproveInvalid, "yes"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ParseApprove(tc.text); got != tc.want {
				t.Errorf("%s got %+v, want %+v", tc.reason, got, tc.want)
			}
		})
	}
}

func FuzzParseApprove(f *testing.F) {
	for _, text := range []string{"", "auto", "plan-x", "replan", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := ParseApprove(text)
		if got.Token != "" && got.Token != text {
			t.Errorf("%q became the token %q", text, got.Token)
		}
		if got.Mode == ApproveAuto && text != "auto" {
			t.Errorf("%q applies by itself", text)
		}
	})
}
