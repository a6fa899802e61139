package inputs_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const pem = "-----BEGIN KEY-----\nMIIB\"\\x\n-----END KEY-----\n"

// netOutputs are outputs as another object writes them.
func netOutputs(namespace string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "net-outputs"}, Data: map[string][]byte{
		"vpc-id": []byte("vpc-1"), "key": []byte(pem), "evil": []byte(`","injected":"x ${{ .net.big }} ${file("/etc/passwd")}`),
		"big": []byte("12345678901234567890"), "big__type": []byte(`"number"`),
		"million": []byte("1500000"), "million__type": []byte(`"number"`), "tenth": []byte("0.1"), "tenth__type": []byte(`"number"`),
		"zones": []byte(`["a", "b"]`), "zones__type": []byte(`["list","string"]`), "private": []byte("true"), "private__type": []byte(`"bool"`),
		"tags": []byte(`{"n": 12345678901234567890, "s": "<&>"}`), "tags__type": []byte(`["object",{}]`),
		"null": []byte("null"), "null__type": []byte(`"string"`), "blob": {0xff}, "empty": {},
	}}
}

func valuesSpec(values string) *spec {
	return &spec{
		Values:                &apiextensionsv1.JSON{Raw: []byte(values)},
		ReadInputsFromSecrets: []v1alpha2.ReadInputsFromSecretSpec{{Name: "net-outputs", As: "net"}},
	}
}

