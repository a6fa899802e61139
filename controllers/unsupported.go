package controllers

import (
	"fmt"
	"strings"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// field of the spec that is accepted, and says whether it is set to something that this version does not act on.
type field struct {
	path string
	set  func(*infrav1.TerraformSpec) bool
}

// stallingFields must not be ignored: without them something else than what was asked for would be planned or applied.
var stallingFields = []field{
	{"spec.webhooks", func(s *infrav1.TerraformSpec) bool { return len(s.Webhooks) > 0 }},
	{"spec.engine", func(s *infrav1.TerraformSpec) bool { return s.Engine != nil }},
	{"spec.approval", func(s *infrav1.TerraformSpec) bool { return s.Approval != nil }},
}

// ignoredFields change how, not what: an event says that they are not acted on yet.
var ignoredFields = []field{
	{"spec.stateBackups", func(s *infrav1.TerraformSpec) bool { return s.StateBackups != nil }},
}

func setFields(spec *infrav1.TerraformSpec, fields []field) []string {
	var paths []string
	for _, f := range fields {
		if f.set(spec) {
			paths = append(paths, f.path)
		}
	}
	return paths
}

// unsupportedMessage names the fields that stall the object; "" when there are none.
func unsupportedMessage(spec *infrav1.TerraformSpec) string {
	paths := setFields(spec, stallingFields)
	if len(paths) == 0 {
		return ""
	}
	return fmt.Sprintf("not implemented in this version: %s. Nothing is planned or applied: remove what is named here", strings.Join(paths, ", "))
}

// ignoredMessage names the fields that are ignored; "" when there are none.
func ignoredMessage(spec *infrav1.TerraformSpec) string {
	paths := setFields(spec, ignoredFields)
	if len(paths) == 0 {
		return ""
	}
	return fmt.Sprintf("not implemented in this version, and ignored: %s", strings.Join(paths, ", "))
}

// invalidApproveMessage says what is wrong with spec.approvePlan; "" when nothing is.
func invalidApproveMessage(spec *infrav1.TerraformSpec) string {
	if plan.ParseApprove(spec.ApprovePlan).Mode != plan.ApproveInvalid {
		return ""
	}
	return fmt.Sprintf("spec.approvePlan: %q is neither \"\", manual, auto, disable, safe, replan nor an id that begins with plan-; "+
		"copy an id from status.plan.pending", spec.ApprovePlan)
}
