package backend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// defaultCloudHost is the host that Terraform takes where none is named. OpenTofu asks for one.
const defaultCloudHost = "app.terraform.io"

// Cloud is how the engine keeps the state in HCP Terraform or in a service with the same API.
type Cloud struct {
	// Host of the service, as in the name of the variable for its token.
	Host string
	// Select is the workspace to select before init; "" where spec.cloud names the one that there is.
	Select string
}

// cloud writes the cloud block. The token is not in it: files of the module travel.
func (s *Settings) cloud(spec *v1alpha2.TerraformSpec) error {
	c := spec.Cloud
	if err := validCloud(c, s.Workspace); err != nil {
		return err
	}
	file := hclwrite.NewEmptyFile()
	block := file.Body().AppendNewBlock("terraform", nil).Body().AppendNewBlock("cloud", nil).Body()
	s.Cloud = &Cloud{Host: defaultCloudHost}
	if c.Hostname != "" {
		block.SetAttributeValue("hostname", cty.StringVal(c.Hostname))
		s.Cloud.Host = strings.ToLower(c.Hostname)
	}
	block.SetAttributeValue("organization", cty.StringVal(c.Organization))
	workspaces := block.AppendNewBlock("workspaces", nil).Body()
	if c.Workspaces.Name != "" {
		workspaces.SetAttributeValue("name", cty.StringVal(c.Workspaces.Name))
	} else {
		tags := make([]cty.Value, 0, len(c.Workspaces.Tags))
		for _, tag := range c.Workspaces.Tags {
			tags = append(tags, cty.StringVal(tag))
		}
		workspaces.SetAttributeValue("tags", cty.ListVal(tags))
		s.Cloud.Select = s.Workspace
	}
	s.File = file.Bytes()
	return nil
}

// defaultWorkspace is what spec.workspace says that says nothing. No cloud has one of that name.
const defaultWorkspace = "default"

// Selected is the workspace to select after init: the default one where there is nothing to select.
func (s *Settings) Selected() string {
	if s.Cloud != nil && s.Cloud.Select == "" {
		return defaultWorkspace
	}
	return s.Workspace
}

func validCloud(c *v1alpha2.CloudSpec, workspace string) error {
	w := c.Workspaces
	switch {
	case c.Organization == "":
		return errors.New("spec.cloud.organization: it is empty; name the organization that has the workspaces")
	case strings.ContainsAny(c.Hostname, "/=@ \t\n\x00"):
		return fmt.Errorf("spec.cloud.hostname: %q is no host name; write it without scheme and path, like app.example.com", c.Hostname)
	case w == nil || w.Name == "" && len(w.Tags) == 0:
		return errors.New("spec.cloud.workspaces: it selects none; set name to one workspace, or tags to those of several")
	case w.Name != "" && len(w.Tags) > 0:
		return errors.New("spec.cloud.workspaces: name and tags are both set, and the engine takes one of them; leave out name, or tags")
	case w.Name != "" && workspace != defaultWorkspace && workspace != w.Name:
		return fmt.Errorf("spec.workspace: %q can't be selected, because spec.cloud.workspaces.name is %q; leave out spec.workspace, or use tags", workspace, w.Name)
	}
	return nil
}

// OwnCloud looks for a cloud block of the module's own, which counts where no backend is written: engines begin with one in
// another way than with a backend.
func (s *Settings) OwnCloud(module string) error {
	for _, pattern := range []string{"*.tf", "*.tofu"} {
		files, err := filepath.Glob(filepath.Join(module, pattern))
		if err != nil {
			return fmt.Errorf("look for a cloud block: %w", err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("look for a cloud block: %w", err)
			}
			if hasCloud(content) {
				s.ownCloud()
				return nil
			}
		}
	}
	return nil
}

// ownCloud is a cloud block that is not of spec.cloud.
func (s *Settings) ownCloud() {
	s.Cloud = &Cloud{}
	if s.Workspace != defaultWorkspace {
		s.Cloud.Select = s.Workspace
	}
}

// hasCloud says of a file of a module whether a cloud block is in it. What can't be parsed is the engine's to complain of.
func hasCloud(content []byte) bool {
	parsed, _ := hclsyntax.ParseConfig(content, "", hcl.InitialPos)
	if parsed == nil {
		return false
	}
	body, ok := parsed.Body.(*hclsyntax.Body)
	return ok && slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool {
		return b.Type == "terraform" && isCloud(b.Body)
	})
}

// isCloud says of the content of a terraform block whether a cloud block is in it.
func isCloud(body *hclsyntax.Body) bool {
	return slices.ContainsFunc(body.Blocks, func(in *hclsyntax.Block) bool { return in.Type == "cloud" })
}

// TokenVariable is the name of the environment variable that the engines read the token of the host from.
func (c *Cloud) TokenVariable() string {
	return "TF_TOKEN_" + strings.NewReplacer("-", "__", ".", "_").Replace(c.Host)
}
