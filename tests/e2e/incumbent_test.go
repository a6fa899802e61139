package e2e

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// What tofu-controller does with what it finds, as far as a test can tell without it: its schema, and how it loads a plan.

// incumbentGroup is the group of a copy of its CRD, as its own is taken.
const incumbentGroup = "formerly.example.com"

// fieldFact is one field of its CRD, see tests/api.
type fieldFact struct {
	Version   string                 `json:"version"`
	Path      string                 `json:"path"`
	Type      string                 `json:"type"`
	Default   *apiextensionsv1.JSON  `json:"default"`
	Enum      []apiextensionsv1.JSON `json:"enum"`
	Pattern   string                 `json:"pattern"`
	Format    string                 `json:"format"`
	MinLength *int64                 `json:"minLength"`
	MaxLength *int64                 `json:"maxLength"`
	Required  bool                   `json:"required"`
	Unknown   *bool                  `json:"x-kubernetes-preserve-unknown-fields"`
}

func incumbentFields() ([]fieldFact, error) {
	content, err := os.ReadFile("../api/testdata/incumbent-fields.json")
	if err != nil {
		return nil, err
	}
	var all []fieldFact
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(f fieldFact) bool { return f.Version != "v1alpha2" }), nil
}

// incumbentCRD is built of its fields.
func incumbentCRD(fields []fieldFact) *apiextensionsv1.CustomResourceDefinition {
	children := map[string][]fieldFact{}
	for _, f := range fields {
		children[parentOf(f.Path)] = append(children[parentOf(f.Path)], f)
	}
	root := schemaOf(fieldFact{Type: "object"}, children)
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "terraforms." + incumbentGroup},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: incumbentGroup, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "terraforms", Singular: "terraform", Kind: "Terraform", ListKind: "TerraformList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1alpha2", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &root},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}

var lastStep = regexp.MustCompile(`(\[\]|\{\}|\.?[^.\[\]{}]+)$`)

func parentOf(path string) string { return lastStep.ReplaceAllString(path, "") }

func schemaOf(f fieldFact, children map[string][]fieldFact) apiextensionsv1.JSONSchemaProps {
	s := apiextensionsv1.JSONSchemaProps{
		Type: f.Type, Default: f.Default, Enum: f.Enum, Pattern: f.Pattern, Format: f.Format,
		MinLength: f.MinLength, MaxLength: f.MaxLength, XPreserveUnknownFields: f.Unknown,
	}
	switch f.Type {
	case "any":
		s.Type = ""
	case "int-or-string":
		s.Type, s.XIntOrString = "", true
	}
	for _, child := range children[f.Path] {
		schema := schemaOf(child, children)
		switch name := strings.TrimPrefix(strings.TrimPrefix(child.Path, f.Path), "."); name {
		case "[]":
			s.Items = &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &schema}
		case "{}":
			s.AdditionalProperties = &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: &schema}
		default:
			if s.Properties == nil {
				s.Properties = map[string]apiextensionsv1.JSONSchemaProps{}
			}
			s.Properties[name] = schema
			if child.Required {
				s.Required = append(s.Required, name)
			}
		}
	}
	return s
}

// loadAsIncumbent loads the pending plan by its rules (contract 2.2): the Secrets with both labels, all of the pending id,
// joined by their number, unzipped.
func loadAsIncumbent(secrets []corev1.Secret, tf *infrav1.Terraform) ([]byte, error) {
	found := slices.DeleteFunc(secrets, func(s corev1.Secret) bool {
		return s.Labels[infrav1.PlanNameLabel] != infrav1.SafeLabelValue(tf.Name) || s.Labels[infrav1.PlanWorkspaceLabel] != tf.Spec.GetWorkspace()
	})
	for _, s := range found {
		if s.Annotations["savedPlan"] != tf.Status.Plan.Pending {
			return nil, fmt.Errorf("%s holds plan %s", s.Name, s.Annotations["savedPlan"])
		}
	}
	number := func(s corev1.Secret) int {
		n, _ := strconv.Atoi(cmp.Or(s.Annotations[infrav1.PlanChunkAnnotation], "0"))
		return n
	}
	slices.SortFunc(found, func(a, b corev1.Secret) int { return cmp.Compare(number(a), number(b)) })
	var zipped []byte
	for i, s := range found {
		if number(s) != i {
			return nil, fmt.Errorf("%s has number %d, not %d", s.Name, number(s), i)
		}
		zipped = append(zipped, s.Data["tfplan"]...)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unzipped)
}
