package controllers

import (
	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// protected names what the pending plan ends that spec.approval.protect names; "" when there is nothing.
func (o *observation) protected(tf *infrav1.Terraform) string {
	if tf.Spec.Approval == nil || tf.Status.Plan.Pending == "" {
		return ""
	}
	return decide.Protected(tf.Spec.Approval.Protect, o.planRun(tf.Status.Plan.Run))
}

// planRun is the plan as the run of that name has reported it; nil when that is not known.
func (o *observation) planRun(name string) *infrav1.RunPlan {
	if o.settled != nil && o.settled.Name == name {
		return o.settled.Status.Plan
	}
	for i := range o.runs {
		if o.runs[i].Name == name {
			return o.runs[i].Status.Plan
		}
	}
	return nil
}
