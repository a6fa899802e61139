package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Install applies the manifests in files, and in folders with all below them (but no kustomization.yaml), as one
// set; see Apply.
func (c *Cluster) Install(ctx context.Context, paths ...string) error {
	var all bytes.Buffer
	for _, root := range paths {
		root, err := filepath.EvalSymlinks(root)
		if err != nil {
			return fmt.Errorf("finding manifests: %w", err)
		}
		err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !isManifest(path) {
				return err
			}
			data, err := os.ReadFile(path)
			all.WriteString("\n---\n")
			all.Write(data)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading manifests: %w", err)
		}
	}
	return c.Apply(ctx, &all)
}

func isManifest(path string) bool {
	name := filepath.Base(path)
	return slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(name)) && !strings.HasPrefix(name, "kustomization.")
}

// Apply applies YAML documents on the server's side, as the administrator: namespaces and CRDs first, and when those
// are established the rest. What kustomize or helm have rendered can be given as it is.
func (c *Cluster) Apply(ctx context.Context, manifests io.Reader) error {
	objects, err := decode(manifests)
	if err != nil {
		return err
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for i, object := range objects {
		if i > 0 && rank(object) > rank(objects[i-1]) {
			if err := c.awaitEstablished(ctx, objects[:i]); err != nil {
				return err
			}
		}
		err := c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("local-cluster"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), client.ObjectKeyFromObject(object), err)
		}
	}
	return c.awaitEstablished(ctx, objects)
}

// rank orders what others need before those.
func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case crdKind, "Namespace":
		return 0
	}
	return 1
}

const crdKind = "CustomResourceDefinition"

func decode(manifests io.Reader) (objects []*unstructured.Unstructured, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(manifests, 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("decoding manifest %d: %w", len(objects)+1, err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

func (c *Cluster) awaitEstablished(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if object.GetKind() != crdKind {
			continue
		}
		err := wait.PollUntilContextTimeout(ctx, pollEvery, startTimeout, true, func(ctx context.Context) (bool, error) {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			err := c.Client.Get(ctx, client.ObjectKeyFromObject(object), crd)
			return established(crd), err
		})
		if err != nil {
			return fmt.Errorf("waiting until CRD %s is established: %w", object.GetName(), err)
		}
	}
	return nil
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(condition apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue
	})
}
