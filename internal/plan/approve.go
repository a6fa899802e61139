package plan

import "strings"

// ApproveMode is what spec.approvePlan asks for.
type ApproveMode string

const (
	// ApproveManual ("" or "manual"): each plan waits for a person.
	ApproveManual ApproveMode = "Manual"
	// ApproveAuto ("auto"): each plan goes on by itself.
	ApproveAuto ApproveMode = "Auto"
	// ApproveDisable ("disable"): nothing is applied, drift is reported.
	ApproveDisable ApproveMode = "Disable"
	// ApproveSafe ("safe"): a plan that is Safe goes on by itself, others wait for a person.
	ApproveSafe ApproveMode = "Safe"
	// ApproveToken ("plan-..."): the one plan that the token names may go on, see Matches.
	ApproveToken ApproveMode = "Token"
	// ApproveReplan ("replan" or "replan..."): the pending plan is discarded.
	ApproveReplan ApproveMode = "Replan"
	// ApproveInvalid is any other text.
	ApproveInvalid ApproveMode = "Invalid"
)

// Approve is spec.approvePlan, understood.
type Approve struct {
	Mode ApproveMode
	// Token is the text itself under Token, Replan and Invalid, and empty otherwise.
	Token string
}

// ParseApprove understands the text of spec.approvePlan. Case and blanks count, as they did for the incumbent; "plan-"
// alone is invalid, as it names no plan (the incumbent took it for a prefix of every id).
func ParseApprove(s string) Approve {
	switch s {
	case "", "manual":
		return Approve{Mode: ApproveManual}
	case "auto":
		return Approve{Mode: ApproveAuto}
	case "disable":
		return Approve{Mode: ApproveDisable}
	case "safe":
		return Approve{Mode: ApproveSafe}
	}
	switch {
	case strings.HasPrefix(s, "plan-") && s != "plan-":
		return Approve{Mode: ApproveToken, Token: s}
	case strings.HasPrefix(s, "replan"):
		return Approve{Mode: ApproveReplan, Token: s}
	default:
		return Approve{Mode: ApproveInvalid, Token: s}
	}
}
