package runner

import (
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	. "github.com/onsi/gomega"
)

func madeOf(resources ...*tfjson.StateResource) *tfjson.Plan {
	return &tfjson.Plan{PriorState: &tfjson.State{Values: &tfjson.StateValues{RootModule: &tfjson.StateModule{
		ChildModules: []*tfjson.StateModule{nil, {Resources: resources}},
	}}}}
}

func resource(mode tfjson.ResourceMode, value string) *tfjson.StateResource {
	return &tfjson.StateResource{Address: "module.a.x.y", Mode: mode, AttributeValues: map[string]any{"a": value}}
}

func TestResourcesDiffer(t *testing.T) {
	managed, data := tfjson.ManagedResourceMode, tfjson.DataResourceMode
	deposed := resource(managed, "1")
	deposed.DeposedKey = "d"
	cases := map[string]struct {
		reason   string
		was, is  *tfjson.Plan
		expected bool
	}{
		"the same":       {"nothing has happened", madeOf(resource(managed, "1")), madeOf(resource(managed, "1")), false},
		"changed":        {"somebody has changed it", madeOf(resource(managed, "1")), madeOf(resource(managed, "2")), true},
		"gone":           {"somebody has removed it", madeOf(resource(managed, "1")), madeOf(), true},
		"deposed":        {"another object of that address", madeOf(resource(managed, "1")), madeOf(deposed), true},
		"data":           {"what is only read may differ each time", madeOf(resource(data, "1")), madeOf(resource(data, "2")), false},
		"no state":       {"before the first apply there is nothing", &tfjson.Plan{}, &tfjson.Plan{PriorState: &tfjson.State{}}, false},
		"state at first": {"somebody else has applied", &tfjson.Plan{}, madeOf(resource(managed, "1")), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := resourcesDiffer(tc.was, tc.is)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			NewWithT(t).Expect(got).To(Equal(tc.expected), tc.reason)
		})
	}
}
