package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2/textlogger"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

const helperDir = "CLUSTER_TEST_DIR"

var local *cluster.Cluster

func TestMain(m *testing.M) {
	node.MaybeChild()
	if dir := os.Getenv(helperDir); dir != "" {
		os.Exit(helper(dir))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		return fail(err)
	}
	o := options(dir)
	o.Scheme = runtime.NewScheme()
	if err := sourcev1.AddToScheme(o.Scheme); err != nil {
		return fail(err)
	}
	if local, err = cluster.Start(context.Background(), o); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := local.Stop(); err != nil {
		return fail(err)
	}
	if left := running(dir); len(left) > 0 {
		return fail(fmt.Errorf("these processes are left: %q", left))
	}
	if err := os.RemoveAll(dir); err != nil {
		return fail(err)
	}
	return code
}

func options(dir string) cluster.Options {
	return cluster.Options{
		Dir: dir, Bin: "../../bin", Images: map[string]string{"empty": filepath.Dir(dir)},
		Log: textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1))),
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// running lists the processes whose environment or arguments tell that they belong to the cluster of that folder.
func running(dir string) (commands []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		env, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(env), "HOME="+dir+"\x00") {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			commands = append(commands, string(command))
		}
	}
	return commands
}

type bench struct {
	*WithT
	ctx       context.Context
	namespace string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{WithT: NewWithT(t), ctx: t.Context()}
	b.SetDefaultEventuallyTimeout(30 * time.Second)
	b.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	var err error
	b.namespace, err = local.Namespace(b.ctx, "cluster")
	b.Expect(err).NotTo(HaveOccurred())
	return b
}

