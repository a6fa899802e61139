package backend_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
)

type workspaces = v1alpha2.CloudWorkspacesSpec

func TestRender_CloudBlock(t *testing.T) {
	const host = "terraform {\n  cloud {\n    hostname     = \"app.example-corp.com\"\n    organization = \"acme\"\n    workspaces {\n"
	for _, tc := range []struct {
		name               string
		cloud              v1alpha2.CloudSpec
		file               string
		selects            string
		variable, selected string
	}{
		{name: "a workspace by name", cloud: v1alpha2.CloudSpec{Hostname: "app.example-corp.com", Organization: "acme", Workspaces: &workspaces{Name: "net"}},
			file: host + "      name = \"net\"\n    }\n  }\n}\n", variable: "TF_TOKEN_app_example__corp_com", selected: "default"},
		{name: "several by tags, of which spec.workspace is one", cloud: v1alpha2.CloudSpec{Hostname: "app.example-corp.com", Organization: "acme", Workspaces: &workspaces{Tags: []string{"a", "b"}}},
			file: host + "      tags = [\"a\", \"b\"]\n    }\n  }\n}\n", variable: "TF_TOKEN_app_example__corp_com", selects: "default", selected: "default"},
		{name: "without a host the engine has its own; the token is in no file", cloud: v1alpha2.CloudSpec{Organization: "acme", Workspaces: &workspaces{Name: "net"}, Token: "secret"},
			file: "terraform {\n  cloud {\n    organization = \"acme\"\n    workspaces {\n      name = \"net\"\n    }\n  }\n}\n", variable: "TF_TOKEN_app_terraform_io", selected: "default"},
		{name: "text can't end the block", cloud: v1alpha2.CloudSpec{Organization: "a\"\n}\n${x}", Workspaces: &workspaces{Name: "net"}},
			file: "terraform {\n  cloud {\n    organization = \"a\\\"\\n}\\n$${x}\"\n    workspaces {\n      name = \"net\"\n    }\n  }\n}\n", variable: "TF_TOKEN_app_terraform_io", selected: "default"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			spec := &v1alpha2.TerraformSpec{Cloud: &tc.cloud, BackendConfig: &backendConfig{SecretSuffix: "x"}}
			got, err := backend.Render("network", "team-a", spec)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(got.File)).To(Equal(tc.file))
			g.Expect(got.Kubernetes).To(BeFalse(), "spec.cloud comes before spec.backendConfig")
			g.Expect(got.Cloud.TokenVariable()).To(Equal(tc.variable))
			g.Expect(got.Cloud.Select).To(Equal(tc.selects))
			g.Expect(got.Selected()).To(Equal(tc.selected))
		})
	}
}

func TestRender_SaysWhatIsWrongWithACloud(t *testing.T) {
	for _, tc := range []struct {
		reason    string
		cloud     v1alpha2.CloudSpec
		workspace string
		message   string
	}{
		{"no organization", v1alpha2.CloudSpec{Workspaces: &workspaces{Name: "net"}}, "",
			`spec.cloud.organization: it is empty; name the organization that has the workspaces`},
		{"no workspace", v1alpha2.CloudSpec{Organization: "acme", Workspaces: &workspaces{}}, "",
			`spec.cloud.workspaces: it selects none; set name to one workspace, or tags to those of several`},
		{"nothing of workspaces", v1alpha2.CloudSpec{Organization: "acme"}, "",
			`spec.cloud.workspaces: it selects none; set name to one workspace, or tags to those of several`},
		{"two ways to select", v1alpha2.CloudSpec{Organization: "acme", Workspaces: &workspaces{Name: "net", Tags: []string{"a"}}}, "",
			`spec.cloud.workspaces: name and tags are both set, and the engine takes one of them; leave out name, or tags`},
		{"an address", v1alpha2.CloudSpec{Hostname: "https://app.example.com", Organization: "acme", Workspaces: &workspaces{Name: "net"}}, "",
			`spec.cloud.hostname: "https://app.example.com" is no host name; write it without scheme and path, like app.example.com`},
		{"another workspace", v1alpha2.CloudSpec{Organization: "acme", Workspaces: &workspaces{Name: "net"}}, "stage",
			`spec.workspace: "stage" can't be selected, because spec.cloud.workspaces.name is "net"; leave out spec.workspace, or use tags`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			_, err := backend.Render("network", "team-a", &v1alpha2.TerraformSpec{Cloud: &tc.cloud, Workspace: tc.workspace})
			NewWithT(t).Expect(err).To(MatchError(tc.message))
		})
	}
}

func TestRender_CloudBlockInCustomText(t *testing.T) {
	for text, want := range map[string]bool{"cloud {\n  organization = \"acme\"\n}": true, "backend \"s3\" {}": false, "required_version = \">= 1.5\"": false} {
		g := NewWithT(t)
		got, err := backend.Render("network", "team-a", &v1alpha2.TerraformSpec{BackendConfig: &backendConfig{CustomConfiguration: text}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Cloud != nil).To(Equal(want), text)
	}
}
