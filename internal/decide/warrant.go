package decide

import (
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Unwarranted says why the plan that an apply has before it, made, is not one that it was ordered for; "" when it is. The order
// rests on what the plan's own run has told of the plan, and code of the module may have spoken there in the runner's
// place: before anything is done, the plan file is asked the same. autoSafe is AutoSafe of the Facts.
func Unwarranted(order *v1alpha2.TerraformRunSpec, autoSafe bool, made *v1alpha2.RunPlan) string {
	approval := order.Approval
	if approval == nil {
		return "the run does not say who has approved it"
	}
	byPerson := approval.How == v1alpha2.ApprovalByAnnotation || approval.How == v1alpha2.ApprovalBySpec
	if byPerson {
		return notApproved(approval, made)
	}
	if spec := order.Terraform.Approval; spec != nil {
		if ended := Protected(spec.Protect, made); ended != "" {
			return "it ends what spec.approval.protect names: " + ended
		}
	}
	if s := made.Summary; approval.How == v1alpha2.ApprovalByDeletion && s.Add+s.Change+s.Replace+s.Import > 0 {
		return "the object is being deleted, and it does more than destroy: " + made.Short
	}
	if autoSafe && approval.How != v1alpha2.ApprovalByForce && !made.Safe {
		return "nobody has approved it, and it is not safe: " + made.Short
	}
	return ""
}

// notApproved names what a person's approval does not cover. One that holds no changes is for all that has that id.
func notApproved(approval *v1alpha2.Approval, made *v1alpha2.RunPlan) string {
	covered := approval.PlanID != made.ID
	if uncovered := outside(approval.Changes, made); len(uncovered) > 0 && (covered || len(approval.Changes) > 0) {
		return "the approval of " + approval.PlanID + " does not cover " + strings.Join(uncovered, ", ")
	}
	if covered && (approval.CoveredPlan != made.ID || len(made.Changes) == 0) {
		return "the approval is for " + approval.PlanID
	}
	return ""
}
