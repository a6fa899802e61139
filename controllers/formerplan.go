package controllers

import (
	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// formerPlan is the id of the incumbent's plan that a plan run has to look into, because it was approved; "" for none.
func formerPlan(tf *infrav1.Terraform, order decide.Order) string {
	if order.Operation != decide.OpPlan || plan.ParseApprove(tf.Spec.ApprovePlan).Mode != plan.ApproveToken {
		return ""
	}
	return decide.FormerApproval(tf, func(token string) decide.Match { return matches(tf, token) })
}

// matches says how a token fits the pending plan.
func matches(tf *infrav1.Terraform, token string) decide.Match {
	switch plan.Matches(token, tf.Status.Plan.Pending, tf.Status.LastPlannedRevision) {
	case plan.MatchExact:
		return decide.MatchExact
	case plan.MatchLegacy:
		return decide.MatchLegacy
	case plan.MatchNone:
	}
	return decide.MatchNone
}
