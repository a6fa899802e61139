// Package apiserver runs a real kube-apiserver and etcd for the tests of one package: our CRDs installed, RBAC on,
// no controllers (nothing collects garbage or ends a namespace).
package apiserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Patience is what a start or stop of the two processes may take on a busy machine.
const Patience = 2 * time.Minute

// Server is a running API server.
type Server struct {
	// Root is the root folder of the repository.
	Root string
	// Config is an administrator's access.
	Config *rest.Config
	// Client reads and writes as an administrator, without a cache.
	Client client.Client

	env *envtest.Environment
}

// Run starts a server, puts it into *server, runs the tests and stops it; the result is the exit code. For TestMain. Fuzz
// targets get no server: their processes are many.
func Run(m *testing.M, server **Server) int {
	flag.Parse()
	if target := flag.Lookup("test.fuzz"); target != nil && target.Value.String() != "" {
		return m.Run()
	}
	s, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube-apiserver for the tests:", err)
		return 1
	}
	*server = s
	code := m.Run()
	if err := s.env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping kube-apiserver:", err)
		return 1
	}
	return code
}

func start() (*Server, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, "bin")
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("bin/%s is missing, hack/companions/build.sh makes it: %w", name, err)
		}
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    bin,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: Patience},
		ControlPlaneStartTimeout: Patience,
		ControlPlaneStopTimeout:  Patience,
	}
	config, err := env.Start()
	if err != nil {
		return nil, errors.Join(err, env.Stop())
	}
	config.QPS, config.Burst = 200, 400
	c, err := NewClient(config)
	if err != nil {
		return nil, errors.Join(err, env.Stop())
	}
	return &Server{Root: root, Config: config, Client: c, env: env}, nil
}

// findRoot goes up from the folder of the package under test to the one that holds the CRDs.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "config", "crd", "bases")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no folder above this package holds config/crd/bases")
}

// NewClient is an uncached client that knows Kubernetes' types and ours.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha2.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// Namespace makes a namespace for one test.
func (s *Server) Namespace(t testing.TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	s.Create(t, ns)
	return ns.Name
}

// Create creates objects or ends the test.
func (s *Server) Create(t testing.TB, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := s.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("creating %T %s: %v", o, o.GetName(), err)
		}
	}
}

// Account is a client with the rights of a ServiceAccount of that name that has these rules in its namespace, and
// no others.
func (s *Server) Account(t testing.TB, namespace, name string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	s.Create(t, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	})
	config := rest.CopyConfig(s.Config)
	config.Impersonate.UserName = fmt.Sprintf("system:serviceaccount:%s:%s", namespace, name)
	c, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	s.awaitRights(t, c, namespace, rules)
	return c
}

// awaitRights waits until the authorizer, which watches roles and bindings, knows what was granted.
func (s *Server) awaitRights(t testing.TB, c client.Client, namespace string, rules []rbacv1.PolicyRule) {
	t.Helper()
	last := rules[len(rules)-1]
	resource, subresource, _ := strings.Cut(last.Resources[0], "/")
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, Patience, true, func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: last.Verbs[0], Group: last.APIGroups[0], Resource: resource, Subresource: subresource,
			},
		}}
		err := c.Create(ctx, review)
		return review.Status.Allowed, err
	})
	if err != nil {
		t.Fatalf("rights in %s are not known to the API server: %v", namespace, err)
	}
}

// Kubeconfig writes an administrator's kubeconfig into the test's folder and returns its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	user, err := s.env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
