package runner_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/runner/engine"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

var api *apiserver.Server

func TestMain(m *testing.M) {
	if err := engine.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(apiserver.Run(m, &api))
}

// podUID is that of the pod that the runner believes to be.
const podUID = "9b2f7c1e-0000-4000-8000-000000000001"

// revision of all artifacts.
const revision = "main@sha1:b8e362c206e3d0cbb7ed22ced771a0056455a2fb"

// world is one Terraform object with its artifact, and a runner that works with the rights of a runner's account.
type world struct {
	t         *testing.T
	namespace string
	terraform *v1alpha2.Terraform
	files     map[string]string
	cfg       runner.Config
	log       *journal
	runs      int
	// onFetch is called when the artifact is fetched.
	onFetch func()
}

// reportRules are those of the ClusterRole terraform-runner-report, accountRules those of tf-runner-role.
var (
	reportRules = []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha2.GroupVersion.Group}, Resources: []string{"terraforms"}, Verbs: []string{"get"}},
		{APIGroups: []string{v1alpha2.GroupVersion.Group}, Resources: []string{"terraformruns"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{v1alpha2.GroupVersion.Group}, Resources: []string{"terraformruns/status"}, Verbs: []string{"patch"}},
	}
	accountRules = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get", "list", "create", "update", "patch", "delete"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "create", "update", "patch", "delete"}},
	}
)

// journal is a log that several goroutines write.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) add(prefix, args string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.WriteString(prefix + args + "\n")
}

// newWorld makes a world. The state is in a Secret; the engine's account is an administrator's kubeconfig, as there is
// no pod whose account it could have.
func newWorld(t *testing.T, files map[string]string, change func(*v1alpha2.TerraformSpec)) *world {
	t.Helper()
	w := &world{t: t, namespace: api.Namespace(t), files: files, log: &journal{}}
	w.environment()
	spec := v1alpha2.TerraformSpec{
		Interval:      metav1.Duration{Duration: time.Hour},
		SourceRef:     v1alpha2.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "infra"},
		BackendConfig: &v1alpha2.BackendConfigSpec{SecretSuffix: "demo"},
	}
	if change != nil {
		change(&spec)
	}
	w.terraform = &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "demo"}, Spec: spec}
	api.Create(t, w.terraform)

	server := httptest.NewTLSServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	w.cfg = runner.Config{
		Client:    w.account(),
		Namespace: w.namespace,
		PodName:   "demo-tf-runner",
		Runner:    v1alpha2.RunnerIdentity{PodUID: podUID, Node: "node-1"},
		Artifacts: runner.Artifacts{
			URL:       server.URL,
			CA:        pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			TokenFile: w.file("token", "the-token"),
			MaxBytes:  1 << 20,
		},
		Root:   t.TempDir(),
		Home:   t.TempDir(),
		Getenv: os.Getenv,
		Setenv: func(name, value string) error {
			t.Setenv(name, value)
			return nil
		},
		Unsetenv: os.Unsetenv,
		Grace:    20 * time.Second,
		Now:      time.Now,
		Log:      w.logger(),
	}
	return w
}

// environment is what a pod gives to the engine.
func (w *world) environment() {
	w.t.Setenv("PATH", filepath.Join(api.Root, "bin")+":"+os.Getenv("PATH"))
	w.t.Setenv("KUBE_CONFIG_PATH", api.Kubeconfig(w.t))
	w.t.Setenv("TF_CLI_CONFIG_FILE", w.file("tofurc", fmt.Sprintf(
		"disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", filepath.Join(api.Root, "bin", "mirror"))))
}

// wrapTofu puts a shell script in place of tofu; TOFU is the path of the real one.
func (w *world) wrapTofu(script string) {
	w.t.Helper()
	dir := w.t.TempDir()
	text := "#!/bin/sh\nTOFU=" + filepath.Join(api.Root, "bin", "tofu") + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "tofu"), []byte(text), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func (w *world) file(name, content string) string {
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) logger() logr.Logger {
	return funcr.New(w.log.add, funcr.Options{})
}

