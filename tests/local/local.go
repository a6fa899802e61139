// Package local is the local cluster with the product in it: our CRDs and rights are installed, and the controller
// runs as a process with the kubeconfig of its own ServiceAccount, so that its rights are tried by everything.
package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/go-logr/logr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

const (
	// Namespace and Account of the controller.
	Namespace = "flux-system"
	Account   = "terraform-controller"

	// RunnerImage is the name under which the node knows the runner's folder.
	RunnerImage = "terraform-runner:local"

	readyTimeout = 2 * time.Minute
	readyEvery   = 50 * time.Millisecond
)

// Options of a System.
type Options struct {
	// Root of the repository: bin/ holds the programs.
	Root string
	// RunnerFolder is the runner image. Default: build/runner-image.
	RunnerFolder string
	// Dir holds all that the cluster writes.
	Dir string
	Log logr.Logger
	// Images that the node can run, besides RunnerImage.
	Images map[string]string
	// ControllerArgs are added to the controller's flags.
	ControllerArgs []string
	// Proxied lets the controller reach the API server through the cluster's Proxy.
	Proxied bool
}

// System is a cluster with the product.
type System struct {
	*cluster.Cluster
	// Controller is the process of the first replica.
	Controller *cluster.Process
	// ArtifactEndpoint is the address of the first replica's.
	ArtifactEndpoint string

	opts Options
}

// Start starts cluster and controller, and returns when both are ready. ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*System, error) {
	var err error
	if opts.Root, err = filepath.Abs(opts.Root); err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	images := map[string]string{RunnerImage: cmp.Or(opts.RunnerFolder, filepath.Join(opts.Root, "build", "runner-image"))}
	maps.Copy(images, opts.Images)
	c, err := cluster.Start(ctx, cluster.Options{Dir: opts.Dir, Bin: filepath.Join(opts.Root, "bin"), Images: images, Proxied: opts.Proxied, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	s := &System{Cluster: c, opts: opts}
	utilruntime.Must(infrav1.AddToScheme(c.Client.Scheme()))
	utilruntime.Must(sourcev1.AddToScheme(c.Client.Scheme()))
	if err := s.install(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if s.Controller, err = s.StartController(ctx, "terraform-controller"); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return s, nil
}

func (s *System) install(ctx context.Context) error {
	manifests, err := exec.CommandContext(ctx, s.bin("kubectl"), "kustomize", filepath.Join(s.opts.Root, "config", "local")).Output()
	if err != nil {
		return fmt.Errorf("rendering config/local: %w", err)
	}
	return s.Apply(ctx, bytes.NewReader(manifests))
}

func (s *System) bin(name string) string { return filepath.Join(s.opts.Root, "bin", name) }

// StartController starts one more replica of the controller and waits until it is ready. What it logs is in
// logs/<name>.log.
func (s *System) StartController(ctx context.Context, name string, args ...string) (*cluster.Process, error) {
	kubeconfig, err := s.ServiceAccountKubeconfig(ctx, Namespace, Account)
	if err != nil {
		return nil, err
	}
	health, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	artifacts, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	if s.ArtifactEndpoint == "" {
		s.ArtifactEndpoint = artifacts
	}
	cmd := exec.Command(s.bin("terraform-controller"), append(append([]string{
		"--metrics-addr=0", "--health-addr=" + health, "--artifact-addr=" + artifacts, "--artifact-adv-addr=" + artifacts,
		"--runner-image=" + RunnerImage, "--egress-allowed-cidrs=127.0.0.0/8", "--log-level=debug", "--log-encoding=console", "--events-addr=",
	}, s.opts.ControllerArgs...), args...)...)
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "RUNTIME_NAMESPACE=" + Namespace}
	p, err := s.StartProcess(name, cmd)
	if err != nil {
		return nil, err
	}
	return p, awaitReady(ctx, "http://"+health+"/readyz", p)
}

func awaitReady(ctx context.Context, url string, p *cluster.Process) error {
	err := wait.PollUntilContextTimeout(ctx, readyEvery, readyTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.Done():
			return false, errors.New("it has ended")
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not listening yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		return fmt.Errorf("waiting for the controller (its log: %s): %w", p.LogPath(), err)
	}
	return nil
}

// FreeAddress is one of loopback on which nobody listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
