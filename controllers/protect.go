package controllers

import (
	"slices"
	"strings"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// maxProtected is the number of addresses that are named when a plan is held for them.
const maxProtected = 10

// notKnown stands for addresses that a plan's run does not tell.
const notKnown = "it is not known whether it does not"

// protected names what the pending plan ends that spec.approval.protect names; "" when there is nothing. Where the run of the
// plan does not tell all that it ends, or is gone, the plan is held.
func (o *observation) protected(tf *infrav1.Terraform) string {
	if tf.Spec.Approval == nil || len(tf.Spec.Approval.Protect) == 0 || tf.Status.Plan.Pending == "" {
		return ""
	}
	made := o.planRun(tf.Status.Plan.Run)
	if made == nil {
		return notKnown
	}
	var ended []string
	for _, address := range made.Destructive {
		if slices.ContainsFunc(tf.Spec.Approval.Protect, func(entry string) bool { return covers(entry, address) }) {
			ended = append(ended, address)
		}
	}
	switch {
	case len(ended) > 0:
		return strings.Join(ended[:min(len(ended), maxProtected)], ", ")
	case len(made.Destructive) >= infrav1.MaxDestructive, !made.Safe && len(made.Destructive) == 0:
		return notKnown
	}
	return ""
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

// covers says whether an entry of spec.approval.protect names an address, or the module or resource that it is in. The
// address of a deposed object is followed by its key.
func covers(entry, address string) bool {
	if beginning, ok := strings.CutSuffix(entry, "*"); ok {
		return strings.HasPrefix(address, beginning)
	}
	rest, ok := strings.CutPrefix(address, entry)
	return ok && entry != "" && (rest == "" || strings.ContainsAny(rest[:1], ".[ "))
}
