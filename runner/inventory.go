package runner

import (
	"context"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// maxInventory bounds the inventory: it stands in the status of run and object, which etcd keeps whole.
const maxInventory = 2000

// inventory lists the resources in the state, in the incumbent's form, when the spec asks for it.
func (r *results) inventory(ctx context.Context) error {
	if !r.spec.EnableInventory {
		return nil
	}
	list := &v1alpha2.ResourceInventory{Entries: []v1alpha2.ResourceRef{}}
	if !r.spec.Destroy {
		state, err := r.tool.engine.ShowState(ctx)
		if err != nil {
			return r.engineFailure(v1alpha2.ReasonTFExecOutputFailed, err)
		}
		if state.Values != nil {
			list.Entries = append(list.Entries, entries(state.Values.RootModule)...)
		}
	}
	if len(list.Entries) > maxInventory {
		r.log.Info("the inventory is cut", "resources", len(list.Entries), "kept", maxInventory)
		list.Entries = list.Entries[:maxInventory]
	}
	r.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Inventory = list })
	return nil
}

// entries are a module's resources, then those of the modules in it, in the order of the state.
func entries(m *tfjson.StateModule) []v1alpha2.ResourceRef {
	if m == nil {
		return nil
	}
	var found []v1alpha2.ResourceRef
	for _, r := range m.Resources {
		found = append(found, v1alpha2.ResourceRef{Name: r.Name, Type: r.Type, Identifier: identifier(r.AttributeValues)})
	}
	for _, child := range m.ChildModules {
		found = append(found, entries(child)...)
	}
	return found
}

// identifier is the attribute arn, else id; empty where they are no text.
func identifier(attributes map[string]any) string {
	for _, name := range []string{"arn", "id"} {
		if text, ok := attributes[name].(string); ok && text != "" {
			return text
		}
	}
	return ""
}
