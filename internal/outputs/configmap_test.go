package outputs_test

import (
	"errors"
	"maps"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// publisher is an object that wants these items in ConfigMap "out".
func publisher(namespace string, items ...string) *v1alpha2.Terraform {
	o := owner(namespace)
	o.Spec.WriteOutputsToSecret = nil
	o.Spec.WriteOutputsToConfigMap = &v1alpha2.WriteOutputsToConfigMapSpec{Name: "out", Outputs: items, Labels: map[string]string{"ours": "1"}}
	return o
}

// withSecret is the module with a sensitive output.
func withSecret() map[string]outputs.Value {
	all := maps.Clone(module)
	all["password"] = outputs.Value{Sensitive: true, Type: []byte(`"string"`), Value: []byte(`"correct-horse"`)}
	return all
}

func TestConfigMap_HasWhatIsNotSensitive(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToConfigMap")
	destroy := publisher("team-a")
	destroy.Spec.Destroy = true
	for name, tc := range map[string]struct {
		reason   string
		owner    *v1alpha2.Terraform
		outputs  map[string]outputs.Value
		data     map[string]string
		withheld []string
	}{
		"all": {"sensitive ones are named, not written", publisher("team-a"), withSecret(), map[string]string{
			"vpc_id": "vpc-1<&>\n", "count": "12345678901234567890", "private": "true", "zones": `["a","b"]`,
		}, []string{"password"}},
		"chosen":        {"those, under those names", publisher("team-a", "vpc_id:VPC", "zones"), withSecret(), map[string]string{"VPC": "vpc-1<&>\n", "zones": `["a","b"]`}, nil},
		"not asked for": {"without the field there is no ConfigMap", owner("team-a"), module, nil, nil},
		"no outputs":    {"not an error, also when some are named", publisher("team-a", "vpc_id"), nil, nil, nil},
		"destroy":       {"outputs of what is going away are not written", destroy, module, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := tc.owner.DeepCopy()
			got, withheld, err := outputs.ConfigMap(tc.owner, tc.outputs)
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(tc.owner).To(Equal(before), "the object is only read")
			g.Expect(withheld).To(Equal(tc.withheld), tc.reason)
			if tc.data == nil {
				g.Expect(got).To(BeNil(), tc.reason)
				return
			}
			g.Expect(got.Data).To(Equal(tc.data), tc.reason)
			g.Expect(got.Labels).To(Equal(map[string]string{"ours": "1"}))
		})
	}
}

func TestConfigMap_SaysWhichFieldAndWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct{ item, message string }{
		"sensitive": {"password:p", `output "password" is sensitive, and never written to a ConfigMap; use spec.writeOutputsToSecret for it`},
		"unknown":   {"nothing", `the module has no output "nothing"; its outputs are count, password, private, vpc_id, zones`},
		"no key":    {"count:", "\"count:\" is neither `output` nor `output:key`"},
		"twice":     {"zones:vpc_id", "outputs \"vpc_id\" and \"zones\" would both be written under \"vpc_id\"; write `output:key` with another key for one of them"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, _, err := outputs.ConfigMap(publisher("team-a", "vpc_id", tc.item), withSecret())
			var e *outputs.Error
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Message).To(Equal("spec.writeOutputsToConfigMap.outputs[1]: " + tc.message))
		})
	}
}

func TestWriteConfigMap_KeepsItAsItIsToBe(t *testing.T) {
	g := NewWithT(t)
	o := publisher(api.Namespace(t))
	key := client.ObjectKey{Namespace: o.Namespace, Name: "out"}
	written := func() *corev1.ConfigMap {
		made := &corev1.ConfigMap{}
		g.Expect(api.Client.Get(t.Context(), key, made)).To(Succeed())
		return made
	}
	write := func() {
		keys, withheld, err := outputs.WriteConfigMap(t.Context(), api.Client, o, withSecret())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(keys).To(Equal([]string{"count", "private", "vpc_id", "zones"}))
		g.Expect(withheld).To(Equal([]string{"password"}))
	}
	write()
	first := written()
	write()
	g.Expect(written().ResourceVersion).To(Equal(first.ResourceVersion), "nothing was written")

	edited := first.DeepCopy()
	edited.Data["vpc_id"], edited.Data["extra"] = "by hand", "x"
	edited.BinaryData = map[string][]byte{"more": {1}}
	edited.Labels["theirs"] = "2"
	g.Expect(api.Client.Update(t.Context(), edited)).To(Succeed())
	write()
	now := written()
	g.Expect(now.Data).To(Equal(first.Data), "a hand-made change is corrected")
	g.Expect(now.BinaryData).To(BeEmpty())
	g.Expect(now.Labels).To(Equal(map[string]string{"ours": "1", "theirs": "2"}))

	other := publisher(o.Namespace)
	other.Name = "another"
	_, _, err := outputs.WriteConfigMap(t.Context(), api.Client, other, module)
	g.Expect(err).To(MatchError(`spec.writeOutputsToConfigMap.name: ConfigMap "` + key.String() + `" belongs to Terraform "network"; choose another name`))
	g.Expect(outputs.Delete(t.Context(), api.Client, other)).To(Succeed())
	g.Expect(written().UID).To(Equal(first.UID), "it is not the other's to delete")

	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed())
	g.Expect(client.IgnoreNotFound(api.Client.Get(t.Context(), key, &corev1.ConfigMap{}))).To(Succeed())
	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed(), "it is gone already")
}

func TestTexts_AreForTemplates(t *testing.T) {
	g := NewWithT(t)
	o := owner("team-a", "vpc_id:VPC", "zones:z")
	texts, err := outputs.Texts(o, withSecret())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(texts).To(HaveKeyWithValue("vpc_id", "vpc-1<&>\n"))
	g.Expect(texts).To(HaveKeyWithValue("VPC", "vpc-1<&>\n"))
	g.Expect(texts).To(HaveKeyWithValue("private", "true"))
	g.Expect(texts).To(HaveKeyWithValue("password", "correct-horse"))
	g.Expect(texts).To(HaveKey("z__type"))
	o.Spec.WriteOutputsToSecret = nil
	texts, err = outputs.Texts(o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(texts).To(HaveLen(len(module)), "it needs no Secret")
}
