package outputs_test

import (
	"encoding/json"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// owner is an object that wants these items in Secret "out".
func owner(namespace string, items ...string) *v1alpha2.Terraform {
	return &v1alpha2.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "network", UID: "uid-1"},
		Spec:       v1alpha2.TerraformSpec{WriteOutputsToSecret: &v1alpha2.WriteOutputsToSecretSpec{Name: "out", Outputs: items}},
	}
}

func value(typ, json string) outputs.Value {
	return outputs.Value{Type: []byte(typ), Value: []byte(json)}
}

// module are outputs as `output -json` prints them, indentation and all.
var module = map[string]outputs.Value{
	"vpc_id":  value(`"string"`, `"vpc-1<&>\n"`),
	"count":   value(`"number"`, `12345678901234567890`),
	"private": value(`"bool"`, `true`),
	"zones":   value("[\n      \"list\",\n      \"string\"\n    ]", "[\n      \"a\",\n      \"b\"\n    ]"),
}

func TestSecret_HasTheFormatThatOthersRead(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToSecret.outputs", "outputs.selection", "outputs.string", "outputs.typed", "outputs.none",
		"use.outputs-to-a-secret", "weak.10",
	)
	none := owner("team-a")
	none.Spec.WriteOutputsToSecret = nil
	destroy := owner("team-a")
	destroy.Spec.Destroy = true
	for _, tc := range []struct {
		name, reason string
		owner        *v1alpha2.Terraform
		outputs      map[string]outputs.Value
		data         map[string]string
	}{
		{name: "all", reason: "strings are bytes, the rest is JSON as it was printed, with its type", owner: owner("team-a"), outputs: module, data: map[string]string{
			"vpc_id": "vpc-1<&>\n",
			"count":  "12345678901234567890", "count__type": `"number"`,
			"private": "true", "private__type": `"bool"`,
			"zones": "[\n      \"a\",\n      \"b\"\n    ]", "zones__type": "[\n      \"list\",\n      \"string\"\n    ]",
		}},
		{name: "chosen", reason: "the part after the first colon is the key", owner: owner("team-a", "vpc_id:VPC.id", "private", "vpc_id"), outputs: module, data: map[string]string{
			"VPC.id": "vpc-1<&>\n", "vpc_id": "vpc-1<&>\n", "private": "true", "private__type": `"bool"`,
		}},
		{name: "renamed with its type", reason: "the type goes where the value goes", owner: owner("team-a", "private:p"), outputs: module,
			data: map[string]string{"p": "true", "p__type": `"bool"`}},
		{name: "null", reason: "nothing is nothing, not the word null", owner: owner("team-a"), outputs: map[string]outputs.Value{"a": value(`"string"`, `null`)}, data: map[string]string{"a": ""}},
		{name: "not asked for", reason: "without the field there is no Secret", owner: none, outputs: module},
		{name: "no outputs", reason: "not an error, also when some are named", owner: owner("team-a", "vpc_id")},
		{name: "destroy", reason: "outputs of what is going away are not written", owner: destroy, outputs: module},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			before := tc.owner.DeepCopy()
			secret, err := outputs.Secret(tc.owner, tc.outputs)
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(tc.owner).To(Equal(before), "the object is only read")
			if tc.data == nil {
				g.Expect(secret).To(BeNil(), tc.reason)
				return
			}
			got := map[string]string{}
			for key, content := range secret.Data {
				got[key] = string(content)
			}
			g.Expect(got).To(Equal(tc.data), tc.reason)
		})
	}
}

func TestSecret_CarriesWhatTheSpecSays(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToSecret.labels", "spec.writeOutputsToSecret.annotations", "outputs.secret",
		"use.outputs-to-a-secret",
	)
	g := NewWithT(t)
	o := owner("team-a")
	o.Spec.WriteOutputsToSecret.Labels = map[string]string{"l": "1"}
	o.Spec.WriteOutputsToSecret.Annotations = map[string]string{"a": "2"}
	secret, err := outputs.Secret(o, module)
	g.Expect(err).NotTo(HaveOccurred())
	yes := true
	g.Expect(secret.ObjectMeta).To(Equal(metav1.ObjectMeta{
		Namespace: "team-a", Name: "out", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: "network", UID: "uid-1", Controller: &yes}},
	}))
	g.Expect(secret.Type).To(Equal(corev1.SecretTypeOpaque))
	secret.Labels["l"] = "changed"
	g.Expect(o.Spec.WriteOutputsToSecret.Labels).To(HaveKeyWithValue("l", "1"), "the maps are not shared")
}

func TestSecret_SaysWhichFieldAndWhatToDo(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToSecret.outputs", "condition.Ready=False/OutputsWritingFailed", "outputs.unknown")
	secretive := map[string]outputs.Value{"a": value(`"string"`, `{"hidden":1}`)}
	for _, tc := range []struct {
		name, field, message string
		items                []string
		outputs              map[string]outputs.Value
	}{
		{"unknown output", "spec.writeOutputsToSecret.outputs[1]", `the module has no output "vpcid"; its outputs are count, private, vpc_id, zones`, []string{"count", "vpcid:x"}, module},
		{"no key", "spec.writeOutputsToSecret.outputs[0]", "\"count:\" is neither `output` nor `output:key`", []string{"count:"}, module},
		{"no output", "spec.writeOutputsToSecret.outputs[0]", "\":x\" is neither `output` nor `output:key`", []string{":x"}, module},
		{"a key that Secrets can't have", "spec.writeOutputsToSecret.outputs[0]",
			`output "count" can't be written under "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', ` +
				"regex used for validation is '[-._a-zA-Z0-9]+'); write `output:key` with another key", []string{"count:a/b"}, module},
		{"two under one key", "spec.writeOutputsToSecret.outputs[1]",
			"outputs \"count\" and \"zones\" would both be written under \"x\"; write `output:key` with another key for one of them", []string{"count:x", "zones:x"}, module},
		{"an output named like a type", "spec.writeOutputsToSecret.outputs",
			"outputs \"a\" and \"a__type\" would both be written under \"a__type\"; write `output:key` with another key for one of them", nil,
			map[string]outputs.Value{"a": value(`"bool"`, `true`), "a__type": value(`"string"`, `"x"`)}},
		{"a value that is not of its type", "spec.writeOutputsToSecret.outputs", `output "a" is not what its type says`, nil, secretive},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := outputs.Secret(owner("team-a", tc.items...), tc.outputs)
			var e *outputs.Error
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Field).To(Equal(tc.field))
			g.Expect(e.Message).To(Equal(tc.field + ": " + tc.message))
		})
	}
}

func TestValue_ReadsWhatTheEnginePrints(t *testing.T) {
	compat.Shows(t, "outputs.typed")
	g := NewWithT(t)
	printed := "{\n  \"zones\": {\n    \"sensitive\": true,\n    \"type\": [\n      \"list\",\n      \"string\"\n    ],\n    \"value\": [\n      \"a\"\n    ]\n  }\n}\n"
	var got map[string]outputs.Value
	g.Expect(json.Unmarshal([]byte(printed), &got)).To(Succeed())
	g.Expect(got).To(Equal(map[string]outputs.Value{"zones": {
		Sensitive: true, Type: []byte("[\n      \"list\",\n      \"string\"\n    ]"), Value: []byte("[\n      \"a\"\n    ]"),
	}}))
}
