package backend_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

type backendConfig = v1alpha2.BackendConfigSpec

func TestRender_ChoosesTheBackend(t *testing.T) {
	compat.Shows(t, "spec.backendConfig", "spec.backendConfig.disable", "spec.backendConfig.secretSuffix",
		"spec.backendConfig.inClusterConfig", "spec.backendConfig.configPath", "spec.backendConfig.labels",
		"spec.backendConfig.customConfiguration", "backend.file", "backend.order", "backend.default", "backend.labels-of-the-object",
	)
	inOwn := func(ws, suffix string) backend.Settings {
		return backend.Settings{Kubernetes: true, Namespace: "team-a", Workspace: ws,
			StateSecret: "tfstate-" + ws + "-" + suffix, LockLease: "lock-tfstate-" + ws + "-" + suffix}
	}
	only := func(ws string) backend.Settings { return backend.Settings{Workspace: ws} }
	for _, tc := range []struct {
		name, reason string
		spec         v1alpha2.TerraformSpec
		file         string
		want         backend.Settings
	}{
		{
			name: "nothing set", reason: "the state Secret has the object's name as its suffix, as with the incumbent",
			file: `terraform {
  backend "kubernetes" {
    secret_suffix     = "network"
    in_cluster_config = true
    namespace         = "team-a"
    labels            = {}
  }
}
`, want: inOwn("default", "network"),
		},
		{
			name: "own suffix in another workspace", reason: "what is set counts, in_cluster_config is then false by default (contract 2.1)",
			spec: v1alpha2.TerraformSpec{Workspace: "stage", BackendConfig: &backendConfig{SecretSuffix: "net", Labels: map[string]string{"b": "2", "a": "1"}}},
			file: `terraform {
  backend "kubernetes" {
    secret_suffix     = "net"
    in_cluster_config = false
    namespace         = "team-a"
    labels = {
      a = "1"
      b = "2"
    }
  }
}
`, want: inOwn("stage", "net"),
		},
		{
			name: "kubeconfig", reason: "it may name another cluster, where only the engine looks",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{SecretSuffix: "net", ConfigPath: "/k/config"}},
			file: `terraform {
  backend "kubernetes" {
    secret_suffix     = "net"
    in_cluster_config = false
    config_path       = "/k/config"
    namespace         = "team-a"
    labels            = {}
  }
}
`, want: only("default"),
		},
		{
			name: "kubeconfig and in cluster", reason: "the engine does not look at the kubeconfig then",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{SecretSuffix: "net", ConfigPath: "/k/config", InClusterConfig: true}},
			file: `terraform {
  backend "kubernetes" {
    secret_suffix     = "net"
    in_cluster_config = true
    config_path       = "/k/config"
    namespace         = "team-a"
    labels            = {}
  }
}
`, want: inOwn("default", "net"),
		},
		{
			name: "hostile values", reason: "a value stays a value, whatever it holds",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{SecretSuffix: "a\"\n}\n${x} %{y}", InClusterConfig: true, Labels: map[string]string{"k\"}": "v\\"}}},
			file: `terraform {
  backend "kubernetes" {
    secret_suffix     = "a\"\n}\n$${x} %%{y}"
    in_cluster_config = true
    namespace         = "team-a"
    labels = {
      "k\"}" = "v\\"
    }
  }
}
`, want: inOwn("default", "a\"\n}\n${x} %{y}"),
		},
		{
			name: "disabled", reason: "the module's own backend counts",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{Disable: true, CustomConfiguration: "x"}}, want: only("default"),
		},
		{
			name: "another backend by text", reason: "text wins over the other settings",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{SecretSuffix: "net", CustomConfiguration: "backend \"s3\" {\n  bucket = \"b\"\n}\n# end"}},
			file: "terraform {\nbackend \"s3\" {\n  bucket = \"b\"\n}\n# end\n}\n", want: only("default"),
		},
		{
			name: "kubernetes by text", reason: "with plain values it is known where the state is",
			spec: v1alpha2.TerraformSpec{BackendConfig: &backendConfig{CustomConfiguration: customKubernetes}},
			file: "terraform {\n" + customKubernetes + "}\n", want: inOwn("default", "net"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := backend.Render("network", "team-a", &tc.spec)
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(string(got.File)).To(Equal(tc.file), tc.reason)
			got.File = nil
			g.Expect(*got).To(Equal(tc.want), tc.reason)
		})
	}
}

const customKubernetes = `
required_version = ">= 1.5"
backend "kubernetes" {
  secret_suffix     = "net"
  namespace         = "team-a"
  in_cluster_config = true
  labels            = { a = "b" }
}
`