func TestSources_FollowTheRepository(t *testing.T) {
	b := newBench(t)
	repo, err := local.Git.Repo(b.ctx, "infra")
	b.Expect(err).NotTo(HaveOccurred())
	first, err := repo.Commit(b.ctx, "first", map[string]string{"main.tf": "# one\n", "modules/a/main.tf": ""})
	b.Expect(err).NotTo(HaveOccurred())

	source := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "infra"}}
	source.Spec = sourcev1.GitRepositorySpec{
		URL: repo.URL, Interval: metav1.Duration{Duration: time.Minute}, Reference: &sourcev1.GitRepositoryRef{Branch: cluster.Branch},
	}
	b.Expect(local.Client.Create(b.ctx, source)).To(Succeed())
	artifact := func(sha string) {
		t.Helper()
		b.Eventually(func() (string, error) {
			err := local.Client.Get(b.ctx, client.ObjectKeyFromObject(source), source)
			if source.Status.Artifact == nil {
				return "", err
			}
			return source.Status.Artifact.Revision, err
		}).Should(Equal(cluster.Branch + "@sha1:" + sha))
	}
	artifact(first)

	second, err := repo.Commit(b.ctx, "second", map[string]string{"main.tf": "# two\n"}, "modules")
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(second).NotTo(Equal(first))
	third, err := repo.Revert(b.ctx)
	b.Expect(err).NotTo(HaveOccurred())
	ask := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"now"}}}`))
	b.Expect(local.Client.Patch(b.ctx, source, ask)).To(Succeed())
	artifact(third)
	again, err := local.Git.Repo(b.ctx, "infra")
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(again).To(BeIdenticalTo(repo))
}

func TestInstall_WaitsForCRDs(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	manifest := `apiVersion: example.com/v1
kind: Thing
metadata: {name: one, namespace: ` + b.namespace + `}
---
# nothing here
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`
	b.Expect(os.WriteFile(filepath.Join(dir, "things.yaml"), []byte(manifest), 0o600)).To(Succeed())
	b.Expect(os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [things.yaml]"), 0o600)).To(Succeed())
	b.Expect(local.Install(b.ctx, dir)).To(Succeed())
	b.Expect(local.Install(b.ctx, dir)).To(Succeed(), "a second time")
	b.Expect(local.Install(b.ctx, filepath.Join(dir, "none"))).NotTo(Succeed())
}

func TestServiceAccountKubeconfig_HasTheAccountsRights(t *testing.T) {
	b := newBench(t)
	path, err := local.ServiceAccountKubeconfig(b.ctx, b.namespace, "default")
	b.Expect(err).NotTo(HaveOccurred())
	config, err := clientcmd.BuildConfigFromFlags("", path)
	b.Expect(err).NotTo(HaveOccurred())
	c, err := client.New(config, client.Options{})
	b.Expect(err).NotTo(HaveOccurred())
	err = c.List(b.ctx, &corev1.SecretList{}, client.InNamespace(b.namespace))
	b.Expect(apierrors.IsForbidden(err)).To(BeTrue())
	b.Expect(err).To(MatchError(ContainSubstring("system:serviceaccount:" + b.namespace + ":default")))
}

func TestAdmission_RefusesAMissingServiceAccount(t *testing.T) {
	b := newBench(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "pod"}}
	pod.Spec = corev1.PodSpec{ServiceAccountName: "missing", Containers: []corev1.Container{{Name: "main", Image: "empty"}}}
	b.Expect(apierrors.IsForbidden(local.Client.Create(b.ctx, pod))).To(BeTrue())
}

func TestNamespace_IsDeletedWithItsPods(t *testing.T) {
	b := newBench(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "pod"}}
	grace := int64(1)
	pod.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{
		Name: "main", Image: "empty", Command: []string{"sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait"},
	}}}
	b.Expect(local.Client.Create(b.ctx, pod)).To(Succeed())
	b.Eventually(func() []node.Process { return local.Node.Processes() }).Should(HaveLen(1))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}
	b.Expect(local.Client.Delete(b.ctx, namespace)).To(Succeed())
	b.Eventually(func() bool {
		return apierrors.IsNotFound(local.Client.Get(b.ctx, client.ObjectKeyFromObject(namespace), namespace))
	}).Should(BeTrue())
	b.Expect(local.Node.Processes()).To(BeEmpty())
}

func TestGarbageCollection_FollowsOwners(t *testing.T) {
	b := newBench(t)
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "owner"}}
	b.Expect(local.Client.Create(b.ctx, owner)).To(Succeed())
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "owned", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID},
	}}}
	b.Expect(local.Client.Create(b.ctx, owned)).To(Succeed())
	b.Expect(local.Client.Delete(b.ctx, owner)).To(Succeed())
	b.Eventually(func() bool {
		return apierrors.IsNotFound(local.Client.Get(b.ctx, client.ObjectKeyFromObject(owned), owned))
	}).Should(BeTrue())
}

func TestStartProcess_CanBeStoppedAndRead(t *testing.T) {
	b := newBench(t)
	p, err := local.StartProcess("polite", exec.Command("sh", "-c", "trap 'echo asked; exit 3' TERM; env; echo up; sleep 60 & wait"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Eventually(func() (string, error) {
		log, err := os.ReadFile(p.LogPath())
		return string(log), err
	}).Should(ContainSubstring("up\n"))
	b.Expect(p.Signal(syscall.SIGTERM)).To(Succeed())
	b.Expect(p.Wait(b.ctx)).To(MatchError("exit status 3"))
	b.Expect(p.Stop()).To(Succeed(), "also when it has ended")
	log, err := os.ReadFile(p.LogPath())
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(string(log)).To(ContainSubstring("asked"))
	b.Expect(string(log)).NotTo(ContainSubstring("TF_CLI_CONFIG_FILE"))

	killed, err := local.StartProcess("killed", exec.Command("sleep", "60"))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(killed.Kill()).To(Succeed())
	b.Expect(killed.Wait(b.ctx)).To(MatchError("signal: killed"))
}

func TestStart_NamesTheRemedyWhenProgramsAreMissing(t *testing.T) {
	b := newBench(t)
	o := options(t.TempDir())
	o.Bin = t.TempDir()
	_, err := cluster.Start(b.ctx, o)
	b.Expect(err).To(MatchError(ContainSubstring("hack/companions/build.sh")))
}

func TestStart_LeavesOthersFilesAlone(t *testing.T) {
	b := newBench(t)
	o := options(t.TempDir())
	b.Expect(os.Mkdir(filepath.Join(o.Dir, "logs"), 0o755)).To(Succeed())
	_, err := cluster.Start(b.ctx, o)
	b.Expect(err).To(MatchError(ContainSubstring("choose another folder")))
	b.Expect(filepath.Join(o.Dir, "logs")).To(BeADirectory())
}

// helper is the program that the next test starts and kills.
func helper(dir string) int {
	o := options(dir)
	o.WithoutSources = true
	c, err := cluster.Start(context.Background(), o)
	if err != nil {
		return fail(err)
	}
	if _, err := c.StartProcess("extra", exec.Command("sleep", "60")); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "up"), nil, 0o600); err != nil {
		return fail(err)
	}
	select {}
}

func TestAll_DiesWithItsParent(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	b.Expect(cmd.Start()).To(Succeed())
	b.Eventually(filepath.Join(dir, "up")).Should(BeAnExistingFile())
	b.Expect(running(dir)).To(HaveLen(4))
	b.Expect(cmd.Process.Kill()).To(Succeed())
	b.Expect(cmd.Wait()).To(MatchError("signal: killed"))
	b.Eventually(func() []string { return running(dir) }).Should(BeEmpty())
}
