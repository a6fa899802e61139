package inputs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

const (
	valuesField    = "spec.values"
	valuesVariable = "values"
	inputsField    = "spec.readInputsFromSecrets"
	typeSuffix     = "__type"

	valuesLeft, valuesRight = "${{", "}}"
)

// addValues makes the variable "values" of spec.values, whose texts may be templates over spec.readInputsFromSecrets.
func (v *variables) addValues(ctx context.Context, spec *v1alpha2.TerraformSpec) error {
	known := map[string]any{}
	for i := range spec.ReadInputsFromSecrets {
		from := &spec.ReadInputsFromSecrets[i]
		if err := v.readInput(ctx, fmt.Sprintf("%s[%d]", inputsField, i), from, known); err != nil {
			return err
		}
	}
	if spec.Values == nil || len(spec.Values.Raw) == 0 {
		return nil
	}
	if !strings.Contains(string(spec.Values.Raw), valuesLeft) {
		v.values[valuesVariable] = value{json: spec.Values.Raw, field: valuesField}
		return nil
	}
	decoded, err := decodeExact(spec.Values.Raw)
	if err != nil {
		return fail(valuesField, "it is no JSON: %v", err)
	}
	rendered, err := v.renderAll(valuesField, decoded, known)
	if err != nil {
		return err
	}
	encoded, err := encode(rendered)
	if err != nil {
		return fail(valuesField, "it can't be encoded: %v", err)
	}
	v.values[valuesVariable] = value{json: encoded, field: valuesField}
	return nil
}

// readInput reads the outputs that another object has written.
func (v *variables) readInput(ctx context.Context, field string, from *v1alpha2.ReadInputsFromSecretSpec, known map[string]any) error {
	if !hclsyntax.ValidIdentifier(from.As) || strings.Contains(from.As, "-") {
		return fail(field+".as", "%q can't be a name in templates; names have letters, digits and _, and begin with a letter or _", from.As)
	}
	if _, twice := known[from.As]; twice {
		return fail(field+".as", "%q is the name of an earlier entry, too", from.As)
	}
	o, err := v.objects.get(ctx, kindSecret, from.Name)
	if err != nil {
		return v.objects.explain(field+".name", kindSecret, from.Name, err)
	}
	if !o.found {
		return fail(field+".name", "Secret %q does not exist; an object that writes its outputs there makes it, and can be waited for by spec.dependsOn",
			v.objects.namespace+"/"+from.Name)
	}
	read := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(o.data)) {
		if strings.HasSuffix(key, typeSuffix) {
			continue
		}
		if err := v.readKey(field, o, key, read); err != nil {
			return err
		}
	}
	known[from.As] = read
	return nil
}

// readKey decodes what has a type beside it; anything else is text. What is no text is left out.
func (v *variables) readKey(field string, o *object, key string, read map[string]any) error {
	data := o.data[key]
	if _, typed := o.data[key+typeSuffix]; typed {
		decoded, err := decodeExact(data)
		if err != nil {
			return fail(field, "key %q of %s is no JSON, though there is a key %q", key, o, key+typeSuffix)
		}
		read[key] = decoded
		v.more = append(v.more, textsIn(decoded)...)
		return nil
	}
	if utf8.Valid(data) && !slices.Contains(data, 0) {
		read[key] = string(data)
		v.more = append(v.more, string(data))
	}
	return nil
}

// textsIn are the texts in a value, at any depth.
func textsIn(v any) []string {
	var found []string
	switch v := v.(type) {
	case string:
		found = append(found, v)
	case []any:
		for _, item := range v {
			found = append(found, textsIn(item)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = append(found, textsIn(v[key])...)
		}
	}
	return found
}

// renderAll renders the texts in a decoded value, at any depth, and the keys.
func (v *variables) renderAll(field string, from any, known map[string]any) (any, error) {
	switch from := from.(type) {
	case string:
		return v.renderText(field, from, known)
	case []any:
		list := make([]any, 0, len(from))
		for i := range from {
			item, err := v.renderAll(fmt.Sprintf("%s[%d]", field, i), from[i], known)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	case map[string]any:
		return v.renderMap(field, from, known)
	}
	return from, nil
}

func (v *variables) renderMap(field string, from, known map[string]any) (any, error) {
	rendered := make(map[string]any, len(from))
	for _, key := range slices.Sorted(maps.Keys(from)) {
		at := field + "." + key
		name, err := v.renderText(at, key, known)
		if err != nil {
			return nil, err
		}
		text, ok := name.(string)
		if !ok {
			return nil, fail(at, "a key has to be text")
		}
		if _, twice := rendered[text]; twice {
			return nil, fail(at, "the key is the same as another one, when it is rendered")
		}
		if rendered[text], err = v.renderAll(at, from[key], known); err != nil {
			return nil, err
		}
	}
	return rendered, nil
}

// renderText renders one text. A template that is nothing but one list or map is that, anything else is text: what stands in
// an input can't become more than one value.
func (v *variables) renderText(field, from string, known map[string]any) (any, error) {
	if !strings.Contains(from, valuesLeft) {
		return from, nil
	}
	t, err := parseText(field, valuesLeft, valuesRight, from, "missingkey=error")
	if err != nil {
		return nil, fail(field, "%v", err)
	}
	text, err := t.render(known)
	if err != nil {
		secrets := v.secrets()
		return nil, fail(field, "%s; %s", plan.Redact(err.Error(), slices.Concat(secrets, Parts(secrets))), describeInputs(known))
	}
	if text != from {
		v.more = append(v.more, text)
	}
	if t.single() && structured(t.last) {
		return t.last, nil
	}
	return text, nil
}

// describeInputs names what templates can use.
func describeInputs(known map[string]any) string {
	if len(known) == 0 {
		return inputsField + " names no Secret"
	}
	var all []string
	for _, as := range slices.Sorted(maps.Keys(known)) {
		keys, _ := known[as].(map[string]any)
		names := slices.Sorted(maps.Keys(keys))
		if more := len(names) - maxKeysNamed; more > 0 {
			names = append(names[:maxKeysNamed], fmt.Sprintf("%d more", more))
		}
		all = append(all, fmt.Sprintf(".%s has %s", as, strings.Join(names, ", ")))
	}
	return "there are: " + strings.Join(all, "; ")
}

// RenderModule renders a template of a module over the variables file: each variable by its name, and .Values, which is the
// variable "values". The name is that of the file.
func RenderModule(name string, content, variablesFile []byte, secrets func(string) string) ([]byte, error) {
	decoded, err := decodeExact(variablesFile)
	if err != nil {
		return nil, fmt.Errorf("decode the variables: %w", err)
	}
	data, _ := decoded.(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	data["Values"] = data[valuesVariable]
	t, err := parseText(name, "", "", string(content))
	if err != nil {
		return nil, err
	}
	text, err := t.render(data)
	if err != nil {
		return nil, fmt.Errorf("%s", secrets(err.Error()))
	}
	return []byte(text), nil
}
