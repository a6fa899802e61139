package decide

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestUnwarranted(t *testing.T) {
	const auto, annotation, force, deletion = v1alpha2.ApprovalByMode, v1alpha2.ApprovalByAnnotation, v1alpha2.ApprovalByForce, v1alpha2.ApprovalByDeletion
	ends := func(digests ...string) *v1alpha2.RunPlan {
		made := changes(digests...)
		made.Destructive, made.Short = []string{"a.b"}, "+0 ~0 -1"
		return made
	}
	adds := func(digests ...string) *v1alpha2.RunPlan {
		made := changes(digests...)
		made.Safe = true
		return made
	}
	creates := func(digests ...string) *v1alpha2.RunPlan {
		made := adds(digests...)
		made.Summary.Add, made.Short = 1, "+1 ~0 -0"
		return made
	}
	cases := map[string]struct {
		reason   string
		approval *v1alpha2.Approval
		safe     bool
		protect  []string
		made     *v1alpha2.RunPlan
		want     string // a part of it; "" when it may go on
	}{
		"nobody":              {"an order names its ground", nil, false, nil, adds("x"), "does not say who"},
		"auto":                {"whatever comes", &v1alpha2.Approval{How: auto}, false, nil, ends("x"), ""},
		"force":               {"whatever comes, also under safe", &v1alpha2.Approval{How: force}, true, nil, ends("x"), ""},
		"safe":                {"what ends nothing", &v1alpha2.Approval{How: auto}, true, nil, adds("x"), ""},
		"safe, told":          {"the run has called it safe", &v1alpha2.Approval{How: auto}, true, nil, ends("x"), "it is not safe: +0 ~0 -1"},
		"safe, deleting":      {"a destroy waits for a person", &v1alpha2.Approval{How: deletion}, true, nil, ends("x"), "it is not safe"},
		"deletion":            {"is the word for it", &v1alpha2.Approval{How: deletion}, false, nil, ends("x"), ""},
		"deletion, more":      {"it was deleted to have things destroyed", &v1alpha2.Approval{How: deletion}, false, nil, creates("x"), "more than destroy: +1 ~0 -0"},
		"protected":           {"from auto", &v1alpha2.Approval{How: auto}, false, []string{"a.b"}, ends("x"), "spec.approval.protect names: a.b"},
		"protected, forced":   {"who forces has not seen it", &v1alpha2.Approval{How: force}, false, []string{"a.b"}, ends("x"), "spec.approval.protect names: a.b"},
		"protected, approved": {"a person has seen it", &v1alpha2.Approval{How: annotation, PlanID: "plan-old", Changes: []string{"x"}}, false, []string{"a.b"}, ends("x"), ""},
		"approved":            {"exactly that", &v1alpha2.Approval{How: annotation, PlanID: "plan-old", Changes: []string{"x", "y"}}, true, nil, ends("x", "y"), ""},
		"approved, large":     {"its changes were too many to be told: the id has to do", &v1alpha2.Approval{How: annotation, PlanID: "plan-old"}, false, nil, ends("x"), ""},
		"another change":      {"nobody has seen it", &v1alpha2.Approval{How: annotation, PlanID: "plan-old", Changes: []string{"x"}}, false, nil, ends("x", "z"), "does not cover at.z"},
		"covered":             {"the rest of what was approved", &v1alpha2.Approval{How: annotation, PlanID: "plan-older", CoveredPlan: "plan-old", Changes: []string{"x", "y"}}, false, nil, ends("y"), ""},
		"said to be covered":  {"it is not", &v1alpha2.Approval{How: annotation, PlanID: "plan-older", CoveredPlan: "plan-old", Changes: []string{"x"}}, false, nil, ends("z"), "does not cover at.z"},
		"covered by nothing":  {"an approval that is used up", &v1alpha2.Approval{How: annotation, PlanID: "plan-older", CoveredPlan: "plan-old"}, false, nil, ends("z"), "does not cover at.z"},
		"covered, large":      {"what is not listed is not covered", &v1alpha2.Approval{How: annotation, PlanID: "plan-older", CoveredPlan: "plan-old", Changes: []string{"x"}}, false, nil, ends(), "is for plan-older"},
		"of another plan":     {"it covers the changes, but not that plan", &v1alpha2.Approval{How: annotation, PlanID: "plan-older", Changes: []string{"x"}}, false, nil, ends("x"), "is for plan-older"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			order := &v1alpha2.TerraformRunSpec{Approval: c.approval}
			if c.protect != nil {
				order.Terraform.Approval = &v1alpha2.ApprovalSpec{Protect: c.protect}
			}
			got := Unwarranted(order, c.safe, c.made)
			if c.want == "" {
				NewWithT(t).Expect(got).To(BeEmpty(), c.reason)
				return
			}
			NewWithT(t).Expect(got).To(ContainSubstring(c.want), c.reason)
		})
	}
}
