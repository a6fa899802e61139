// Package cluster starts a whole local cluster of real programs for tests and demos: etcd, kube-apiserver,
// kube-controller-manager, source-controller, what it fetches from (a git server, an OCI registry, an S3 server), and the
// node of tests/node that runs pods. Everything listens on 127.0.0.1 only, and nothing outlives the process that started it.
//
// Needs Linux, root, git and the programs that hack/companions/build.sh puts into bin/. The program that starts a
// Cluster has to call node.MaybeChild first thing in main or TestMain.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/node"
)

// NodeName is the name of the cluster's node.
const NodeName = "local"

// Options says what a Cluster needs to know.
type Options struct {
	// Dir holds all that the cluster writes. What an earlier cluster left there is removed at the start, its logs too.
	Dir string
	// Bin is the folder with the programs, the repository's bin/.
	Bin string
	// Images is what the node can run; see node.Options.
	Images map[string]string
	// WithoutSources leaves out source-controller and what it fetches from: Git, Registry and Buckets are nil then.
	WithoutSources bool
	// Proxied puts a Proxy in front of the API server.
	Proxied bool
	// Scheme has the types that Client knows, beside Kubernetes' own and CRDs, which are added. Optional.
	Scheme *runtime.Scheme
	Log    logr.Logger
}

// Cluster is a running local cluster.
type Cluster struct {
	// Config and Client are an administrator's.
	Config *rest.Config
	Client client.Client
	Node   *node.Node
	// Git, Registry and Buckets are what sources are fetched from.
	Git      *Git
	Registry *Registry
	Buckets  *Buckets
	// APIServer and Sources are the processes of kube-apiserver and source-controller, for tests that break them.
	APIServer, Sources *Process
	// Proxy stands between the API server and who reaches it by ServiceAccountKubeconfig; nil unless asked for.
	Proxy *Proxy

	opts  Options
	host  string
	port  string
	etcd  *Process
	mu    sync.Mutex
	stops []func() error

	sourcePort, sourceHealth string
}

// Start starts a cluster and returns when it can be used. ctx bounds the start only; Stop ends the cluster.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts, host: "127.0.0.1"}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{"etcd", c.startEtcd},
		{"kube-apiserver", c.startAPIServer},
		{"kube-controller-manager", c.startControllerManager},
		{"proxy", c.startProxy},
		{"node", c.startNode},
		{"git server", c.startGit},
		{"registry", c.startRegistry},
		{"S3 server", c.startBuckets},
		{"source-controller", c.startSourceController},
		{"default namespace", c.awaitDefaultNamespace},
	}
	for _, step := range steps {
		begun := time.Now()
		if err := step.run(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("starting the local cluster: %s: %w", step.name, err), c.Stop())
		}
		opts.Log.V(1).Info("started", "what", step.name, "after", time.Since(begun).Round(time.Millisecond).String())
	}
	return c, nil
}

func (c *Cluster) prepare() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("the local cluster needs root: its node makes namespaces and mounts for containers")
	}
	for _, path := range []*string{&c.opts.Dir, &c.opts.Bin} {
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("finding a folder: %w", err)
		}
	}
	programs := []string{"etcd", "kube-apiserver", "kube-controller-manager"}
	if !c.opts.WithoutSources {
		programs = append(programs, "source-controller", sourceCRDs)
	}
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(c.opts.Bin, name)); err != nil {
			return fmt.Errorf("%w: run hack/companions/build.sh", err)
		}
	}
	return c.clearDir()
}

// marker is the file that says that a cluster has made the folder, and not somebody else.
const marker = ".local-cluster"

// dataFolders hold what a cluster knows, secrets among it.
var dataFolders = []string{"etcd", "pki", "git", "artifacts", "node", "kubeconfigs"}

// clearDir makes the cluster's folders anew. It removes those of an earlier cluster, and nobody else's.
func (c *Cluster) clearDir() error {
	folders := append(slices.Clone(dataFolders), "logs")
	_, err := os.Stat(c.path(marker))
	for _, name := range folders {
		if _, folderErr := os.Lstat(c.path(name)); err != nil && folderErr == nil {
			return fmt.Errorf("%s exists and no local cluster made it: choose another folder", c.path(name))
		}
	}
	if err := errors.Join(Clear(c.opts.Dir), os.RemoveAll(c.path("logs"))); err != nil {
		return err
	}
	for _, name := range folders {
		if err := os.MkdirAll(c.path(name), 0o700); err != nil {
			return fmt.Errorf("making the cluster's folder: %w", err)
		}
	}
	if err := os.WriteFile(c.path(marker), nil, 0o600); err != nil {
		return fmt.Errorf("marking the cluster's folder: %w", err)
	}
	return nil
}

// Clear removes what a cluster that has ended has left in its folder, all but its logs. In a folder that no cluster has made, it
// removes nothing.
func Clear(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("looking whether a cluster made the folder: %w", err)
	}
	for _, name := range append(slices.Clone(dataFolders), "kubeconfig") {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing what a cluster left: %w", err)
		}
	}
	return nil
}

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.opts.Dir}, elem...)...)
}

// connect makes the administrator's client once the API server's address and keys are known.
func (c *Cluster) connect(config *rest.Config) (err error) {
	scheme := c.opts.Scheme
	if scheme == nil {
		scheme = runtime.NewScheme()
	}
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	c.Config = config
	if c.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

func (c *Cluster) startNode(ctx context.Context) (err error) {
	c.Node, err = node.Start(ctx, node.Options{
		Config: c.Config, Name: NodeName, Dir: c.path("node"), Images: c.opts.Images,
		APIServerHost: c.host, APIServerPort: c.podsPort(), Log: c.opts.Log.WithName("node"),
	})
	if err == nil {
		c.onStop(func() error { c.Node.Stop(); return nil })
	}
	return err
}

func (c *Cluster) onStop(stop func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stops = append(c.stops, stop)
}

// Stop ends everything in the reverse order of its start, and returns what did not end as it should. A second
// call does nothing.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	stops := c.stops
	c.stops = nil
	c.mu.Unlock()
	var errs []error
	for _, stop := range slices.Backward(stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
