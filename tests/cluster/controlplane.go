package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	startTimeout = time.Minute
	pollEvery    = 50 * time.Millisecond
	// sourceCRDs are source-controller's, beside the programs.
	sourceCRDs = "crds/source"
	// sourcesNamespace is source-controller's own.
	sourcesNamespace = "flux-system"
)

// controllers are what a cluster without workload kinds needs of kube-controller-manager.
var controllers = []string{
	"clusterrole-aggregation-controller", "garbage-collector-controller", "namespace-controller",
	"root-ca-certificate-publisher-controller", "serviceaccount-controller", "validatingadmissionpolicy-status-controller",
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (c *Cluster) program(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(c.opts.Bin, name), args...)
}

// await polls until check says nil, a process ends or it has taken too long.
func await(ctx context.Context, check func(context.Context) error, processes ...*Process) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollEvery, startTimeout, true, func(ctx context.Context) (bool, error) {
		for _, p := range processes {
			select {
			case <-p.Done():
				return false, p.ended()
			default:
			}
		}
		last = check(ctx)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("not ready in time: %w", errors.Join(err, last))
	}
	return err
}

// healthy checks an HTTP end point.
func healthy(httpClient *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := httpClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}

// etcdURL names a socket in the folder that both etcd and the API server start in: an absolute path may be longer
// than a socket's can be.
const etcdURL = "unix://etcd:0"

func (c *Cluster) startEtcd(context.Context) (err error) {
	cmd := c.program("etcd", "--data-dir=data", "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=unix://peer:0", "--initial-advertise-peer-urls=unix://peer:0", "--initial-cluster=default=unix://peer:0")
	cmd.Dir = c.path("etcd")
	c.etcd, err = c.StartProcess("etcd", cmd)
	return err
}

// keys writes what the API server shows and checks, and returns an administrator's access to it.
func (c *Cluster) keys() (*rest.Config, error) {
	ca, key, err := cert.GenerateSelfSignedCertKey(c.host, []net.IP{net.ParseIP(c.host)}, []string{"localhost"})
	if err != nil {
		return nil, fmt.Errorf("making the server's certificate: %w", err)
	}
	signer, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, fmt.Errorf("making the key for service account tokens: %w", err)
	}
	token := rand.Text()
	for name, data := range map[string][]byte{
		"server.crt": ca, "server.key": key, "sa.key": signer, "tokens.csv": []byte(token + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(c.path("pki", name), data, 0o600); err != nil {
			return nil, fmt.Errorf("writing the keys: %w", err)
		}
	}
	return &rest.Config{
		Host: "https://" + net.JoinHostPort(c.host, c.port), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		QPS: -1,
	}, nil
}

func (c *Cluster) startAPIServer(ctx context.Context) (err error) {
	if c.port, err = freePort(); err != nil {
		return err
	}
	config, err := c.keys()
	if err != nil {
		return err
	}
	if err := c.connect(config); err != nil {
		return err
	}
	if err := writeKubeconfig(c.Kubeconfig(), config); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// StartAPIServer starts kube-apiserver, also once more after it was stopped: on the same port, with the same data. It
// returns when it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) (err error) {
	cmd := c.program("kube-apiserver",
		"--etcd-servers="+etcdURL, "--bind-address="+c.host, "--advertise-address="+c.host, "--secure-port="+c.port,
		"--tls-cert-file="+c.path("pki", "server.crt"), "--tls-private-key-file="+c.path("pki", "server.key"),
		"--cert-dir="+c.path("pki"), "--token-auth-file="+c.path("pki", "tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.path("pki", "sa.key"),
		"--service-account-signing-key-file="+c.path("pki", "sa.key"), "--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none", "--allow-privileged=true")
	cmd.Dir = c.path("etcd")
	first := c.APIServer == nil
	if c.APIServer, err = c.launch("kube-apiserver", cmd); err != nil {
		return err
	}
	if first { // A later one, too, is stopped in its turn, after all who talk to it: it would wait for them.
		c.onStop(func() error { return c.APIServer.Stop() })
	}
	httpClient, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return await(ctx, healthy(httpClient, c.Config.Host+"/readyz"), c.etcd, c.APIServer)
}

func (c *Cluster) startControllerManager(context.Context) error {
	_, err := c.StartProcess("kube-controller-manager", c.program("kube-controller-manager",
		"--kubeconfig="+c.Kubeconfig(), "--controllers="+strings.Join(controllers, ","), "--leader-elect=false",
		"--secure-port=0", "--use-service-account-credentials=true", "--root-ca-file="+c.path("pki", "server.crt")))
	return err
}

func (c *Cluster) awaitDefaultNamespace(ctx context.Context) error {
	return c.awaitNamespace(ctx, metav1.NamespaceDefault)
}

// awaitNamespace waits for what kube-controller-manager puts into each namespace: without it no pod is admitted,
// nor can it start.
func (c *Cluster) awaitNamespace(ctx context.Context, namespace string) error {
	err := wait.PollUntilContextTimeout(ctx, pollEvery, startTimeout, true, func(ctx context.Context) (bool, error) {
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
		if err == nil {
			err = c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "kube-root-ca.crt"}, &corev1.ConfigMap{})
		}
		return err == nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("waiting until pods can be made in namespace %s: %w", namespace, err)
	}
	return nil
}

func (c *Cluster) startSourceController(ctx context.Context) error {
	if c.opts.WithoutSources {
		return nil
	}
	if err := c.Install(ctx, filepath.Join(c.opts.Bin, sourceCRDs)); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sourcesNamespace}}
	if err := c.Client.Create(ctx, namespace); err != nil {
		return fmt.Errorf("making the namespace: %w", err)
	}
	for _, port := range []*string{&c.sourcePort, &c.sourceHealth} {
		free, err := freePort()
		if err != nil {
			return err
		}
		*port = free
	}
	return c.StartSources(ctx)
}

// StartSources starts source-controller, also once more after it was stopped: at the same address, with the same
// artifacts. It returns when it is ready.
func (c *Cluster) StartSources(ctx context.Context) (err error) {
	storage, health := "127.0.0.1:"+c.sourcePort, "127.0.0.1:"+c.sourceHealth
	cmd := c.program("source-controller",
		"--storage-path="+c.Artifacts(), "--storage-addr="+storage, "--storage-adv-addr="+storage,
		"--metrics-addr=0", "--health-addr="+health, "--events-addr=", "--enable-leader-election=false",
		"--watch-all-namespaces", "--log-level=info", "--log-encoding=console")
	cmd.Env = c.env("KUBECONFIG="+c.Kubeconfig(), "RUNTIME_NAMESPACE="+sourcesNamespace, "TUF_ROOT="+c.path("artifacts", "sigstore"))
	if c.Sources, err = c.StartProcess("source-controller", cmd); err != nil {
		return err
	}
	return await(ctx, healthy(http.DefaultClient, "http://"+health+"/readyz"), c.Sources)
}

// Artifacts is the folder of source-controller's artifacts.
func (c *Cluster) Artifacts() string { return c.path("artifacts") }
