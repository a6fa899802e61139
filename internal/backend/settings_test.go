package backend_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestOverride_WritesAFileForInitAndFollowsTheState(t *testing.T) {
	compat.Shows(t, "spec.backendConfigsFrom")
	const cloudKey = `{"type": "service_account", "private_key": "-----BEGIN\n${x}"}`
	for _, tc := range []struct {
		name, setting, value, reason string
		file, secret                 string
	}{
		{"text", "bucket", `a"b${c}%{d}`, "a value is taken literally", `bucket = "a\"b$${c}%%{d}"` + "\n", ""},
		{"key file", "credentials", cloudKey, "it looks like an object, and is a string",
			`credentials = "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN\\n$${x}\"}"` + "\n", ""},
		{"map", "labels", `{ "a" = "b" }`, "known settings that are no plain values are expressions", "labels = {\n  a = \"b\"\n}\n", "tfstate-default-demo"},
		{"suffix", "secret_suffix", "other", "the guard has to look there", "secret_suffix = \"other\"\n", "tfstate-default-other"},
		{"namespace", "namespace", "other", "the guard has to look there", "namespace = \"other\"\n", "tfstate-default-demo"},
		{"another cluster", "host", "https://x", "only the engine knows where that is", "host = \"https://x\"\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			s, err := backend.Render("demo", "ns", &v1alpha2.TerraformSpec{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(s.Overrides()).To(BeNil())
			g.Expect(s.Override(tc.setting, tc.value)).To(Succeed())
			g.Expect(string(s.Overrides())).To(Equal(tc.file), tc.reason)
			g.Expect(s.StateSecret).To(Equal(tc.secret), tc.reason)
			g.Expect(s.Kubernetes).To(Equal(tc.secret != ""), tc.reason)
			if tc.setting == "namespace" {
				g.Expect(s.Namespace).To(Equal("other"))
			}
		})
	}
}

func TestOverride_DoesNotTellAValue(t *testing.T) {
	g := NewWithT(t)
	s, err := backend.Render("demo", "ns", &v1alpha2.TerraformSpec{})
	g.Expect(err).NotTo(HaveOccurred())
	for _, bad := range []string{"hidden=", "{ a = hidden }", "[hidden", `file("/hidden")`} {
		g.Expect(s.Override("labels", bad)).To(MatchError(`the value of "labels" is no HCL expression without references, like { a = "b" } or ["a"]`), bad)
	}
}
