package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const (
	patience = 30 * time.Second

	// kindsPatience: an API server forgets a kind only when its objects are gone, asked every five seconds, and renews a list
	// of kinds that it was late to renew after a minute.
	kindsPatience = 3 * time.Minute
	asProgram     = "TERRAFORM_CONTROLLER_TEST_PROGRAM"
)

var api *apiserver.Server

// TestMain makes the test's binary behave as the program when it is told so.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(apiserver.Run(m, &api))
}

// installed has CRDs, rights and policies in the cluster, as the local cluster has them.
func installed(t *testing.T) client.Client {
	t.Helper()
	g := NewWithT(t)
	_, err := envtest.InstallCRDs(api.Config, envtest.CRDInstallOptions{
		MaxTime: apiserver.Patience,
		Paths:   []string{filepath.Join(api.Root, "bin", "crds", "source")}, ErrorIfPathMissing: true,
	})
	g.Expect(err).NotTo(HaveOccurred(), "make companions")
	kubectl := exec.Command(filepath.Join(api.Root, "bin", "kubectl"), "apply", "--server-side", "--force-conflicts",
		"--kubeconfig", api.Kubeconfig(t), "-k", filepath.Join(api.Root, "config", "local"))
	out, err := kubectl.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	admin, err := client.New(api.Config, client.Options{Scheme: newScheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return admin
}

// ownKubeconfig is a kubeconfig with the rights of the controller's account.
func ownKubeconfig(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "terraform-controller"}}
	request := &authenticationv1.TokenRequest{}
	g.Expect(api.Client.SubResource("token").Create(t.Context(), account, request)).To(Succeed())
	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			"test": {Server: api.Config.Host, CertificateAuthorityData: api.Config.CAData},
		},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: request.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)).To(Succeed())
	return path
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	return listener.Addr().String()
}

// process is the controller, as a process of its own.
type process struct {
	cmd               *exec.Cmd
	health, artifacts string
	metrics           string
	log               *bytes.Buffer
	ended             chan error
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	g := NewWithT(t)
	p := &process{
		health: freeAddress(t), artifacts: freeAddress(t), metrics: freeAddress(t),
		log: &bytes.Buffer{}, ended: make(chan error, 1),
	}
	own, err := os.Executable()
	g.Expect(err).NotTo(HaveOccurred())
	p.cmd = exec.Command(own, append([]string{
		"--metrics-addr=" + p.metrics, "--health-addr=" + p.health, "--artifact-addr=" + p.artifacts,
		"--artifact-adv-addr=" + p.artifacts, "--runner-image=runner:test", "--log-level=debug",
	}, args...)...)
	p.cmd.Env = []string{asProgram + "=1", "KUBECONFIG=" + ownKubeconfig(t), "RUNTIME_NAMESPACE=flux-system"}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	g.Expect(p.cmd.Start()).To(Succeed())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

func status(url string) func() (int, error) {
	return func() (int, error) {
		resp, err := http.Get(url)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
}

// object makes a source with an artifact and an object that uses it.
func object(t *testing.T, admin client.Client) *infrav1.Terraform {
	t.Helper()
	g := NewWithT(t)
	namespace := api.Namespace(t)
	repository := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"},
		Spec:       sourcev1.GitRepositorySpec{URL: "https://git.example.com/app", Interval: metav1.Duration{Duration: time.Hour}},
	}
	g.Expect(admin.Create(t.Context(), repository)).To(Succeed())
	repository.Status.Artifact = &meta.Artifact{
		Digest: "sha256:" + fmt.Sprintf("%064d", 1), Revision: "main@sha1:0123456789", URL: "http://source/app.tar.gz",
		Path: "app.tar.gz", LastUpdateTime: metav1.Now(),
	}
	g.Expect(admin.Status().Update(t.Context(), repository)).To(Succeed())
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "networking"},
		Spec: infrav1.TerraformSpec{
			Interval:  metav1.Duration{Duration: time.Hour},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "app"},
		},
	}
	g.Expect(admin.Create(t.Context(), tf)).To(Succeed())
	return tf
}

func TestController_WorksWithItsOwnRightsOnly(t *testing.T) {
	compat.Shows(t, "key.field-manager", "promise.multi-tenancy", "use.controller-operation", "flag.--metrics-addr",
		"flag.--health-addr", "flag.--runner-grpc-port",
	)
	admin := installed(t)
	p := start(t, "--enable-leader-election", "--runner-grpc-port=30000")
	g := NewWithT(t)
	g.Eventually(status("http://"+p.health+"/readyz"), patience).Should(Equal(http.StatusOK))
	g.Eventually(status("http://"+p.metrics+"/metrics"), patience).Should(Equal(http.StatusOK))
	p.servesArtifacts(t)

	tf := object(t, admin)
	pod := &corev1.Pod{}
	g.Eventually(func() error {
		return admin.Get(t.Context(), client.ObjectKey{Namespace: tf.Namespace, Name: "networking-tf-runner"}, pod)
	}, patience).Should(Succeed(), "the runner pod")
	g.Expect(pod.Spec.Containers[0].Image).To(Equal("runner:test"))
	g.Expect(pod.ManagedFields).To(ContainElement(HaveField("Manager", "tf-controller")), "what it writes is its own")
	g.Expect(pod.Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "ARTIFACT_URL", Value: "https://" + p.artifacts}))
	run := &infrav1.TerraformRun{}
	g.Expect(admin.Get(t.Context(), client.ObjectKey{
		Namespace: tf.Namespace, Name: pod.Labels[infrav1.RunNameLabel],
	}, run)).To(Succeed(), "the run")
	g.Expect(admin.Get(t.Context(), client.ObjectKey{
		Namespace: tf.Namespace, Name: infrav1.RunnerReportRole,
	}, &rbacv1.RoleBinding{})).To(Succeed(), "the binding that lets the runner report")

	external := externalArtifactUser(t, admin, "")
	g.Eventually(ready(t, admin, external), patience).Should(And(HavePrefix("FeatureGateDisabled: "), HaveSuffix("--feature-gates=ExternalArtifact=true")))

	g.Expect(p.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	g.Eventually(p.ended, patience).Should(Receive(BeNil()), "it ends by itself, and well")
	g.Expect(p.log.String()).To(ContainSubstring("--runner-grpc-port has no effect"))
	g.Expect(p.log.String()).NotTo(ContainSubstring("forbidden"))
}

