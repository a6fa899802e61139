// Package inputs reads what a run is given: the variables file, from spec.values, spec.vars and spec.varsFrom, and files and
// settings from Secrets.
package inputs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Result is what the inputs of a run come to.
type Result struct {
	// File is the content of generated.auto.tfvars.json: one JSON object, keys sorted, `{}` without variables.
	File []byte

	// Read are the objects that were looked at, each once, in the order of the spec. An optional object that is
	// absent has neither UID nor resourceVersion.
	Read []v1alpha2.InputReference

	// Secrets are the values in File that come from Secrets: never empty ones, each once, longer ones first, so
	// that redaction in this order leaves no rest of a value that holds another.
	Secrets []string
}

// Error says which field can't be fulfilled. Its text names field, value and remedy, and no value of a Secret.
type Error struct {
	// Field is the path in the object, like spec.varsFrom[1].varsKeys[0].
	Field string
	// Message is the whole text, beginning with Field.
	Message string
	// Err is the API server's error, when there is one.
	Err error
}

// Error is Message.
func (e *Error) Error() string { return e.Message }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

func fail(field, format string, args ...any) *Error {
	return &Error{Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// Read collects the variables of spec with the rights of c, values first, then vars, then varsFrom in order, later ones over
// earlier ones (contract 1.2 and 4.7). Values of vars are copied as they are, those of varsFrom and valueFrom are
// strings. Every error is an *Error.
func Read(ctx context.Context, c client.Reader, namespace string, spec *v1alpha2.TerraformSpec) (*Result, error) {
	v := variables{
		objects: objects{reader: c, namespace: namespace, known: map[string]*object{}},
		values:  map[string]value{},
	}
	if err := v.addValues(ctx, spec); err != nil {
		return nil, err
	}
	for i := range spec.Vars {
		if err := v.addVar(ctx, fmt.Sprintf("spec.vars[%d]", i), &spec.Vars[i]); err != nil {
			return nil, err
		}
	}
	for i := range spec.VarsFrom {
		if err := v.addFrom(ctx, fmt.Sprintf("spec.varsFrom[%d]", i), &spec.VarsFrom[i]); err != nil {
			return nil, err
		}
	}
	file, err := v.file()
	if err != nil {
		return nil, err
	}
	return &Result{File: file, Read: v.objects.order, Secrets: v.secrets()}, nil
}

// value is one variable's value.
type value struct {
	json json.RawMessage
	// secret is the clear text when it comes from a Secret.
	secret string
	field  string
}

type variables struct {
	objects objects
	values  map[string]value
	// more values from Secrets, and what was made of them.
	more []string
}

func (v *variables) addVar(ctx context.Context, field string, from *v1alpha2.Variable) error {
	if !hclsyntax.ValidIdentifier(from.Name) {
		return invalidName(field+".name", from.Name)
	}
	switch {
	case from.Value != nil && from.ValueFrom != nil:
		return fail(field, "variable %q has both value and valueFrom; leave one of them out", from.Name)
	case from.ValueFrom != nil:
		return v.addValueFrom(ctx, field+".valueFrom", from)
	case from.Value == nil || len(from.Value.Raw) == 0:
		v.values[from.Name] = value{json: json.RawMessage("null"), field: field}
	default:
		v.values[from.Name] = value{json: json.RawMessage(from.Value.Raw), field: field + ".value"}
	}
	return nil
}

// addFrom takes keys of one object. A key that was not asked for by name and can't be the name of a variable is
// left out: the engine would only warn of it.
func (v *variables) addFrom(ctx context.Context, field string, from *v1alpha2.VarsReference) error {
	if from.Kind != kindSecret && from.Kind != kindConfigMap {
		return fail(field+".kind", "%q is no kind to take variables from; use Secret or ConfigMap", from.Kind)
	}
	o, err := v.objects.get(ctx, from.Kind, from.Name)
	if err != nil {
		return v.objects.explain(field+".name", from.Kind, from.Name, err)
	}
	if !o.found {
		if from.Optional {
			return nil
		}
		return v.objects.absent(field+".name", from.Kind, from.Name, field+".optional: true")
	}
	if from.VarsKeys == nil {
		for _, key := range slices.Sorted(maps.Keys(o.data)) {
			if !hclsyntax.ValidIdentifier(key) {
				continue
			}
			if err := v.addKey(field, o, key, key); err != nil {
				return err
			}
		}
		return nil
	}
	for i, item := range from.VarsKeys {
		itemField := fmt.Sprintf("%s.varsKeys[%d]", field, i)
		key, name, err := splitItem(itemField, item)
		if err != nil {
			return err
		}
		if err := v.addKey(itemField, o, key, name); err != nil {
			return err
		}
	}
	return nil
}

// splitItem takes `key` or `key:variable` apart.
func splitItem(field, item string) (key, name string, err error) {
	key, name, renamed := strings.Cut(item, ":")
	if !renamed {
		name = key
	}
	if key == "" || name == "" || strings.Contains(name, ":") {
		return "", "", fail(field, "%q is neither `key` nor `key:variable`", item)
	}
	if !hclsyntax.ValidIdentifier(name) {
		return "", "", invalidName(field, name)
	}
	return key, name, nil
}

// addKey sets variable name to the text of a key.
func (v *variables) addKey(field string, o *object, key, name string) error {
	data, ok := o.data[key]
	if !ok {
		return fail(field, "%s has no key %q; %s", o, key, o.keys())
	}
	text, err := o.text(field, key, data)
	if err != nil {
		return err
	}
	encoded, err := encode(text)
	if err != nil {
		return fail(field, "key %q of %s: %v", key, o, err)
	}
	val := value{json: encoded, field: field}
	if o.kind == kindSecret {
		val.secret = text
	}
	v.values[name] = val
	return nil
}

// file is the variables file. Raw JSON stays as it is, so that large numbers keep their digits.
func (v *variables) file() ([]byte, error) {
	raw := make(map[string]json.RawMessage, len(v.values))
	for name, val := range v.values {
		if !json.Valid(val.json) {
			return nil, fail(val.field, "the value of variable %q is no JSON", name)
		}
		raw[name] = val.json
	}
	return encode(raw)
}

// secrets are the values to redact.
func (v *variables) secrets() []string {
	set := map[string]bool{}
	for _, val := range v.values {
		if val.secret != "" {
			set[val.secret] = true
		}
	}
	for _, text := range v.more {
		if text != "" {
			set[text] = true
		}
	}
	list := slices.Sorted(maps.Keys(set))
	slices.SortStableFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func invalidName(field, name string) *Error {
	return fail(field, "%q can't be the name of a variable; names have letters, digits, _ and -, and begin with a letter or _", name)
}
