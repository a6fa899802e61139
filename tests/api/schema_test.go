package api_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// fact is what a client can rely on of one field. Paths are dotted from spec or status; [] is an item of a list,
// {} a value of a map. testdata/incumbent-fields.json has them of the incumbent's CRD, both versions.
type fact struct {
	Version   string            `json:"version,omitempty"`
	Path      string            `json:"path"`
	Type      string            `json:"type"`
	Default   json.RawMessage   `json:"default,omitempty"`
	Enum      []json.RawMessage `json:"enum,omitempty"`
	Pattern   string            `json:"pattern,omitempty"`
	Format    string            `json:"format,omitempty"`
	MinLength *int64            `json:"minLength,omitempty"`
	MaxLength *int64            `json:"maxLength,omitempty"`
	Required  bool              `json:"required,omitempty"`
	ListType  *string           `json:"x-kubernetes-list-type,omitempty"`
	MapType   *string           `json:"x-kubernetes-map-type,omitempty"`
	Unknown   *bool             `json:"x-kubernetes-preserve-unknown-fields,omitempty"`
}

// additive are the fields that we have and the incumbent has not; their children are covered.
var additive = []string{
	"spec.approval",
	"spec.cloud.tokenSecretRef",
	"spec.dependsOn[].readyExpr",
	"spec.engine",
	"spec.moduleCredentials",
	"spec.planServiceAccountName",
	"spec.stateBackups",
	"spec.timeouts",
	"spec.writeOutputsToConfigMap",
	"status.activeRun",
	"status.appliesCompleted",
	"status.appliesStarted",
	"status.approval",
	"status.formerRunner",
	"status.kept",
	"status.lastFailure",
	"status.lastHandledBreakTheGlass",
	"status.lastHandledForceAt",
	"status.lastHandledResetAt",
	"status.plan.appliedTarget",
	"status.plan.destroyed",
	"status.plan.differed",
	"status.plan.digest",
	"status.plan.run",
	"status.plan.safe",
	"status.plan.summary",
	"status.plan.target",
	"status.queue",
	"status.refusedApproval",
	"status.rejectedIds",
	"status.runSequence",
	"status.seenToken",
	"status.spentIds",
	"status.state",
	"status.stateOverride",
	"status.webhooks",
}

// additiveValues are the words of an enum that we know and the incumbent does not.
var additiveValues = map[string][]string{
	"spec.sourceRef.kind": {`"ExternalArtifact"`},
}

func TestSchema_HasEveryFieldOfTheIncumbent(t *testing.T) {
	compat.Shows(t, "api.schema")
	for _, served := range []string{"v1alpha1", "v1alpha2"} {
		theirs, ours := incumbentFacts(t, served), schemaFacts(version(t, crd(t, "terraforms"), served))
		if len(theirs) == 0 {
			t.Fatalf("testdata/incumbent-fields.json has no field of %s", served)
		}
		for _, path := range slices.Sorted(maps.Keys(theirs)) {
			got, found := ours[path]
			if !found {
				t.Errorf("%s %s: the incumbent has it, we have not", served, path)
				continue
			}
			got.Enum = without(t, got, additiveValues[path])
			if want := theirs[path]; encode(t, got) != encode(t, want) {
				t.Errorf("%s %s\n  incumbent %s\n  ours      %s", served, path, encode(t, want), encode(t, got))
			}
		}
		t.Logf("figure: %d fields of the incumbent's %s compared with ours", len(theirs), served)
	}
}

// without takes the additive values, which have to be there, from an enum.
func without(t *testing.T, f fact, values []string) []json.RawMessage {
	t.Helper()
	kept := slices.DeleteFunc(slices.Clone(f.Enum), func(value json.RawMessage) bool { return slices.Contains(values, string(value)) })
	if len(kept) != len(f.Enum)-len(values) {
		t.Errorf("%s has not all of the values that are listed as additive: %s", f.Path, values)
	}
	return kept
}

func TestSchema_AddsOnlyWhatIsListed(t *testing.T) {
	compat.Shows(t, "api.schema.additive")
	theirs, ours := incumbentFacts(t, "v1alpha2"), schemaFacts(version(t, crd(t, "terraforms"), "v1alpha2"))
	used := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(ours)) {
		if _, found := theirs[path]; found {
			continue
		}
		parent := slices.IndexFunc(additive, func(a string) bool { return isWithin(path, a) })
		if parent < 0 {
			t.Errorf("%s is neither the incumbent's nor listed as additive", path)
			continue
		}
		used[additive[parent]] = true
		if ours[path].Required && path == additive[parent] {
			t.Errorf("%s is required: every manifest that exists would be refused", path)
		}
	}
	for _, path := range additive {
		if !used[path] {
			t.Errorf("%s is listed as additive, but there is no such field", path)
		}
	}
}

