package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	tfjson "github.com/hashicorp/terraform-json"
)

// maxPublic bounds a plan in JSON, in bytes, before it is packed.
const maxPublic = 8 << 20

// Public is the plan in the engine's own JSON format, without secrets, packed in at most limit bytes; Unpack reads it.
//
// What is marked sensitive, on either side of a change, is hidden as a whole, whatever its type; what repeats such a value,
// or what hide knows, is hidden in texts and numbers. Type, name, provider and actions of a resource are left as they are: who
// judges a plan goes by them. Left out are the configuration, which has secrets in clear that nothing marks, and the prior
// state, whose values are those before the change.
//
// A plan that is too large loses values, and has a text "truncated" at its top that says which.
func Public(p *tfjson.Plan, hide func(string) string, limit int) ([]byte, error) {
	document, err := publicDocument(p)
	if err != nil {
		return nil, err
	}
	v := veil{hide: hide}
	document = v.coverObject(document)
	for _, shrink := range []func(map[string]any){asItIs, withoutCopies, withoutValues, withoutChanges} {
		shrink(document)
		packed, err := pack(document)
		if err != nil {
			return nil, err
		}
		if packed != nil && len(packed) <= limit {
			return packed, nil
		}
	}
	return nil, fmt.Errorf("a plan does not fit in %d bytes", limit)
}

// publicDocument is what is shown of a plan, as generic JSON.
func publicDocument(p *tfjson.Plan) (map[string]any, error) {
	shown := *p
	shown.Config, shown.PriorState, shown.Checks = nil, nil, nil
	shown.Variables = map[string]*tfjson.PlanVariable{}
	for name, variable := range p.Variables {
		if sensitiveVariable(p, name) {
			variable = &tfjson.PlanVariable{Value: hiddenText}
		}
		shown.Variables[name] = variable
	}
	data, err := json.Marshal(&shown)
	if err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("decode the plan: %w", err)
	}
	return document, nil
}

func sensitiveVariable(p *tfjson.Plan, name string) bool {
	if p.Config == nil || p.Config.RootModule == nil {
		return false
	}
	declared := p.Config.RootModule.Variables[name]
	return declared != nil && declared.Sensitive
}

// veil hides what is secret in a document.
type veil struct{ hide func(string) string }

// judged are the parts of a resource or change that are never hidden: they name no values.
var judged = []string{"type", "name", "mode", "provider_name", "actions", "action_reason", "format_version", "terraform_version"}

// cover goes through the structure of a plan down to its values.
func (v veil) cover(node any) any {
	switch n := node.(type) {
	case map[string]any:
		return v.coverObject(n)
	case []any:
		covered := make([]any, len(n))
		for i := range n {
			covered[i] = v.cover(n[i])
		}
		return covered
	}
	return v.value(node, nil)
}

func (v veil) coverObject(n map[string]any) map[string]any {
	inner, covered := v.inside(n), make(map[string]any, len(n))
	for key, item := range n {
		switch {
		case slices.Contains(judged, key):
			covered[key] = item
		case slices.Contains(named, key):
			covered[key] = inner.coverNamed(item)
		case slices.Contains(valued, key):
			covered[key] = inner.value(item, marksOf(n, key))
		default:
			covered[key] = inner.cover(item)
		}
	}
	return covered
}

// coverNamed is for an object whose keys are names that users have given: none of them says what is below it.
func (v veil) coverNamed(node any) any {
	list, ok := node.(map[string]any)
	if !ok {
		return v.value(node, nil)
	}
	covered := make(map[string]any, len(list))
	for name, item := range list {
		covered[v.hide(name)] = v.cover(item)
	}
	return covered
}

// named are the parts whose keys are names of variables and outputs.
var named = []string{"variables", "outputs", "output_changes"}

// valued are the parts that hold values of users, with keys of users, or marks of the same shape.
var valued = []string{
	"before", "after", "values", "config_values", "value", "identity", "before_identity", "after_identity", "attribute",
	"before_sensitive", "after_sensitive", "after_unknown", "sensitive_values", "config_sensitive", "config_unknown",
}

// marksOf are the marks of a value: of a change, those of both of its sides.
func marksOf(n map[string]any, key string) any {
	switch key {
	case "before", "after":
		return union(n["before_sensitive"], n["after_sensitive"])
	case "values":
		return n["sensitive_values"]
	case "config_values":
		return n["config_sensitive"]
	case "value":
		return n["sensitive"]
	}
	return nil
}

// inside is the veil for the parts of a change: it knows the shorter secrets of that change as well.
func (v veil) inside(n map[string]any) veil {
	own := secretSet{}
	for _, key := range valued {
		if marks := marksOf(n, key); marksAny(marks) {
			own.add(n[key], marks)
		}
	}
	if len(own) == 0 {
		return v
	}
	redact, outer := newRedactor(slices.Collect(maps.Keys(own))).redact, v.hide
	return veil{hide: func(s string) string { return redact(outer(s)) }}
}

func (v veil) value(value, marks any) any {
	if value != nil && hides(marks, value) {
		return hiddenText
	}
	switch x := value.(type) {
	case map[string]any:
		covered := make(map[string]any, len(x))
		for key, item := range x {
			covered[v.hide(key)] = v.value(item, under(marks, key))
		}
		return covered
	case []any:
		covered := make([]any, len(x))
		for i := range x {
			covered[i] = v.value(x[i], at(marks, i))
		}
		return covered
	case string:
		return v.hide(x)
	case json.Number:
		if v.hide(x.String()) != x.String() {
			return mask
		}
	}
	return value
}

// truncated is the key of the text that says what a large plan lacks.
const truncated = "truncated"

func asItIs(map[string]any) {}

func withoutCopies(document map[string]any) {
	for _, key := range []string{"planned_values", "resource_drift", "relevant_attributes"} {
		delete(document, key)
	}
	document[truncated] = "the plan is too large: planned_values, resource_drift and relevant_attributes are left out"
}

func withoutValues(document map[string]any) {
	for _, key := range []string{"deferred_changes", "action_invocations", "variables"} {
		delete(document, key)
	}
	list, _ := document["resource_changes"].([]any)
	for _, item := range list {
		if resource, ok := item.(map[string]any); ok {
			resource["change"] = actionsOf(resource["change"])
		}
	}
	outputs, _ := document["output_changes"].(map[string]any)
	for name := range outputs {
		outputs[name] = actionsOf(outputs[name])
	}
	document[truncated] = "the plan is too large: all values are left out, changes have their actions only"
}

func actionsOf(change any) any {
	c, _ := change.(map[string]any)
	return map[string]any{"actions": c["actions"]}
}

func withoutChanges(document map[string]any) {
	list, _ := document["resource_changes"].([]any)
	for key := range document {
		if key != "format_version" && key != "terraform_version" {
			delete(document, key)
		}
	}
	document[truncated] = fmt.Sprintf("the plan is too large: its %s left out", plural(len(list), "change is", "changes are"))
}

// pack compresses a document; nil when that is too large to be read again.
func pack(document map[string]any) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	if len(data) > maxPublic {
		return nil, nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("pack the plan: %w", err)
	}
	return packed.Bytes(), nil
}

// Unpack is the JSON that Public has packed. It does not trust who hands it over.
func Unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the plan: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxPublic+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack the plan: %w", err)
	case len(data) > maxPublic:
		return nil, fmt.Errorf("unpack the plan: it is larger than %d bytes", maxPublic)
	case !json.Valid(data):
		return nil, errors.New("unpack the plan: it is no JSON")
	}
	return data, nil
}
