// Package outputs writes the outputs of a module into the Secret of spec.writeOutputsToSecret, and those that are not
// sensitive into the ConfigMap of spec.writeOutputsToConfigMap.
package outputs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	secretField    = "spec.writeOutputsToSecret"
	configMapField = "spec.writeOutputsToConfigMap"

	// typeSuffix marks the key that holds the type of an output that is no string.
	typeSuffix = "__type"
)

// Value is one output as `output -json` prints it.
type Value struct {
	Sensitive bool `json:"sensitive"`
	// Type is a cty type, like "string" or ["list","string"].
	Type json.RawMessage `json:"type"`
	// Value is the value as JSON.
	Value json.RawMessage `json:"value"`
}

// Error says which field can't be fulfilled. Its text names field, value and remedy, and no output's value.
type Error struct {
	// Field is the path in the object, like spec.writeOutputsToSecret.outputs[1].
	Field string
	// Message is the whole text, beginning with Field.
	Message string
}

// Error is Message.
func (e *Error) Error() string { return e.Message }

func fail(field, format string, args ...any) *Error {
	return &Error{Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// Secret makes the Secret of spec.writeOutputsToSecret (contract 3.9): a string as its bytes under its name; anything
// else as the JSON that the engine printed, with its type under <key>__type. It is nil when there is nothing to write:
// no such field, no outputs, or spec.destroy. Errors are *Error; owner is only read.
func Secret(owner *v1alpha2.Terraform, outputs map[string]Value) (*corev1.Secret, error) {
	want := owner.Spec.WriteOutputsToSecret
	if want == nil || len(outputs) == 0 || owner.Spec.Destroy {
		return nil, nil
	}
	chosen, err := choose(secretField+".outputs", want.Outputs, outputs)
	if err != nil {
		return nil, err
	}
	data, err := encode(chosen, outputs)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: objectMeta(owner, want.Name, want.Labels, want.Annotations),
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}, nil
}

func objectMeta(owner *v1alpha2.Terraform, name string, labels, annotations map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       owner.Namespace,
		Name:            name,
		Labels:          maps.Clone(labels),
		Annotations:     maps.Clone(annotations),
		OwnerReferences: []metav1.OwnerReference{ownerReference(owner)},
	}
}

func ownerReference(owner *v1alpha2.Terraform) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha2.GroupVersion.String(),
		Kind:       v1alpha2.TerraformKind,
		Name:       owner.Name,
		UID:        owner.UID,
		Controller: ptr.To(true),
	}
}

// choice is an output and the key it goes under.
type choice struct{ field, output, key string }

// choose reads the items under a field, each `output` or `output:key`; no items choose all outputs.
func choose(path string, items []string, outputs map[string]Value) ([]choice, error) {
	names := slices.Sorted(maps.Keys(outputs))
	var chosen []choice
	if len(items) == 0 {
		for _, name := range names {
			chosen = append(chosen, choice{path, name, name})
		}
		return chosen, nil
	}
	for i, item := range items {
		field := fmt.Sprintf("%s[%d]", path, i)
		output, key, renamed := strings.Cut(item, ":")
		if !renamed {
			key = output
		}
		if output == "" || key == "" {
			return nil, fail(field, "%q is neither `output` nor `output:key`", item)
		}
		if _, ok := outputs[output]; !ok {
			return nil, fail(field, "the module has no output %q; its outputs are %s", output, strings.Join(names, ", "))
		}
		chosen = append(chosen, choice{field, output, key})
	}
	return chosen, nil
}

// keys are those that are taken, each by an output. No two outputs may go under one key.
type keys map[string]string

func (taken keys) take(c choice, key string) error {
	if reasons := validation.IsConfigMapKey(key); len(reasons) > 0 {
		return fail(c.field, "output %q can't be written under %q: %s; write `output:key` with another key", c.output, key, strings.Join(reasons, ", "))
	}
	if other, found := taken[key]; found {
		return fail(c.field, "outputs %q and %q would both be written under %q; write `output:key` with another key for one of them", other, c.output, key)
	}
	taken[key] = c.output
	return nil
}

// encode makes the data of the Secret.
func encode(chosen []choice, outputs map[string]Value) (map[string][]byte, error) {
	data := map[string][]byte{}
	taken := keys{}
	put := func(c choice, key string, content []byte) error {
		data[key] = content
		return taken.take(c, key)
	}
	for _, c := range chosen {
		value := outputs[c.output]
		text, isString, err := stringValue(value)
		if err != nil {
			return nil, fail(c.field, "output %q is not what its type says", c.output)
		}
		if isString {
			err = put(c, c.key, []byte(text))
		} else if err = put(c, c.key, bytes.Clone(value.Value)); err == nil {
			err = put(c, c.key+typeSuffix, bytes.Clone(value.Type))
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// stringValue is the text of an output of type string.
func stringValue(value Value) (text string, isString bool, err error) {
	if string(bytes.TrimSpace(value.Type)) != `"string"` {
		return "", false, nil
	}
	err = json.Unmarshal(value.Value, &text)
	return text, true, err
}

// Texts are all outputs as text, by name: a string as it is, anything else as JSON. What the outputs Secret has under other
// names is there under these, too.
func Texts(owner *v1alpha2.Terraform, outputs map[string]Value) (map[string]string, error) {
	texts := map[string]string{}
	for name, value := range outputs {
		text, isString, err := stringValue(value)
		switch {
		case err != nil:
			return nil, fmt.Errorf("output %q is not what its type says", name)
		case !isString:
			text = string(value.Value)
		}
		texts[name] = text
	}
	secret, err := Secret(owner, outputs)
	if err != nil || secret == nil {
		return texts, err
	}
	for key, content := range secret.Data {
		texts[key] = string(content)
	}
	return texts, nil
}
