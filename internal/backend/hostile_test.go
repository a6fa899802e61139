package backend

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	. "github.com/onsi/gomega"
	"github.com/zclconf/go-cty/cty"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// hostile are texts that mean something to HCL, a shell or a file system.
var hostile = []string{
	`"`, `" }`, "\"\n}\nresource \"null_resource\" \"x\" {}\n", `${file("/etc/passwd")}`, `%{ for x in y }`, `$${x}`, `%%{x}`, `$$`, `$`, `%{`, `\`, `\"`, `\u0022`,
	"line\nline", "line\r\nline", "\x00", "a\x00b", "\t", "<<EOT\nx\nEOT\n", "/* ", "# x", "// x", "\u2028", "\ufeff", "\u202e", "../../x", "-chdir=/", "тест", "a\u0301",
}

// blockOf parses the file of a backend: there must be one block terraform with one backend in it, and nothing else.
func blockOf(g Gomega, file []byte) *hclsyntax.Block {
	parsed, diags := hclsyntax.ParseConfig(file, FileName, hcl.InitialPos)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s\n%s", diags, file)
	body := parsed.Body.(*hclsyntax.Body)
	g.Expect(body.Attributes).To(BeEmpty(), "%s", file)
	g.Expect(body.Blocks).To(HaveLen(1), "%s", file)
	g.Expect(body.Blocks[0].Type).To(Equal("terraform"), "%s", file)
	g.Expect(body.Blocks[0].Labels).To(BeEmpty(), "%s", file)
	inner := body.Blocks[0].Body
	g.Expect(inner.Attributes).To(BeEmpty(), "%s", file)
	g.Expect(inner.Blocks).To(HaveLen(1), "%s", file)
	return inner.Blocks[0]
}

// valueOf is the plain text of an attribute.
func valueOf(g Gomega, body *hclsyntax.Body, name string) string {
	g.Expect(body.Attributes).To(HaveKey(name))
	value, diags := body.Attributes[name].Expr.Value(nil)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s", diags)
	return value.AsString()
}

// normal is a text as cty has it: in normalisation form C, which is what the engine would make of it, too.
func normal(text string) string { return cty.NormalizeString(text) }

func checkBackend(g Gomega, text string) {
	s, err := Render("net", "infra", &v1alpha2.TerraformSpec{BackendConfig: &v1alpha2.BackendConfigSpec{
		SecretSuffix: text, ConfigPath: text, Labels: map[string]string{text: text},
	}})
	if text == "" {
		g.Expect(err).To(HaveOccurred())
		return
	}
	g.Expect(err).NotTo(HaveOccurred())
	block := blockOf(g, s.File)
	g.Expect(block.Labels).To(Equal([]string{"kubernetes"}))
	g.Expect(valueOf(g, block.Body, "secret_suffix")).To(Equal(normal(text)))
	g.Expect(valueOf(g, block.Body, "config_path")).To(Equal(normal(text)))
	labels, diags := block.Body.Attributes["labels"].Expr.Value(nil)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s", diags)
	g.Expect(labels.LengthInt()).To(Equal(1))
	g.Expect(labels.AsValueMap()[normal(text)].AsString()).To(Equal(normal(text)))
}

// checkSetting: whatever a Secret holds, a setting of the backend is that text and nothing more.
func checkSetting(g Gomega, text string) {
	s := &Settings{}
	g.Expect(s.Override("password", text)).To(Succeed())
	parsed, diags := hclsyntax.ParseConfig(s.Overrides(), "x", hcl.InitialPos)
	g.Expect(diags.HasErrors()).To(BeFalse(), "%s\n%s", diags, s.Overrides())
	body := parsed.Body.(*hclsyntax.Body)
	g.Expect(body.Blocks).To(BeEmpty())
	g.Expect(body.Attributes).To(HaveLen(1))
	g.Expect(valueOf(g, body, "password")).To(Equal(normal(text)))
}

func TestHostileValues_StayWhatTheyAre(t *testing.T) {
	for _, text := range hostile {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			checkBackend(g, text)
			checkSetting(g, text)
		})
	}
}

func TestOverride_ExpressionsCanNotCallAnything(t *testing.T) {
	for _, text := range []string{
		`file("/etc/passwd")`, `var.x`, `{ a = var.b }`, `{ a = file("/etc/passwd") }`, `["${local.x}"]`, `{} } resource "x" "y" {`, "{}\nresource = 1", `<<EOT`, "\x00", `{ for k, v in x : k => v }`,
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			s := &Settings{}
			err := s.Override("labels", text)
			g.Expect(err).To(MatchError(ContainSubstring(`the value of "labels" is no HCL expression`)))
			g.Expect(err.Error()).NotTo(ContainSubstring("passwd"))
			g.Expect(s.Overrides()).To(BeNil())
		})
	}
}

func TestRender_CustomTextCanNotLeaveItsBlock(t *testing.T) {
	for _, text := range []string{
		"}\nresource \"null_resource\" \"x\" {}\nterraform {", "backend \"local\" {}\n}\nprovider \"x\" {", "backend \"local\" {} /*", "backend \"local\" {\n  path = <<EOT\n",
		"backend \"local\" {", "}", "\x00", "backend \"local\" { path = \"", "backend \"local\" {} # }\n}", "\ufeffbackend \"local\" {}\n}",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := Render("net", "infra", custom(text))
			NewWithT(t).Expect(err).To(MatchError(HavePrefix("spec.backendConfig.customConfiguration: line ")))
		})
	}
}

func custom(text string) *v1alpha2.TerraformSpec {
	return &v1alpha2.TerraformSpec{BackendConfig: &v1alpha2.BackendConfigSpec{CustomConfiguration: text}}
}

// FuzzValues: backend settings of any text.
func FuzzValues(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "") // as JSON decodes it
		g := NewWithT(t)
		checkBackend(g, text)
		checkSetting(g, text)
	})
}

// FuzzCustom: text that is taken stays within its block.
func FuzzCustom(f *testing.F) {
	for _, text := range []string{"backend \"local\" {\n  path = \"x\"\n}", "required_version = \">= 1\"", "}\nresource \"x\" \"y\" {", "# x", "/* x */", "x = <<EOT\n}\nEOT\n", "x = <<EOT\n}\nEOT", "\ufeffx = 1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Render("net", "infra", custom(text))
		if err != nil || text == "" {
			return
		}
		g := NewWithT(t)
		parsed, diags := hclsyntax.ParseConfig(s.File, FileName, hcl.InitialPos)
		g.Expect(diags.HasErrors()).To(BeFalse(), "%s\n%s", diags, s.File)
		body := parsed.Body.(*hclsyntax.Body)
		g.Expect(body.Attributes).To(BeEmpty(), "%s", s.File)
		g.Expect(body.Blocks).To(HaveLen(1), "%s", s.File)
	})
}
