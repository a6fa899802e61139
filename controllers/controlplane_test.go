package controllers

import (
	"os"
	"path/filepath"
	"testing"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// controlPlane is a real etcd and kube-apiserver with our CRDs, without any controller.
type controlPlane struct {
	config *rest.Config
	client client.Client
	env    *envtest.Environment
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	g := NewWithT(t)
	bin, err := filepath.Abs(filepath.Join("..", "bin"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Fatalf("bin/%s is missing: make companions", name)
		}
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: bin,
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := env.Start()
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { NewWithT(t).Expect(env.Stop()).To(Succeed()) })
	kube, err := client.New(config, client.Options{Scheme: testScheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return &controlPlane{config: config, client: kube, env: env}
}

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(infrav1.AddToScheme(scheme))
	utilruntime.Must(sourcev1.AddToScheme(scheme))
	return scheme
}
