package inputs

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// keyRef is what secretKeyRef and configMapKeyRef have in common.
type keyRef struct {
	field, kind, name, key string
	optional               bool
}

// addValueFrom sets the variable to the text of one key. As in a pod's env, optional excuses an absent object and
// an absent key; the variable then has no value.
func (v *variables) addValueFrom(ctx context.Context, field string, from *v1alpha2.Variable) error {
	ref, err := onlyKeyRef(field, from.ValueFrom)
	if err != nil {
		return err
	}
	o, err := v.objects.get(ctx, ref.kind, ref.name)
	if err != nil {
		return v.objects.explain(ref.field+".name", ref.kind, ref.name, err)
	}
	if _, ok := o.data[ref.key]; !ok && ref.optional {
		return nil
	}
	if !o.found {
		return v.objects.absent(ref.field+".name", ref.kind, ref.name, ref.field+".optional: true")
	}
	return v.addKey(ref.field+".key", o, ref.key, from.Name)
}

// onlyKeyRef is the one reference to a key in from; anything else is an error.
func onlyKeyRef(field string, from *corev1.EnvVarSource) (*keyRef, error) {
	var refs []*keyRef
	if s := from.SecretKeyRef; s != nil {
		refs = append(refs, &keyRef{field + ".secretKeyRef", kindSecret, s.Name, s.Key, ptr.Deref(s.Optional, false)})
	}
	if s := from.ConfigMapKeyRef; s != nil {
		refs = append(refs, &keyRef{field + ".configMapKeyRef", kindConfigMap, s.Name, s.Key, ptr.Deref(s.Optional, false)})
	}
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"fieldRef", from.FieldRef != nil},
		{"resourceFieldRef", from.ResourceFieldRef != nil},
		{"fileKeyRef", from.FileKeyRef != nil},
	} {
		if other.set {
			return nil, fail(field+"."+other.name, "a variable can't be taken from there; use secretKeyRef or configMapKeyRef")
		}
	}
	if len(refs) != 1 {
		return nil, fail(field, "give exactly one of secretKeyRef and configMapKeyRef")
	}
	if ref := refs[0]; ref.name == "" || ref.key == "" {
		return nil, fail(ref.field, "name and key are both needed")
	}
	return refs[0], nil
}
