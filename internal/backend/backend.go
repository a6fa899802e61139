// Package backend says where the state of a Terraform object is kept, and looks at it without the engine.
package backend

import (
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// FileName is where Settings.File belongs in the module's folder.
const FileName = "backend_override.tf"

const (
	kubernetesType = "kubernetes"
	customField    = "spec.backendConfig.customConfiguration"
)

// Settings are the backend of one object and workspace.
type Settings struct {
	// File is the content of backend_override.tf; nil when the module's own backend counts.
	File []byte

	// Kubernetes says that the state is in a Secret of this cluster, so that ReadState and the lock's Lease tell of
	// it. It is false when that is not certain: then only the engine knows.
	Kubernetes bool

	// Namespace, StateSecret and LockLease say where state and lock are, if Kubernetes.
	Namespace, StateSecret, LockLease string

	// Workspace of the state, never empty.
	Workspace string

	// Cloud says that the state is kept by spec.cloud; nil: it is not.
	Cloud *Cloud

	overrides *hclwrite.File
}

// Render chooses the backend (contract 2.1): spec.cloud, else spec.backendConfig.customConfiguration, else what else is in
// spec.backendConfig, else a Secret named after the object. Labels of the object never count: the engine selects by
// backend labels, and a changed label would hide the state. Errors name the field.
func Render(name, namespace string, spec *v1alpha2.TerraformSpec) (*Settings, error) {
	s := &Settings{Workspace: spec.GetWorkspace()}
	config := spec.BackendConfig
	switch {
	case spec.Cloud != nil:
		return s, s.cloud(spec)
	case config == nil:
		s.kubernetes(namespace, &v1alpha2.BackendConfigSpec{SecretSuffix: name, InClusterConfig: true})
	case config.Disable:
	case config.CustomConfiguration != "":
		return s, s.custom(config.CustomConfiguration)
	case config.SecretSuffix == "":
		return nil, fmt.Errorf("spec.backendConfig.secretSuffix: it is empty; name the last part of the state Secret tfstate-%s-<secretSuffix> "+
			"(%q is what an object without spec.backendConfig has), or set customConfiguration or disable", s.Workspace, name)
	default:
		s.kubernetes(namespace, config)
	}
	return s, nil
}

// kubernetes writes the block of the kubernetes backend. An empty config_path is left out: the engine then takes the
// pod's own account or what KUBE_CONFIG_PATH names.
func (s *Settings) kubernetes(namespace string, config *v1alpha2.BackendConfigSpec) {
	file := hclwrite.NewEmptyFile()
	block := file.Body().AppendNewBlock("terraform", nil).Body().AppendNewBlock("backend", []string{kubernetesType}).Body()
	block.SetAttributeValue("secret_suffix", cty.StringVal(config.SecretSuffix))
	block.SetAttributeValue("in_cluster_config", cty.BoolVal(config.InClusterConfig))
	if config.ConfigPath != "" {
		block.SetAttributeValue("config_path", cty.StringVal(config.ConfigPath))
	}
	block.SetAttributeValue("namespace", cty.StringVal(namespace))
	labels := make(map[string]cty.Value, len(config.Labels))
	for key, text := range config.Labels {
		labels[key] = cty.StringVal(text)
	}
	block.SetAttributeValue("labels", cty.ObjectVal(labels))
	s.File = file.Bytes()
	if config.InClusterConfig || config.ConfigPath == "" {
		s.inThisCluster(namespace, config.SecretSuffix)
	}
}

func (s *Settings) inThisCluster(namespace, suffix string) {
	s.Kubernetes, s.Namespace = true, namespace
	s.StateSecret = s.secretPrefix() + suffix
	s.LockLease = "lock-" + s.StateSecret
}

func (s *Settings) secretPrefix() string { return "tfstate-" + s.Workspace + "-" }

// custom puts the user's text into a terraform block. It is parsed by itself first, so that it can't end the block.
func (s *Settings) custom(text string) error {
	text = strings.TrimPrefix(text, "\ufeff") // the parser takes a byte order mark at the very beginning only
	parsed, diags := hclsyntax.ParseConfig([]byte(text), customField, hcl.InitialPos)
	if diags.HasErrors() {
		return invalid(diags)
	}
	s.File = []byte("terraform {\n" + strings.TrimSuffix(text, "\n") + "\n}\n")
	if body, ok := parsed.Body.(*hclsyntax.Body); ok {
		if namespace, suffix, ok := ownCluster(body); ok {
			s.inThisCluster(namespace, suffix)
		}
		if isCloud(body) {
			s.ownCloud()
		}
	}
	return nil
}

// invalid is the error for text that is no HCL, with the first line that is wrong.
func invalid(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		return fmt.Errorf("%s: line %d: %s: %s", customField, line, d.Summary, d.Detail)
	}
	return diags
}

// ownCluster finds namespace and suffix of a kubernetes backend that stands in the text as plain values and names no
// other cluster, file or credentials.
func ownCluster(body *hclsyntax.Body) (namespace, suffix string, ok bool) {
	for _, block := range body.Blocks {
		if block.Type != "backend" || len(block.Labels) != 1 || block.Labels[0] != kubernetesType {
			continue
		}
		attributes := maps.Clone(block.Body.Attributes)
		namespace, suffix = literal(attributes["namespace"]), literal(attributes["secret_suffix"])
		for _, known := range []string{"namespace", "secret_suffix", "in_cluster_config", "labels"} {
			delete(attributes, known)
		}
		return namespace, suffix, namespace != "" && suffix != "" && len(attributes) == 0 && len(block.Body.Blocks) == 0
	}
	return "", "", false
}

// literal is the value of an attribute that is a string without variables, else "".
func literal(attribute *hclsyntax.Attribute) string {
	if attribute == nil {
		return ""
	}
	v, diags := attribute.Expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}
