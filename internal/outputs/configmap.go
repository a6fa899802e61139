package outputs

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// ConfigMap makes the ConfigMap of spec.writeOutputsToConfigMap: a string as it is, anything else as JSON in one line. It is
// nil when there is nothing to write, as with Secret. Sensitive outputs are never in it: withheld names those that were left
// out, and one that the spec asks for is an *Error.
func ConfigMap(owner *v1alpha2.Terraform, outputs map[string]Value) (made *corev1.ConfigMap, withheld []string, err error) {
	want := owner.Spec.WriteOutputsToConfigMap
	if want == nil || len(outputs) == 0 || owner.Spec.Destroy {
		return nil, nil, nil
	}
	chosen, err := choose(configMapField+".outputs", want.Outputs, outputs)
	if err != nil {
		return nil, nil, err
	}
	data, taken := map[string]string{}, keys{}
	for _, c := range chosen {
		value := outputs[c.output]
		if value.Sensitive && len(want.Outputs) == 0 {
			withheld = append(withheld, c.output)
			continue
		}
		if value.Sensitive {
			return nil, nil, fail(c.field, "output %q is sensitive, and never written to a ConfigMap; use %s for it", c.output, secretField)
		}
		if err := taken.take(c, c.key); err != nil {
			return nil, nil, err
		}
		if data[c.key], err = oneLine(value); err != nil {
			return nil, nil, fail(c.field, "output %q is not what its type says", c.output)
		}
	}
	return &corev1.ConfigMap{ObjectMeta: objectMeta(owner, want.Name, want.Labels, want.Annotations), Data: data}, withheld, nil
}

// oneLine: JSON is printed in many, and whoever substitutes a variable wants one.
func oneLine(value Value) (string, error) {
	text, isString, err := stringValue(value)
	if err != nil || isString {
		return text, err
	}
	var b bytes.Buffer
	err = json.Compact(&b, value.Value)
	return b.String(), err
}

// WriteConfigMap is Write for the ConfigMap that ConfigMap makes.
func WriteConfigMap(
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, outputs map[string]Value,
) (keys, withheld []string, err error) {
	want, withheld, err := ConfigMap(owner, outputs)
	if err != nil || want == nil {
		return nil, nil, err
	}
	_, err = put(ctx, c, owner, configMapKind, want, func(have *corev1.ConfigMap) { have.Data, have.BinaryData = want.Data, nil })
	if err != nil {
		return nil, nil, err
	}
	return slices.Sorted(maps.Keys(want.Data)), withheld, nil
}
