package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// kubernetesTypes are fields whose parts are Kubernetes's own: one example of each is enough.
var kubernetesTypes = []string{
	"spec.cliConfigSecretRef",
	"spec.runnerPodTemplate.spec.affinity",
	"spec.runnerPodTemplate.spec.env",
	"spec.runnerPodTemplate.spec.envFrom",
	"spec.runnerPodTemplate.spec.hostAliases",
	"spec.runnerPodTemplate.spec.initContainers",
	"spec.runnerPodTemplate.spec.resources",
	"spec.runnerPodTemplate.spec.securityContext",
	"spec.runnerPodTemplate.spec.tolerations",
	"spec.runnerPodTemplate.spec.volumeMounts",
	"spec.runnerPodTemplate.spec.volumes",
	"spec.vars[].valueFrom",
}

// TestCorpus_IsTakenByTheServer: what users may write is taken as it is, and nothing of it is dropped.
func TestCorpus_IsTakenByTheServer(t *testing.T) {
	compat.Shows(t, "api.group", "spec.sourceRef")
	for _, version := range []string{"v1alpha1", "v1alpha2"} {
		for _, object := range corpus(t, version) {
			t.Run(version+"/"+object.GetName(), func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(object.GroupVersionKind().String()).To(Equal("infra.contrib.fluxcd.io/" + version + ", Kind=Terraform"))
				taken := object.DeepCopy()
				g.Expect(server.client.Create(t.Context(), taken, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed())
				kept := map[string]bool{}
				pathsOf(taken.Object["spec"], "spec", func(path string, _ any) { kept[path] = true })
				pathsOf(object.Object["spec"], "spec", func(path string, _ any) {
					g.Expect(kept).To(HaveKey(path), "it is dropped")
				})
			})
		}
	}
}

// TestCorpus_HasEveryField: a field without a manifest is a field that nobody has tried to write. The same holds for the
// values of an enum.
func TestCorpus_HasEveryField(t *testing.T) {
	compat.Shows(t, "api.schema")
	for _, served := range []string{"v1alpha1", "v1alpha2"} {
		values := map[string][]string{}
		for _, object := range corpus(t, served) {
			pathsOf(object.Object["spec"], "spec", func(path string, value any) {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				values[path] = append(values[path], string(text))
			})
		}
		facts := schemaFacts(version(t, crd(t, "terraforms"), served))
		for _, path := range slices.Sorted(maps.Keys(facts)) {
			inKubernetes := slices.ContainsFunc(kubernetesTypes, func(a string) bool { return path != a && isWithin(path, a) })
			if !isWithin(path, "spec") || inKubernetes {
				continue
			}
			if len(values[path]) == 0 {
				t.Errorf("%s %s is in no manifest of testdata/corpus/%s", served, path, served)
			}
			for _, value := range facts[path].Enum {
				if !slices.Contains(values[path], string(value)) {
					t.Errorf("%s %s: %s is in no manifest of testdata/corpus/%s", served, path, value, served)
				}
			}
		}
	}
}

// corpus are the objects of a version.
func corpus(t *testing.T, version string) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "corpus", version, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests of %s: %v", version, err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), len(content))
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("reading %s: %v", file, err)
			}
			objects = append(objects, object)
		}
	}
	return objects
}

// pathsOf visits what is set in a manifest, with paths as facts have them. Of a map of free keys both forms are visited, as it
// does not say which it is.
func pathsOf(value any, path string, visit func(path string, value any)) {
	visit(path, value)
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			if !strings.ContainsAny(key, "./") {
				pathsOf(child, path+"."+key, visit)
			}
			pathsOf(child, path+"{}", visit)
		}
	case []any:
		for _, item := range v {
			pathsOf(item, path+"[]", visit)
		}
	}
}
