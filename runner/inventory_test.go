package runner

import (
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestInventory_TakesWhateverTheStateHolds(t *testing.T) {
	compat.Shows(t, "status.inventory", "format.inventory", "weak.13")
	g := NewWithT(t)
	resource := func(name string, attributes map[string]any) *tfjson.StateResource {
		return &tfjson.StateResource{Name: name, Type: "blub", AttributeValues: attributes}
	}
	module := &tfjson.StateModule{
		Resources: []*tfjson.StateResource{
			resource("id", map[string]any{"id": "i-1"}),
			resource("arn", map[string]any{"id": "i-1", "arn": "arn:blub:1"}),
			resource("null", map[string]any{"id": nil, "arn": nil}),
			resource("number", map[string]any{"id": 7.0, "arn": true}),
			resource("bare", nil),
		},
		ChildModules: []*tfjson.StateModule{nil, {Resources: []*tfjson.StateResource{resource("child", map[string]any{"id": "größe/😀"})}}},
	}
	g.Expect(entries(module)).To(Equal([]v1alpha2.ResourceRef{
		{Name: "id", Type: "blub", Identifier: "i-1"}, {Name: "arn", Type: "blub", Identifier: "arn:blub:1"},
		{Name: "null", Type: "blub"}, {Name: "number", Type: "blub"}, {Name: "bare", Type: "blub"},
		{Name: "child", Type: "blub", Identifier: "größe/😀"},
	}), "what is no text is no identifier, and breaks nothing")
	g.Expect(entries(nil)).To(BeEmpty())
}