// account is a client with exactly the rights of a runner.
func (w *world) account() client.WithWatch {
	w.t.Helper()
	api.Account(w.t, w.namespace, "tf-runner", slices.Concat(reportRules, accountRules)...)
	config := rest.CopyConfig(api.Config)
	config.Impersonate.UserName = "system:serviceaccount:" + w.namespace + ":tf-runner"
	c, err := client.NewWithWatch(config, client.Options{Scheme: api.Client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// serve is the controller's artifact endpoint.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	want := fmt.Sprintf("/artifacts/%s/demo-%d", w.namespace, w.runs)
	if r.URL.Path != want || r.Header.Get("Authorization") != "Bearer the-token" {
		http.Error(rw, "want "+want+" with the token", http.StatusForbidden)
		return
	}
	if w.onFetch != nil {
		w.onFetch()
	}
	if _, err := rw.Write(w.artifact()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) artifact() []byte {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	tw := tar.NewWriter(gz)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		content := w.files[name]
		errs = append(errs, tw.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := tw.Write([]byte(content))
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, tw.Close(), gz.Close())...); err != nil {
		w.t.Error(err)
	}
	return packed.Bytes()
}

// newRun creates a run of the object's spec and makes it the active one.
func (w *world) newRun(operation v1alpha2.Operation, change func(*v1alpha2.TerraformRun)) *v1alpha2.TerraformRun {
	w.t.Helper()
	w.runs++
	yes := true
	run := &v1alpha2.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: fmt.Sprintf("demo-%d", w.runs),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha2.GroupVersion.String(), Kind: v1alpha2.TerraformKind,
				Name: w.terraform.Name, UID: w.terraform.UID, Controller: &yes,
			}},
		},
		Spec: v1alpha2.TerraformRunSpec{
			Operation: operation, Reason: "Test", PodName: "demo-tf-runner", Hostname: "demo-x", Target: "t",
			Terraform: *w.terraform.Spec.DeepCopy(),
			Source: v1alpha2.RunSource{Kind: "GitRepository", Namespace: w.namespace, Name: "infra", Revision: revision,
				Digest: digest.FromBytes(w.artifact()).String(), URL: "http://source"},
		},
	}
	if change != nil {
		change(run)
	}
	// The controller reserves a run before it creates it, too.
	w.terraform.Status.ActiveRun = &v1alpha2.ActiveRun{Name: run.Name, Sequence: int64(w.runs)}
	if err := api.Client.Status().Update(w.t.Context(), w.terraform); err != nil {
		w.t.Fatal(err)
	}
	api.Create(w.t, run)
	return run
}

// change changes the object's spec.
func (w *world) change(change func(*v1alpha2.TerraformSpec)) {
	w.t.Helper()
	change(&w.terraform.Spec)
	if err := api.Client.Update(w.t.Context(), w.terraform); err != nil {
		w.t.Fatal(err)
	}
}

// execute does a run and returns it as it is then.
func (w *world) execute(ctx context.Context, run *v1alpha2.TerraformRun) *v1alpha2.TerraformRun {
	w.t.Helper()
	if err := runner.Execute(ctx, w.cfg, run.Name); err != nil {
		w.t.Fatalf("execute %s: %v\n%s", run.Name, err, w.log)
	}
	return w.get(run)
}

func (w *world) get(run *v1alpha2.TerraformRun) *v1alpha2.TerraformRun {
	w.t.Helper()
	now := &v1alpha2.TerraformRun{}
	if err := api.Client.Get(w.t.Context(), client.ObjectKeyFromObject(run), now); err != nil {
		w.t.Fatal(err)
	}
	return now
}

// plan does a plan that has to succeed.
func (w *world) plan() *v1alpha2.TerraformRun {
	w.t.Helper()
	run := w.execute(w.t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	NewWithT(w.t).Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
	return run
}

// applyRun makes a run that applies the plan of another run.
func (w *world) applyRun(planned *v1alpha2.TerraformRun, change func(*v1alpha2.TerraformRun)) *v1alpha2.TerraformRun {
	w.t.Helper()
	return w.newRun(v1alpha2.OperationApply, func(run *v1alpha2.TerraformRun) {
		run.Spec.Plan = &v1alpha2.PlanReference{ID: planned.Status.Plan.ID, Digest: planned.Status.Plan.Digest}
		run.Spec.State = planned.Status.State
		run.Spec.Approval = &v1alpha2.Approval{How: v1alpha2.ApprovalByMode}
		if change != nil {
			change(run)
		}
	})
}

// apply does an apply that has to succeed.
func (w *world) apply(planned *v1alpha2.TerraformRun) *v1alpha2.TerraformRun {
	w.t.Helper()
	run := w.execute(w.t.Context(), w.applyRun(planned, nil))
	NewWithT(w.t).Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
	return run
}

// secret of the world's namespace.
func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	found := &corev1.Secret{}
	if err := api.Client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, found); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// createSecret makes a Secret in the world's namespace.
func (w *world) createSecret(name string, data map[string]string) {
	w.t.Helper()
	api.Create(w.t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, StringData: data})
}

// onVolume makes a folder one that outlives the pod.
func onVolume(s *v1alpha2.TerraformSpec, dir string) {
	pod := &s.RunnerPodTemplate.Spec
	pod.VolumeMounts = append(pod.VolumeMounts, corev1.VolumeMount{Name: "kept", MountPath: dir})
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "kept", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}})
}
