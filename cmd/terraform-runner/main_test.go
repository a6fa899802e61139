package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/runner/engine"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

// asProgram makes the test's binary behave as the program.
const asProgram = "TERRAFORM_RUNNER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(apiserver.Run(m, &api))
}

func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), own, args...)
	cmd.Env = append([]string{asProgram + "=1", "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

func TestVersion(t *testing.T) {
	out, err := program(t, nil, "version").Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(string(out)).To(Equal(version + "\n"))
}

func TestInstall_CopiesTheProgram(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "bin")
	for range 2 {
		out, err := program(t, nil, "install", dir).CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
	}
	entries, err := os.ReadDir(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entries).To(HaveLen(1), "nothing but the program is left")
	cmd := program(t, nil, "version")
	cmd.Path = filepath.Join(dir, "terraform-runner")
	out, err := cmd.Output()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(out)).To(Equal(version + "\n"))
}

func TestRun_NamesWhatIsMissing(t *testing.T) {
	out, err := program(t, []string{"POD_UID=u"}, "run").CombinedOutput()
	NewWithT(t).Expect(err).To(MatchError("exit status 1"))
	NewWithT(t).Expect(string(out)).To(Equal("terraform-runner: POD_NAMESPACE is not set\nRUN_NAME is not set\nARTIFACT_URL is not set\n"))
}

// world is a run in a namespace, and the environment of its pod. Nobody serves an artifact.
func world(t *testing.T, active string) (*v1alpha2.TerraformRun, []string) {
	t.Helper()
	namespace := api.Namespace(t)
	spec := v1alpha2.TerraformSpec{Interval: metav1.Duration{Duration: time.Hour}, SourceRef: v1alpha2.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "x"}}
	tf := &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "demo"}, Spec: spec}
	api.Create(t, tf)
	yes := true
	run := &v1alpha2.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "demo-1", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha2.GroupVersion.String(), Kind: v1alpha2.TerraformKind, Name: tf.Name, UID: tf.UID, Controller: &yes}}},
		Spec: v1alpha2.TerraformRunSpec{Operation: v1alpha2.OperationPlan, Reason: "Test", Target: "t", PodName: "p", Hostname: "h", Terraform: spec,
			Source: v1alpha2.RunSource{Kind: "GitRepository", Namespace: namespace, Name: "x", Revision: "main@sha1:1", Digest: "sha256:" + strings.Repeat("0", 64), URL: "http://x"}},
	}
	api.Create(t, run)
	tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: active, Sequence: 1}
	if err := api.Client.Status().Update(t.Context(), tf); err != nil {
		t.Fatal(err)
	}
	return run, []string{
		"KUBECONFIG=" + api.Kubeconfig(t), "POD_NAME=p", "POD_NAMESPACE=" + namespace, "POD_UID=u", "NODE_NAME=n", "RUN_NAME=demo-1",
		"ARTIFACT_URL=https://127.0.0.1:1", "TERMINATION_GRACE_SECONDS=30", "HOME=" + t.TempDir(),
	}
}

func get(t *testing.T, run *v1alpha2.TerraformRun) *v1alpha2.TerraformRun {
	t.Helper()
	now := &v1alpha2.TerraformRun{}
	if err := api.Client.Get(t.Context(), client.ObjectKeyFromObject(run), now); err != nil {
		t.Fatal(err)
	}
	return now
}

