package inputs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	. "github.com/onsi/gomega"
	"github.com/zclconf/go-cty/cty"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// hostile are texts that mean something to a template, HCL, JSON or a shell.
var hostile = []string{
	`{{ .other }}`, `${{ .other }}`, `${{ toHcl .other }}`, `{{ end }}`, `{{`, `}}`, `${{`, `{{/*`, "{{- \n -}}", `{{ template "x" }}`, `{{ define "x" }}{{ end }}`,
	`${file("/etc/passwd")}`, `%{ if true }`, `$${x}`, `"`, `" }`, "\"\n}\nresource \"x\" \"y\" {}", `\`, `\"`, "line\nline", "\r\n", "\t", "\x00", "\u2028", "<<EOT\nx\nEOT",
	`{"a": 1}`, `["x"]`, `null`, `</script>`, "\ufeff", "\u202e", "тест", "$(id)", "`id`", "%!s(int=1)", "%",
}

// checkTemplates: a text that goes into a template comes out as it is, and is a string of HCL where it is written as one.
func checkTemplates(g Gomega, text string) {
	file, err := json.Marshal(map[string]any{"value": text, "other": "the-other"})
	g.Expect(err).NotTo(HaveOccurred())
	module, err := RenderModule("main.tf.tpl", []byte("locals {\n  a = {{ toHcl .value }}\n}\n"), file, func(s string) string { return s })
	if err != nil {
		g.Expect(len(text)).To(BeNumerically(">", maxRendered/8), "%v", err)
		return
	}
	parsed, diags := hclsyntax.ParseConfig(module, "main.tf", hcl.InitialPos)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s\n%s", diags, module)
	body := parsed.Body.(*hclsyntax.Body)
	g.Expect(body.Blocks).To(HaveLen(1), "%s", module)
	g.Expect(body.Blocks[0].Body.Attributes).To(HaveLen(1), "%s", module)
	found, diags := body.Blocks[0].Body.Attributes["a"].Expr.Value(nil)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s", diags)
	g.Expect(found.AsString()).To(Equal(cty.NormalizeString(text)))

	v := &variables{values: map[string]value{}}
	known := map[string]any{"value": text, "other": "the-other"}
	for from, want := range map[string]any{"${{ .value }}": text, "a ${{ .value }} b": "a " + text + " b"} {
		got, err := v.renderText("spec.values", from, known)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want), "it is looked at once, and stays a text")
	}
}

func TestHostileInputs_AreNoTemplates(t *testing.T) {
	for _, text := range hostile {
		t.Run(text, func(t *testing.T) { checkTemplates(NewWithT(t), text) })
	}
}

// TestHostileNames: what can't be a name is refused, and named in one line.
func TestHostileNames_AreRefused(t *testing.T) {
	for _, name := range []string{"", "a\nb", "a\x00b", `a" = 1`, "a=b", "a b", "${a}", "../a", "-a", "1a", "a\r", "\u2028", "a:b:c", "{{ .a }}"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v := &variables{values: map[string]value{}}
			err := v.addVar(t.Context(), "spec.vars[0]", &v1alpha2.Variable{Name: name})
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).NotTo(ContainSubstring("\n"))
			g.Expect(v.values).To(BeEmpty())
			_, _, err = splitItem("spec.varsFrom[0].varsKeys[0]", "key:"+name)
			g.Expect(err).To(HaveOccurred())
			settings := map[string]Setting{}
			err = addSetting("spec.backendConfigsFrom[0]", &object{kind: kindSecret, namespace: "infra", name: "s", data: map[string][]byte{name: []byte("the-secret")}}, name, settings)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).NotTo(ContainSubstring("the-secret"))
			g.Expect(settings).To(BeEmpty())
		})
	}
}

// TestHostileBytes: what no text of the engine can hold is refused, and not shown.
func TestHostileBytes_AreRefused(t *testing.T) {
	for name, data := range map[string]string{"NUL": "the-sec\x00ret", "no UTF-8": "the-sec\xffret"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v := &variables{values: map[string]value{}}
			o := &object{kind: kindSecret, namespace: "infra", name: "s", data: map[string][]byte{"key": []byte(data)}}
			err := v.addKey("spec.varsFrom[0]", o, "key", "key")
			g.Expect(err).To(MatchError(ContainSubstring("store it base64-encoded")))
			g.Expect(err.Error()).NotTo(ContainSubstring("the-sec"))
			g.Expect(addSetting("spec.backendConfigsFrom[0]", o, "key", map[string]Setting{})).NotTo(Succeed())
		})
	}
}

// FuzzInputs: any text.
func FuzzInputs(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkTemplates(NewWithT(t), strings.ToValidUTF8(text, "")) // as JSON decodes it
	})
}

// FuzzTemplates: any template is one, or is refused with a message.
func FuzzTemplates(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	for _, text := range []string{
		"{{ range .list }}{{ . }}{{ end }}", "{{ with .value }}{{ toHcl . }}{{ else }}x{{ end }}", "{{ $a := 1 }}{{ $a }}", "{{ .missing.deep }}", "{{ index .list 7 }}",
		`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, "{{ .value | upper | quote }}", "{{- if eq .value 1 }}{{ break }}{{ end }}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, content string) {
		parsed, err := parseText("main.tf.tpl", "", "", content)
		if err == nil && parsed.parsed == nil {
			t.Error("neither a template nor an error")
		}
	})
}