func TestValues_ArriveIntact(t *testing.T) {
	compat.Shows(t, "spec.values", "spec.readInputsFromSecrets", "key.kustomize.toolkit.fluxcd.io/substitute",
		"promise.yaml-values", "use.primitive-modules", "weak.15",
	)
	namespace := api.Namespace(t)
	api.Create(t, netOutputs(namespace))
	for _, tc := range []struct{ name, reason, values, want string }{
		{"no template", "what has no template is copied", `{"b": 1e100, "a": "{{ x }} }} $"}`, `{"b":1e100,"a":"{{ x }} }} $"}`},
		{"PEM", "lines and quotes stay in the text", `{"k":"${{ .net.key }}"}`, `{"k":"-----BEGIN KEY-----\nMIIB\"\\x\n-----END KEY-----\n"}`},
		{"injection", "an input is one value, and rendered once", `{"k":"${{ .net.evil }}"}`,
			`{"k":"\",\"injected\":\"x ${{ .net.big }} ${file(\"/etc/passwd\")}"}`},
		{"large numbers", "no digit is lost", `"${{ .net.big }} ${{ .net.million }} ${{ .net.tenth }}"`, `"12345678901234567890 1500000 0.1"`},
		{"numbers of the spec", "beside a template, too", `{"n":12345678901234567890.5,"t":"${{ .net.million }}"}`, `{"n":12345678901234567890.5,"t":"1500000"}`},
		{"list", "a list alone is a list", `["${{ .net.zones }}"]`, `[["a","b"]]`},
		{"object", "an object alone is an object", `"${{ .net.tags }}"`, `{"n":12345678901234567890,"s":"<&>"}`},
		{"list in a text", "anything else is JSON", `"zones: ${{ .net.zones }}"`, `"zones: [\"a\",\"b\"]"`},
		{"bool", "a plain value is text, as it was to the incumbent", `"${{ .net.private }}"`, `"true"`},
		{"empty", "an empty text is one", `"<${{ .net.empty }}>"`, `"<>"`},
		{"quoted argument", "the quotes of JSON are none of the template", `"${{ index .net \"vpc-id\" }}"`, `"vpc-1"`},
		{"comparison", "whole numbers compare with numbers", `"${{ if gt .net.million 3 }}many${{ else }}few${{ end }}"`, `"many"`},
		{"functions", "of sprig", `"${{ .net.zones | join \"-\" | upper }} ${{ get .net \"absent\" | default \"d\" }} ${{ divf .net.million 4.0 }}"`, `"A-B d 375000"`},
		{"key", "keys are templates, too", `{"${{ index .net \"vpc-id\" }}": 1}`, `{"vpc-1":1}`},
		{"range", "as many as there are", `"${{ range .net.zones }}<${{ . }}>${{ end }}"`, `"<a><b>"`},
		{"variable", "a variable shows nothing", `"${{ $x := .net.private }}${{ $x }}"`, `"true"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := inputs.Read(t.Context(), api.Client, namespace, valuesSpec(tc.values))
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(string(got.File)).To(Equal(`{"values":`+tc.want+`}`), tc.reason)
			g.Expect(got.Secrets).To(ContainElements(pem, "vpc-1"), "all of the Secret is redacted")
			g.Expect(references(got.Read)).To(Equal([]string{"Secret/net-outputs"}))
		})
	}
}

func TestValues_AreOverriddenByVars(t *testing.T) {
	compat.Shows(t, "spec.values")
	g := NewWithT(t)
	s := &spec{Values: &apiextensionsv1.JSON{Raw: []byte(`{"a":1}`)}, Vars: []v1alpha2.Variable{raw("values", `2`)}}
	got, err := inputs.Read(t.Context(), api.Client, api.Namespace(t), s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got.File)).To(Equal(`{"values":2}`))
}

func TestValues_SayWhatIsWrong(t *testing.T) {
	compat.Shows(t, "spec.values", "spec.readInputsFromSecrets", "weak.15")
	namespace := api.Namespace(t)
	typo := netOutputs(namespace)
	typo.Name, typo.Data = "typo", map[string][]byte{"n": []byte("hidden{"), "n__type": []byte(`"number"`)}
	api.Create(t, netOutputs(namespace), typo)
	const there = "; there are: .net has big, empty, evil, key, million, null, private, tags, tenth, vpc-id, zones"
	inputsOf := func(list ...v1alpha2.ReadInputsFromSecretSpec) *spec { return &spec{ReadInputsFromSecrets: list} }
	for _, tc := range []struct {
		name    string
		spec    *spec
		message string
	}{
		{"missing key", valuesSpec(`{"a":["x","${{ .net.vpc }}"]}`),
			`spec.values.a[1]: template: spec.values.a[1]:1:8: executing "spec.values.a[1]" at <.net.vpc>: map has no entry for key "vpc"` + there},
		{"missing Secret", valuesSpec(`"${{ .nat.vpc }}"`),
			`spec.values: template: spec.values:1:8: executing "spec.values" at <.nat.vpc>: map has no entry for key "nat"` + there},
		{"index of nothing", valuesSpec(`"${{ index .net \"vpc\" }}"`), `spec.values: spec.values:1:4: index .net "vpc" has no value` + there},
		{"null", valuesSpec(`"${{ .net.null }}"`), `spec.values: spec.values:1:4: .net.null has no value` + there},
		{"not closed", valuesSpec(`"${{ .net.vpc"`), `spec.values: template: spec.values:1: unclosed action`},
		{"over two texts", valuesSpec(`["${{ if true }}","${{ end }}"]`), `spec.values[0]: template: spec.values[0]:1: unexpected EOF`},
		{"environment", valuesSpec(`"${{ env \"PATH\" }}"`), `spec.values: template: spec.values:1: function "env" not defined`},
		{"environment in a text", valuesSpec(`"${{ expandenv \"$PATH\" }}"`), `spec.values: template: spec.values:1: function "expandenv" not defined`},
		{"too long", valuesSpec(`"${{ repeat 2000000 \"x\" }}"`), `spec.values: it comes to more than 1048576 bytes` + there},
		{"two keys that are one", valuesSpec(`{"vpc-1":1,"${{ index .net \"vpc-id\" }}":2}`),
			`spec.values.vpc-1: the key is the same as another one, when it is rendered`},
		{"fails with a value", valuesSpec(`"${{ fail (index .net \"vpc-id\") }}"`),
			`spec.values: template: spec.values:1:4: executing "spec.values" at <fail (index .net "vpc-id")>: error calling fail: ***` + there},
		{"no inputs", &spec{Values: &apiextensionsv1.JSON{Raw: []byte(`"${{ .net.vpc }}"`)}},
			`spec.values: template: spec.values:1:8: executing "spec.values" at <.net.vpc>: map has no entry for key "net"; spec.readInputsFromSecrets names no Secret`},
		{"absent Secret", inputsOf(v1alpha2.ReadInputsFromSecretSpec{Name: "none", As: "n"}),
			`spec.readInputsFromSecrets[0].name: Secret "NS/none" does not exist; an object that writes its outputs there makes it, and can be waited for by spec.dependsOn`},
		{"bad name", inputsOf(v1alpha2.ReadInputsFromSecretSpec{Name: "net-outputs", As: "a-b"}),
			`spec.readInputsFromSecrets[0].as: "a-b" can't be a name in templates; names have letters, digits and _, and begin with a letter or _`},
		{"the same name", inputsOf(v1alpha2.ReadInputsFromSecretSpec{Name: "net-outputs", As: "n"}, v1alpha2.ReadInputsFromSecretSpec{Name: "typo", As: "n"}),
			`spec.readInputsFromSecrets[1].as: "n" is the name of an earlier entry, too`},
		{"no JSON", inputsOf(v1alpha2.ReadInputsFromSecretSpec{Name: "typo", As: "n"}),
			`spec.readInputsFromSecrets[0]: key "n" of Secret "NS/typo" is no JSON, though there is a key "n__type"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := inputs.Read(t.Context(), api.Client, namespace, tc.spec)
			g.Expect(failure(g, err)).To(Equal(strings.ReplaceAll(tc.message, "NS", namespace)))
		})
	}
}

func TestRenderModule_ShowsVariables(t *testing.T) {
	const variables = `{"name":"a\"${x}","n":12345678901234567890,"values":{"list":["a"],"n":3}}`
	as := func(s string) string { return strings.ReplaceAll(s, "hidden", "***") }
	for _, tc := range []struct{ name, content, want, err string }{
		{"variables", `{{ .n }} {{ .Values.n }} {{ .values.list }} {{ range .Values.list }}{{ . | quote }}{{ end }}`, `12345678901234567890 3 ["a"] "a"`, ""},
		{"HCL", `x = {{ toHcl .name }}`, `x = "a\"$${x}"`, ""},
		{"HCL of a list", `{{ toHcl .Values.list }}`, `["a"]`, ""},
		{"optional", `{{ if .Values.missing }}x{{ end }}{{ .Values.missing | default "d" }}`, "d", ""},
		{"missing", "a\n{{ .Values.missing }}", "", `main.tf.tpl:2:3: .Values.missing has no value`},
		{"missing in a loop", `{{ range .Values.list }}{{ $.nothing }}{{ end }}`, "", `main.tf.tpl:1:27: $.nothing has no value`},
		{"unreadable", "{{ if }}", "", `template: main.tf.tpl:1: missing value for if`},
		{"environment", `{{ env "HOME" }}`, "", `template: main.tf.tpl:1: function "env" not defined`},
		{"a failure with a secret", `{{ fail "hidden" }}`, "", `template: main.tf.tpl:1:3: executing "main.tf.tpl" at <fail "***">: error calling fail: ***`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := inputs.RenderModule("main.tf.tpl", []byte(tc.content), []byte(variables), as)
			if tc.err != "" {
				g.Expect(err).To(MatchError(tc.err))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(got)).To(Equal(tc.want))
		})
	}
}
