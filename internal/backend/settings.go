package backend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// structured are the settings of the engines' backends that are no plain values. Their text is an expression, as on the
// command line. All others are taken literally: a JSON key file is a string, though it looks like an object.
var structured = []string{
	"allowed_account_ids", "assume_role", "assume_role_with_web_identity", "endpoints", "exec", "forbidden_account_ids", "labels",
	"shared_config_files", "shared_credentials_files", "workspaces",
}

// Override adds one setting to the file that init takes beside the backend's block, and follows it where it says that the
// state is elsewhere. The error does not have the value.
func (s *Settings) Override(name, text string) error {
	if s.Cloud != nil {
		return fmt.Errorf("%q is a setting of a backend, and spec.cloud has none; leave out one of the two", name)
	}
	value := cty.StringVal(text)
	if slices.Contains(structured, name) {
		expr, diags := hclsyntax.ParseExpression([]byte(text), name, hcl.InitialPos)
		if diags.HasErrors() || len(expr.Variables()) > 0 {
			return fmt.Errorf("the value of %q is no HCL expression without references, like { a = \"b\" } or [\"a\"]", name)
		}
		if value, diags = expr.Value(nil); diags.HasErrors() {
			return fmt.Errorf("the value of %q is no HCL expression without references, like { a = \"b\" } or [\"a\"]", name)
		}
	}
	if s.overrides == nil {
		s.overrides = hclwrite.NewEmptyFile()
	}
	s.overrides.Body().SetAttributeValue(name, value)
	if s.Kubernetes {
		s.relocate(name, text)
	}
	return nil
}

// relocate follows the settings that say where the state is. With others it may be in another cluster.
func (s *Settings) relocate(name, text string) {
	switch name {
	case "namespace":
		s.inThisCluster(text, strings.TrimPrefix(s.StateSecret, s.secretPrefix()))
	case "secret_suffix":
		s.inThisCluster(s.Namespace, text)
	case "labels", "in_cluster_config":
	default:
		s.Kubernetes, s.Namespace, s.StateSecret, s.LockLease = false, "", "", ""
	}
}

// Overrides is the file for init; nil when nothing is overridden.
func (s *Settings) Overrides() []byte {
	if s.overrides == nil {
		return nil
	}
	return s.overrides.Bytes()
}