// externalArtifactUser makes an object whose source is the ExternalArtifact app of that namespace; "" is its own.
func externalArtifactUser(t *testing.T, admin client.Client, sourceNamespace string) *infrav1.Terraform {
	t.Helper()
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: "external"},
		Spec: infrav1.TerraformSpec{
			Interval: metav1.Duration{Duration: time.Hour}, RetryInterval: &metav1.Duration{Duration: time.Hour},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: sourcev1.ExternalArtifactKind, Name: "app", Namespace: sourceNamespace},
		},
	}
	NewWithT(t).Expect(admin.Create(t.Context(), tf)).To(Succeed())
	return tf
}

// ready gives reason and message of the condition Ready.
func ready(t *testing.T, admin client.Client, tf *infrav1.Terraform) func() (string, error) {
	return func() (string, error) {
		err := admin.Get(t.Context(), client.ObjectKeyFromObject(tf), tf)
		return conditions.GetReason(tf, meta.ReadyCondition) + ": " + conditions.GetMessage(tf, meta.ReadyCondition), err
	}
}

// TestController_StartsWithoutFluxAndSeesItCome: a kind of source that the cluster does not have, be it that Flux is older
// or not installed yet, is said where it is used, and nothing has to be started anew when it comes. The source is of
// another namespace, which the flag allows.
func TestController_StartsWithoutFluxAndSeesItCome(t *testing.T) {
	admin := installed(t)
	withoutSources(t)
	p := start(t, "--feature-gates=ExternalArtifact=true", "--allow-cross-namespace-refs")
	g := NewWithT(t)
	g.Eventually(status("http://"+p.health+"/readyz"), patience).Should(Equal(http.StatusOK))
	other := api.Namespace(t)
	tf := externalArtifactUser(t, admin, other)
	g.Eventually(ready(t, admin, tf), patience).Should(HavePrefix("ArtifactFailed: spec.sourceRef: this cluster has no kind ExternalArtifact of source.toolkit.fluxcd.io/v1"))

	admin = installed(t)
	artifact := &sourcev1.ExternalArtifact{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "app"}}
	g.Eventually(func() error { return admin.Create(t.Context(), artifact) }, kindsPatience).Should(Succeed())
	artifact.Status.Artifact = &meta.Artifact{
		Digest: "sha256:" + fmt.Sprintf("%064d", 1), Revision: "latest@sha256:0123456789", URL: "http://source/app.tar.gz",
		Path: "app.tar.gz", LastUpdateTime: metav1.Now(),
	}
	g.Expect(admin.Status().Update(t.Context(), artifact)).To(Succeed())
	g.Eventually(func() error {
		return admin.Get(t.Context(), client.ObjectKey{Namespace: tf.Namespace, Name: "external-tf-runner"}, &corev1.Pod{})
	}, kindsPatience).Should(Succeed(), "the new kind's watch wakes the object, long before its next try")
}

// withoutSources takes the kinds of source-controller from the cluster.
func withoutSources(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(envtest.UninstallCRDs(api.Config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(api.Root, "bin", "crds", "source")},
	})).To(Succeed())
	known, err := discovery.NewDiscoveryClientForConfig(api.Config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func(g Gomega) {
		groups, err := known.ServerGroups()
		g.Expect(err).NotTo(HaveOccurred())
		for _, group := range groups.Groups {
			g.Expect(group.Name).NotTo(Equal(sourcev1.GroupVersion.Group))
		}
	}, kindsPatience).Should(Succeed())
}

// servesArtifacts asks as a runner would, but without a token.
func (p *process) servesArtifacts(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: "flux-system", Name: "terraform-controller-tls"}
	g.Expect(api.Client.Get(t.Context(), key, secret)).To(Succeed())
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(secret.Data["ca.crt"])).To(BeTrue())
	https := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := https.Get("https://" + p.artifacts + "/artifacts/default/run")
	g.Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	g.Expect(resp.StatusCode).To(Equal(http.StatusUnauthorized))
}

func TestController_SaysWhatIsMissing(t *testing.T) {
	compat.Shows(t, "env.RUNTIME_NAMESPACE")
	g := NewWithT(t)
	own, err := os.Executable()
	g.Expect(err).NotTo(HaveOccurred())
	cmd := exec.Command(own)
	cmd.Env = []string{asProgram + "=1"}
	out, err := cmd.CombinedOutput()
	g.Expect(err).To(HaveOccurred())
	g.Expect(string(out)).To(ContainSubstring("RUNTIME_NAMESPACE is not set"))
}
