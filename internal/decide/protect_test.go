package decide

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestProtected_HoldsPlansThatEndWhatIsNamed(t *testing.T) {
	many := make([]string, v1alpha2.MaxDestructive)
	for i := range many {
		many[i] = "null_resource.x"
	}
	cases := map[string]struct {
		reason  string
		protect []string
		plan    *v1alpha2.RunPlan
		want    string
	}{
		"nothing protected":    {"most objects", nil, &v1alpha2.RunPlan{Destructive: []string{"a.b"}}, ""},
		"a resource":           {"by its address", []string{"a.b"}, &v1alpha2.RunPlan{Destructive: []string{"a.b", "a.c"}}, "a.b"},
		"an instance":          {"is a part of its resource", []string{"a.b"}, &v1alpha2.RunPlan{Destructive: []string{"a.b[0]", `a.b["x"]`}}, `a.b[0], a.b["x"]`},
		"one of two instances": {"only that one", []string{"a.b[0]"}, &v1alpha2.RunPlan{Destructive: []string{"a.b[1]"}}, ""},
		"a module":             {"with all that is in it", []string{"module.db"}, &v1alpha2.RunPlan{Destructive: []string{"module.db.a.b", "module.db[0].a.b"}}, "module.db.a.b, module.db[0].a.b"},
		"a longer name":        {"is another resource", []string{"a.b", "module.db"}, &v1alpha2.RunPlan{Destructive: []string{"a.bc", "module.dbs.a.b"}}, ""},
		"a deposed object":     {"may be the one that holds the data", []string{"a.b"}, &v1alpha2.RunPlan{Destructive: []string{"a.b (deposed 0123)"}}, "a.b (deposed 0123)"},
		"a beginning":          {"a star stands for the rest", []string{"a.b*"}, &v1alpha2.RunPlan{Destructive: []string{"a.bc", "a.d"}}, "a.bc"},
		"everything":           {"a star alone", []string{"*"}, &v1alpha2.RunPlan{Destructive: []string{"a.d"}}, "a.d"},
		"an empty entry":       {"names nothing", []string{""}, &v1alpha2.RunPlan{Destructive: []string{"a.d"}}, ""},
		"only additions":       {"end nothing", []string{"*"}, &v1alpha2.RunPlan{Safe: true}, ""},
		"too many to tell":     {"the list may be cut", []string{"a.b"}, &v1alpha2.RunPlan{Destructive: many}, notKnown},
		"nothing told":         {"a plan that can't be shown, or an action that nobody knows", []string{"a.b"}, &v1alpha2.RunPlan{}, notKnown},
		"a move":               {"the address would name nothing any more", []string{"a.b"}, &v1alpha2.RunPlan{Safe: true, Moves: []v1alpha2.PlanMove{{From: "a.b", To: "a.c"}}}, "a.b (it would be a.c)"},
		"a move inside":        {"it is still protected", []string{"module.db"}, &v1alpha2.RunPlan{Safe: true, Moves: []v1alpha2.PlanMove{{From: "module.db.a.b", To: "module.db.a.c"}}}, ""},
		"a move of another":    {"it is nobody's", []string{"a.b"}, &v1alpha2.RunPlan{Safe: true, Moves: []v1alpha2.PlanMove{{From: "a.d", To: "a.b"}}}, ""},
		"no run":               {"what it does is not known any more", []string{"a.b"}, nil, notKnown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(Protected(c.protect, c.plan)).To(Equal(c.want), c.reason)
		})
	}
}
