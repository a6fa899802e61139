package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestProtected_HoldsPlansThatEndWhatIsNamed(t *testing.T) {
	many := make([]string, infrav1.MaxDestructive)
	for i := range many {
		many[i] = "null_resource.x"
	}
	cases := map[string]struct {
		reason  string
		protect []string
		plan    *infrav1.RunPlan
		want    string
	}{
		"nothing protected":    {"most objects", nil, &infrav1.RunPlan{Destructive: []string{"a.b"}}, ""},
		"a resource":           {"by its address", []string{"a.b"}, &infrav1.RunPlan{Destructive: []string{"a.b", "a.c"}}, "a.b"},
		"an instance":          {"is a part of its resource", []string{"a.b"}, &infrav1.RunPlan{Destructive: []string{"a.b[0]", `a.b["x"]`}}, `a.b[0], a.b["x"]`},
		"one of two instances": {"only that one", []string{"a.b[0]"}, &infrav1.RunPlan{Destructive: []string{"a.b[1]"}}, ""},
		"a module":             {"with all that is in it", []string{"module.db"}, &infrav1.RunPlan{Destructive: []string{"module.db.a.b", "module.db[0].a.b"}}, "module.db.a.b, module.db[0].a.b"},
		"a longer name":        {"is another resource", []string{"a.b", "module.db"}, &infrav1.RunPlan{Destructive: []string{"a.bc", "module.dbs.a.b"}}, ""},
		"a deposed object":     {"may be the one that holds the data", []string{"a.b"}, &infrav1.RunPlan{Destructive: []string{"a.b (deposed 0123)"}}, "a.b (deposed 0123)"},
		"a beginning":          {"a star stands for the rest", []string{"a.b*"}, &infrav1.RunPlan{Destructive: []string{"a.bc", "a.d"}}, "a.bc"},
		"everything":           {"a star alone", []string{"*"}, &infrav1.RunPlan{Destructive: []string{"a.d"}}, "a.d"},
		"an empty entry":       {"names nothing", []string{""}, &infrav1.RunPlan{Destructive: []string{"a.d"}}, ""},
		"only additions":       {"end nothing", []string{"*"}, &infrav1.RunPlan{Safe: true}, ""},
		"too many to tell":     {"the list may be cut", []string{"a.b"}, &infrav1.RunPlan{Destructive: many}, notKnown},
		"nothing told":         {"a plan that can't be shown, or an action that nobody knows", []string{"a.b"}, &infrav1.RunPlan{}, notKnown},
		"no run":               {"what it does is not known any more", []string{"a.b"}, nil, notKnown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tf := &infrav1.Terraform{}
			tf.Spec.Approval = &infrav1.ApprovalSpec{Protect: c.protect}
			tf.Status.Plan.Pending, tf.Status.Plan.Run = "plan-1", "net-1"
			o := &observation{runs: []infrav1.TerraformRun{{
				ObjectMeta: metav1.ObjectMeta{Name: "net-1"}, Status: infrav1.TerraformRunStatus{Plan: c.plan},
			}}}
			NewWithT(t).Expect(o.protected(tf)).To(Equal(c.want), c.reason)
		})
	}
}