func TestRender_OnlyTrustsTextThatNamesOneSecretOfThisCluster(t *testing.T) {
	for name, text := range map[string]string{
		"no namespace: the environment decides": `backend "kubernetes" { secret_suffix = "net" }`,
		"no suffix":                             `backend "kubernetes" { namespace = "team-a" }`,
		"a variable":                            "backend \"kubernetes\" {\n secret_suffix = var.x\n namespace = \"team-a\"\n}",
		"another cluster":                       "backend \"kubernetes\" {\n secret_suffix = \"net\"\n namespace = \"team-a\"\n host = \"https://x\"\n}",
		"a kubeconfig":                          "backend \"kubernetes\" {\n secret_suffix = \"net\"\n namespace = \"team-a\"\n config_path = \"x\"\n}",
		"a credential plugin":                   "backend \"kubernetes\" {\n secret_suffix = \"net\"\n namespace = \"team-a\"\n exec {\n }\n}",
		"a number":                              "backend \"kubernetes\" {\n secret_suffix = 1\n namespace = \"team-a\"\n}",
		"null":                                  "backend \"kubernetes\" {\n secret_suffix = null\n namespace = \"team-a\"\n}",
		"no backend":                            `required_version = "1"`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := backend.Render("network", "team-a", &v1alpha2.TerraformSpec{BackendConfig: &backendConfig{CustomConfiguration: text}})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Kubernetes).To(BeFalse())
			g.Expect(got.StateSecret).To(BeEmpty())
		})
	}
}

func TestRender_RefusesWhatTheEngineCouldNotUse(t *testing.T) {
	compat.Shows(t, "spec.backendConfig.secretSuffix", "spec.backendConfig.customConfiguration")
	for _, tc := range []struct {
		name    string
		spec    v1alpha2.TerraformSpec
		message string
	}{
		{"empty suffix", v1alpha2.TerraformSpec{BackendConfig: &backendConfig{InClusterConfig: true}},
			`spec.backendConfig.secretSuffix: it is empty; name the last part of the state Secret tfstate-default-<secretSuffix> ` +
				`("network" is what an object without spec.backendConfig has), or set customConfiguration or disable`},
		{"no HCL", v1alpha2.TerraformSpec{BackendConfig: &backendConfig{CustomConfiguration: "backend \"s3\" {\n  bucket = \n}"}},
			`spec.backendConfig.customConfiguration: line 2: Invalid expression: Expected the start of an expression, but found an invalid expression token.`},
		{"end of the block", v1alpha2.TerraformSpec{BackendConfig: &backendConfig{CustomConfiguration: "}\nprovider \"x\" {"}},
			`spec.backendConfig.customConfiguration: line 1: Argument or block definition required: An argument or block definition is required here.`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := backend.Render("network", "team-a", &tc.spec)
			NewWithT(t).Expect(err).To(MatchError(tc.message))
		})
	}
}

func TestGuard_AcceptsOnlyTheRecordedStateOrALaterOne(t *testing.T) {
	compat.Shows(t, "state.guard")
	state := func(lineage string, serial, resources int64) *v1alpha2.StateStatus {
		return &v1alpha2.StateStatus{Lineage: lineage, Serial: serial, Resources: resources}
	}
	for _, tc := range []struct {
		name            string
		recorded, found *v1alpha2.StateStatus
		message         string
	}{
		{name: "nothing recorded, nothing there: the first run"},
		{name: "nothing recorded, a state there: taken over", found: state("a", 7, 3)},
		{name: "an encrypted state has no lineage to compare", recorded: state("", 7, 0), found: state("b", 1, 0)},
		{name: "the same", recorded: state("a", 7, 3), found: state("a", 7, 3)},
		{name: "a later one", recorded: state("a", 7, 3), found: state("a", 9, 0)},
		{name: "gone", recorded: state("a", 7, 3), message: `the state is gone: the last run left lineage a, serial 7, 3 resources`},
		{name: "another lineage", recorded: state("a", 7, 3), found: state("b", 9, 0),
			message: `the state is another one: the last run left lineage a, serial 7, 3 resources; now there is lineage "b", serial 9, 0 resources`},
		{name: "older", recorded: state("a", 7, 3), found: state("a", 6, 2),
			message: `the state is older than it was: the last run left lineage a, serial 7, 3 resources; now there is serial 6, 2 resources`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			err := backend.Guard(tc.recorded, tc.found)
			if tc.message == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(BeAssignableToTypeOf(&backend.GuardError{}))
			g.Expect(err).To(MatchError(tc.message))
		})
	}
}
