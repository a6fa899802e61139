package controllers

import (
	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// eventTokenInSpec is the reason of the event for a secret in the object itself.
const eventTokenInSpec = "TokenInSpec"

// notice is what the author of a spec should know of it. It is told once for each generation.
type notice struct {
	path, reason, message string
	set                   func(*infrav1.TerraformSpec) bool
}

// allNotices hold nothing up: what they are about means nothing here, or works, and should be done in another way.
var allNotices = []notice{
	{
		"spec.branchPlanner", eventFieldIgnored,
		"spec.branchPlanner has no effect: it is an order to tofu-controller's branch planner, which plans pull requests and is no part of this controller. " +
			"An object of its own with planOnly: true plans a branch",
		func(s *infrav1.TerraformSpec) bool { return s.BranchPlanner != nil },
	},
	{
		"spec.enterprise", eventFieldIgnored,
		"spec.enterprise has no effect: it is a placeholder that no controller has ever read",
		func(s *infrav1.TerraformSpec) bool { return s.Enterprise != nil },
	},
	{
		"spec.cloud.token", eventTokenInSpec,
		"spec.cloud.token is in clear text: who may read this object, its manifest or a backup of it has the token. " +
			"Put it into a Secret and name that in spec.cloud.tokenSecretRef",
		func(s *infrav1.TerraformSpec) bool { return s.Cloud != nil && s.Cloud.Token != "" },
	},
}

// notices are those for a spec.
func notices(spec *infrav1.TerraformSpec) []notice {
	var due []notice
	for _, n := range allNotices {
		if n.set(spec) {
			due = append(due, n)
		}
	}
	return due
}
