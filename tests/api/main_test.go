// Package api_test checks the API as users meet it: the schema against the incumbent's, and both kinds in a real
// API server.
package api_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/terraform-controller/terraform-controller/api/v1alpha1"
	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	crdFolder = "../../config/crd/bases"
	binFolder = "../../bin"
)

// server is the API server of all tests here.
var server struct {
	client     client.Client
	kubeconfig string
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(binFolder, name)); err != nil {
			return 0, fmt.Errorf("a program is missing, build it with `make companions`: %w", err)
		}
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{crdFolder},
		ErrorIfCRDPathMissing: true,
		BinaryAssetsDirectory: binFolder,
	}
	config, err := env.Start()
	if err != nil {
		return 0, fmt.Errorf("starting the API server with the CRDs of %s: %w", crdFolder, err)
	}
	defer func() {
		if stopErr := env.Stop(); err == nil && stopErr != nil {
			err = fmt.Errorf("stopping the API server: %w", stopErr)
		}
	}()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), v1alpha2.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme)); err != nil {
		return 0, fmt.Errorf("adding the types to the scheme: %w", err)
	}
	server.client, err = client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return 0, fmt.Errorf("making the client: %w", err)
	}
	return runWithKubeconfig(m, env.KubeConfig)
}

// runWithKubeconfig runs the tests with the kubeconfig in a file, as kubectl wants it.
func runWithKubeconfig(m *testing.M, content []byte) (int, error) {
	folder, err := os.MkdirTemp("", "api-test-")
	if err != nil {
		return 0, fmt.Errorf("making a folder for the kubeconfig: %w", err)
	}
	defer os.RemoveAll(folder)
	server.kubeconfig = filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(server.kubeconfig, content, 0o600); err != nil {
		return 0, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return m.Run(), nil
}

// create makes an object and deletes it when the test ends.
func create(t *testing.T, object client.Object) error {
	t.Helper()
	err := server.client.Create(t.Context(), object)
	if err == nil {
		t.Cleanup(func() {
			if err := server.client.Delete(context.Background(), object); err != nil {
				t.Errorf("deleting %s: %v", object.GetName(), err)
			}
		})
	}
	return err
}
