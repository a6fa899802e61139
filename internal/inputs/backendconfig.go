package inputs

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Setting is one argument of a backend.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Secret says that it comes from a Secret.
	Secret bool `json:"secret,omitempty"`
}

// Backend are the settings of spec.backendConfigsFrom, sorted by name; later references override earlier ones.
func (r *Reader) Backend(ctx context.Context, refs []v1alpha2.BackendConfigsReference) ([]Setting, error) {
	settings := map[string]Setting{}
	for i := range refs {
		if err := r.addBackend(ctx, fmt.Sprintf("spec.backendConfigsFrom[%d]", i), &refs[i], settings); err != nil {
			return nil, err
		}
	}
	var list []Setting
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		list = append(list, settings[name])
	}
	return list, nil
}

func (r *Reader) addBackend(ctx context.Context, field string, from *v1alpha2.BackendConfigsReference, settings map[string]Setting) error {
	if from.Kind != kindSecret && from.Kind != kindConfigMap {
		return fail(field+".kind", "%q is no kind to take backend settings from; use Secret or ConfigMap", from.Kind)
	}
	o, err := r.objects.get(ctx, from.Kind, from.Name)
	switch {
	case err != nil:
		return r.objects.explain(field+".name", from.Kind, from.Name, err)
	case !o.found && from.Optional:
		return nil
	case !o.found:
		return r.objects.absent(field+".name", from.Kind, from.Name, field+".optional: true")
	}
	if from.Keys == nil {
		for _, key := range slices.Sorted(maps.Keys(o.data)) {
			if err := addSetting(field, o, key, settings); err != nil {
				return err
			}
		}
		return nil
	}
	for i, key := range from.Keys {
		if err := addSetting(fmt.Sprintf("%s.keys[%d]", field, i), o, key, settings); err != nil {
			return err
		}
	}
	return nil
}

func addSetting(field string, o *object, key string, settings map[string]Setting) error {
	data, ok := o.data[key]
	if !ok {
		return fail(field, "%s has no key %q; %s", o, key, o.keys())
	}
	if !hclsyntax.ValidIdentifier(key) {
		return fail(field, "key %q of %s can't be the name of a backend setting; name the keys to take in keys", key, o)
	}
	text, err := o.text(field, key, data)
	if err != nil {
		return err
	}
	settings[key] = Setting{Name: key, Value: text, Secret: o.kind == kindSecret}
	return nil
}