func TestSchema_ExplainsEveryField(t *testing.T) {
	for _, kind := range []struct{ plural, version string }{
		{"terraforms", "v1alpha1"}, {"terraforms", "v1alpha2"}, {"terraformruns", "v1alpha2"},
	} {
		root := version(t, crd(t, kind.plural), kind.version).Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			schema := root.Properties[part]
			walk(&schema, part, false, func(path string, _ bool, s *apiextensionsv1.JSONSchemaProps) {
				isItem := strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}")
				if !isItem && strings.TrimSpace(s.Description) == "" {
					t.Errorf("%s %s %s has no description: kubectl explain says nothing", kind.plural, kind.version, path)
				}
			})
		}
	}
}

func TestPrinterColumns_KeepTheIncumbentsAndAddOursBetween(t *testing.T) {
	compat.Shows(t, "api.columns")
	want := [][2]string{
		{"Ready", `.status.conditions[?(@.type=="Ready")].status`},
		{"Revision", ".status.lastAppliedRevision"},
		{"Plan", ".status.plan.summary"},
		{"Pending", ".status.plan.pending"},
		{"Status", `.status.conditions[?(@.type=="Ready")].message`},
		{"Age", ".metadata.creationTimestamp"},
	}
	var got [][2]string
	for _, column := range version(t, crd(t, "terraforms"), "v1alpha2").AdditionalPrinterColumns {
		got = append(got, [2]string{column.Name, column.JSONPath})
	}
	if !slices.Equal(got, want) {
		t.Errorf("columns are %q, want %q", got, want)
	}
}

// isWithin says that path is ancestor, or a field, item or value of it.
func isWithin(path, ancestor string) bool {
	rest, found := strings.CutPrefix(path, ancestor)
	return found && (rest == "" || strings.ContainsRune(".[{", rune(rest[0])))
}

func incumbentFacts(t *testing.T, version string) map[string]fact {
	t.Helper()
	content, err := os.ReadFile("testdata/incumbent-fields.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []fact
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatalf("reading testdata/incumbent-fields.json: %v", err)
	}
	facts := map[string]fact{}
	for _, f := range all {
		if f.Version == version {
			f.Version = ""
			facts[f.Path] = f
		}
	}
	return facts
}

func crd(t *testing.T, plural string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(crdFolder, "infra.contrib.fluxcd.io_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(content, crd); err != nil {
		t.Fatalf("reading the CRD of %s: %v", plural, err)
	}
	return crd
}

func version(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition, name string) *apiextensionsv1.CustomResourceDefinitionVersion {
	t.Helper()
	for i := range crd.Spec.Versions {
		if crd.Spec.Versions[i].Name == name {
			return &crd.Spec.Versions[i]
		}
	}
	t.Fatalf("%s has no version %s", crd.Name, name)
	return nil
}

func schemaFacts(version *apiextensionsv1.CustomResourceDefinitionVersion) map[string]fact {
	facts := map[string]fact{}
	for _, part := range []string{"spec", "status"} {
		schema := version.Schema.OpenAPIV3Schema.Properties[part]
		walk(&schema, part, false, func(path string, required bool, s *apiextensionsv1.JSONSchemaProps) {
			facts[path] = newFact(path, required, s)
		})
	}
	return facts
}

func newFact(path string, required bool, s *apiextensionsv1.JSONSchemaProps) fact {
	f := fact{
		Path: path, Type: cmp.Or(s.Type, "any"), Pattern: s.Pattern, Format: s.Format, MinLength: s.MinLength,
		MaxLength: s.MaxLength, Required: required, ListType: s.XListType, MapType: s.XMapType,
		Unknown: s.XPreserveUnknownFields,
	}
	if s.XIntOrString {
		f.Type = "int-or-string"
	}
	if s.Default != nil {
		f.Default = s.Default.Raw
	}
	for _, value := range s.Enum {
		f.Enum = append(f.Enum, value.Raw)
	}
	return f
}

// walk visits a schema and all below it.
func walk(s *apiextensionsv1.JSONSchemaProps, path string, required bool,
	visit func(path string, required bool, s *apiextensionsv1.JSONSchemaProps),
) {
	visit(path, required, s)
	for name, child := range s.Properties {
		walk(&child, path+"."+name, slices.Contains(s.Required, name), visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(s.Items.Schema, path+"[]", false, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(s.AdditionalProperties.Schema, path+"{}", false, visit)
	}
}

// encode writes a fact so that two of them can be compared and read.
func encode(t *testing.T, f fact) string {
	t.Helper()
	content, err := json.Marshal(f)
	if err != nil {
		t.Fatalf("encoding %s: %v", f.Path, err)
	}
	return string(content)
}