func TestRun_ThatIsToldToEndStillReports(t *testing.T) {
	compat.Shows(t, "documented.sensitive-logs", "env.ENABLE_SENSITIVE_TF_LOGS")
	g := NewWithT(t)
	run, env := world(t, "demo-1")
	token := filepath.Join(t.TempDir(), "token")
	g.Expect(os.WriteFile(token, []byte("t"), 0o600)).To(Succeed())
	cmd := program(t, env, "run", "--work-root="+t.TempDir(), "--artifact-token-file="+token)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Env = append(cmd.Env, "ENABLE_SENSITIVE_TF_LOGS=1")
	g.Expect(cmd.Start()).To(Succeed())
	g.Eventually(func() v1alpha2.RunPhase { return get(t, run).Status.Phase }, "30s", "20ms").Should(Equal(v1alpha2.RunRunning))
	g.Expect(cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	g.Expect(cmd.Wait()).To(Succeed(), "a failed run that was reported is exit code 0\n"+out.String())

	g.Expect(out.String()).To(ContainSubstring("ENABLE_SENSITIVE_TF_LOGS has no effect"))

	status := get(t, run).Status
	g.Expect(status.Runner).To(Equal(&v1alpha2.RunnerIdentity{PodUID: "u", Node: "n"}))
	g.Expect(status.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(status.Failure.Reason).To(Equal(v1alpha2.ReasonInterrupted))
	for line := range strings.Lines(out.String()) {
		g.Expect(json.Valid([]byte(line))).To(BeTrue(), "each line of the log is JSON: "+line)
	}
}

func TestRun_ThatIsNotOursEndsWithOne(t *testing.T) {
	g := NewWithT(t)
	_, env := world(t, "demo-2")
	out, err := program(t, env, "run").CombinedOutput()
	g.Expect(err).To(MatchError("exit status 1"))
	g.Expect(string(out)).To(ContainSubstring("run refused: the active run of Terraform demo is demo-2"))
}

// TestRun_ThatReachesNoEndpointNamesIt: as where a NetworkPolicy denies egress. It tries for as long as a new controller may take.
func TestRun_ThatReachesNoEndpointNamesIt(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	run, env := world(t, "demo-1")
	token := filepath.Join(t.TempDir(), "token")
	g.Expect(os.WriteFile(token, []byte("t"), 0o600)).To(Succeed())
	out, err := program(t, env, "run", "--work-root="+t.TempDir(), "--artifact-token-file="+token).CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	failure := get(t, run).Status.Failure
	g.Expect(failure.Reason).To(Equal(v1alpha2.ReasonArtifactFailed))
	g.Expect(failure.Message).To(And(
		ContainSubstring("connection refused"), ContainSubstring("no connection to 127.0.0.1:1 (the artifact endpoint of the controller)"),
		ContainSubstring("a NetworkPolicy that denies egress in namespace "+run.Namespace+" has to allow TCP port 1 to it"),
	))
}

func TestLeaveWord_WhereThePodHasAPlaceForIt(t *testing.T) {
	g := NewWithT(t)
	log := filepath.Join(t.TempDir(), "termination-log")
	leaveWord(log, errors.New("blub"))
	g.Expect(log).NotTo(BeAnExistingFile(), "there is nobody to read it")
	g.Expect(os.WriteFile(log, []byte("what was there before"), 0o600)).To(Succeed())
	leaveWord(log, errors.New("blub"))
	g.Expect(os.ReadFile(log)).To(BeEquivalentTo("blub\n"))
}

func TestPrepareEnvironment_LeavesWhatTheUserHasSet(t *testing.T) {
	g := NewWithT(t)
	config := filepath.Join(t.TempDir(), ".tofurc")
	g.Expect(os.WriteFile(config, nil, 0o600)).To(Succeed())
	t.Setenv("HOME", "/proc/nowhere")
	t.Setenv("TF_CLI_CONFIG_FILE", "")
	t.Setenv("CHECKPOINT_DISABLE", "")
	g.Expect(prepareEnvironment(config)).To(Succeed())
	g.Expect([]string{os.Getenv("HOME"), os.Getenv("TF_CLI_CONFIG_FILE"), os.Getenv("CHECKPOINT_DISABLE")}).To(Equal([]string{"/home/runner", config, "1"}))

	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("TF_CLI_CONFIG_FILE", "/mine")
	g.Expect(prepareEnvironment(config)).To(Succeed())
	g.Expect([]string{os.Getenv("HOME"), os.Getenv("TF_CLI_CONFIG_FILE")}).To(Equal([]string{home, "/mine"}))

	t.Setenv("TF_CLI_CONFIG_FILE", "")
	g.Expect(prepareEnvironment(config + ".absent")).To(Succeed())
	g.Expect(os.Getenv("TF_CLI_CONFIG_FILE")).To(BeEmpty(), "a file that is not there would be an error to the engine")
}

func TestEngines_AreOnlyDownloadedWhereTheControllerAllowsIt(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("ENGINES_DIR", "/engines")
	t.Setenv("ENGINES_TOFU_URL", "https://mirror")
	for allowed, releases := range map[string]*engine.Releases{"": nil, "no": nil, "false": nil, "true": {TofuURL: "https://mirror"}} {
		t.Setenv("ENGINE_DOWNLOADS", allowed)
		o := &options{}
		o.bindEngines(pflag.NewFlagSet("", pflag.PanicOnError))
		g.Expect(o.places()).To(Equal(engine.Places{Folder: "/engines", Cache: "/home/runner/.engines", Releases: releases}), allowed)
	}
}

func TestEngineGrace_LeavesTimeToReport(t *testing.T) {
	compat.Shows(t, "spec.runnerTerminationGracePeriodSeconds")
	for pod, want := range map[time.Duration]time.Duration{
		30 * time.Second: 20 * time.Second, 10 * time.Minute: 590 * time.Second, 12 * time.Second: 6 * time.Second, 0: 0,
	} {
		NewWithT(t).Expect(engineGrace(pod)).To(Equal(want), fmt.Sprint(pod))
	}
}

func TestRun_TakesTheLogSwitchesOfTheIncumbent(t *testing.T) {
	compat.Shows(t, "env.DISABLE_TF_LOGS", "env.LOG_HUMAN_READABLE_PLAN")
	for name, tc := range map[string]struct {
		env  map[string]string
		args []string
		want runner.Chatter
	}{
		"none":        {nil, nil, runner.Chatter{}},
		"on":          {map[string]string{"DISABLE_TF_LOGS": "1", "LOG_HUMAN_READABLE_PLAN": "true"}, nil, runner.Chatter{Quiet: true, Plan: true}},
		"off":         {map[string]string{"DISABLE_TF_LOGS": "0", "LOG_HUMAN_READABLE_PLAN": "off"}, nil, runner.Chatter{}},
		"as an order": {map[string]string{"DISABLE_TF_LOGS": "1"}, []string{"--disable-engine-logs=false", "--log-plan"}, runner.Chatter{Plan: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			o, flags := &options{}, pflag.NewFlagSet("run", pflag.ContinueOnError)
			o.bind(flags)
			NewWithT(t).Expect(flags.Parse(tc.args)).To(Succeed())
			NewWithT(t).Expect(o.chatter).To(Equal(tc.want))
		})
	}
}
