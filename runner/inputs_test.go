package runner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// raw is a variable with a JSON value.
func raw(name, value string) v1alpha2.Variable {
	return v1alpha2.Variable{Name: name, Value: &apiextensionsv1.JSON{Raw: []byte(value)}}
}

// failsToPlan does a plan that has to fail with a reason and a message.
func (w *world) failsToPlan(reason, message string) {
	w.t.Helper()
	g := NewWithT(w.t)
	run := w.execute(w.t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunFailed), "%s", w.log)
	g.Expect(run.Status.Failure.Reason).To(Equal(reason), run.Status.Failure.Message)
	g.Expect(run.Status.Failure.Message).To(Equal(message))
}

func TestTfVarsFiles_OverrideInOrderAlsoAtApply(t *testing.T) {
	compat.Shows(t, "spec.tfVarsFiles", "weak.16")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{
		"app/main.tf": `
variable "vars" { type = string }
variable "auto" { type = string }
variable "first" { type = string }
variable "second" { type = string }
variable "token" {
  type      = string
  ephemeral = true
}
output "all" { value = "${var.vars} ${var.auto} ${var.first} ${var.second}" }
resource "terraform_data" "x" {
  input = "${var.vars} ${var.auto} ${var.first} ${var.second}"
  provisioner "local-exec" { command = var.token == "of-first" ? "true" : "false" }
}
`,
		"app/z.auto.tfvars": `auto = "of-auto"
first = "of-auto"
second = "of-auto"`,
		"env/first.tfvars":       "first = \"of-first\"\nsecond = \"of-first\"\ntoken = \"of-first\"\nvars = \"of-first\"\n",
		"env/second.tfvars.json": `{"second": "of-second"}`,
	}, func(s *v1alpha2.TerraformSpec) {
		s.Path = "app"
		s.Vars = []v1alpha2.Variable{raw("vars", `"of-vars"`), raw("auto", `"of-vars"`)}
		s.TfVarsFiles = []string{"env/first.tfvars", "./env/second.tfvars.json"}
		s.WriteOutputsToSecret = &v1alpha2.WriteOutputsToSecretSpec{Name: "out"}
	})
	applied := w.apply(w.plan())
	g.Expect(string(w.secret("out").Data["all"])).To(Equal("of-first of-auto of-first of-second"))

	w.files = map[string]string{"none": ""}
	w.destroys(applied, func(r *v1alpha2.TerraformRun) {
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Revision: revision, Digest: applied.Status.Kept.Digest}
	})
}

func TestTfVarsFiles_SayWhatIsMissing(t *testing.T) {
	compat.Shows(t, "spec.tfVarsFiles")
	w := newWorld(t, map[string]string{"app/main.tf": "", "app/here.tfvars": "", "dir/x": ""}, func(s *v1alpha2.TerraformSpec) { s.Path = "app" })
	for _, tc := range []struct{ name, reason string }{
		{"here.tfvars", "paths begin at the root of the artifact"},
		{"dir", "a folder is no file"},
		{"../../../../etc/passwd", "nothing leads out of the artifact"},
		{"", "the root is a folder"},
	} {
		w.change(func(s *v1alpha2.TerraformSpec) { s.TfVarsFiles = []string{"app/here.tfvars", tc.name} })
		t.Log(tc.reason)
		w.failsToPlan(v1alpha2.ReasonTFExecPlanFailed, `spec.tfVarsFiles[1]: "`+tc.name+`" is no file in artifact `+revision+
			` of GitRepository/infra; paths begin at the artifact's root, not at spec.path`)
	}
}

func TestExecute_PassesOnHowThePlanAndTheApplyAreMade(t *testing.T) {
	compat.Shows(t, "spec.upgradeOnInit", "spec.tfstate.lockTimeout", "spec.targets", "spec.parallelism", "spec.plan.lock",
		"use.plan-options", "use.lock-file", "weak.16",
	)
	g := NewWithT(t)
	said := filepath.Join(t.TempDir(), "said")
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.Targets = []string{"terraform_data.a", "terraform_data.y[0]"}
		s.Parallelism, s.UpgradeOnInit = 3, ptr.To(false)
		s.Plan = &v1alpha2.PlanSpec{Lock: ptr.To(false)}
		s.TfState = &v1alpha2.TfStateSpec{LockTimeout: &metav1.Duration{Duration: 7 * time.Second}}
	})
	w.wrapTofu(`echo "$@" >> ` + said + "\nexec $TOFU \"$@\"")
	w.apply(w.plan())
	w.change(func(s *v1alpha2.TerraformSpec) { s.UpgradeOnInit, s.Plan, s.Targets = ptr.To(true), nil, nil })
	w.plan()
	text, err := os.ReadFile(said)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(And(
		MatchRegexp(`(?m)^init .*-upgrade=false`), MatchRegexp(`(?m)^init .*-upgrade=true`),
		MatchRegexp(`(?m)^plan .*-lock=false.* -target=terraform_data.a -target=terraform_data.y\[0\]`), MatchRegexp(`(?m)^plan .*-lock=true`),
		MatchRegexp(`(?m)^plan .*-lock-timeout=7s`), MatchRegexp(`(?m)^apply .*-lock-timeout=7s`),
		MatchRegexp(`(?m)^apply .*-parallelism=3`), Not(MatchRegexp(`(?m)^plan .*-parallelism=3`)),
	))
}

func fileMapping(secret, key, location, path string) v1alpha2.FileMapping {
	return v1alpha2.FileMapping{SecretRef: meta.SecretKeyReference{Name: secret, Key: key}, Location: location, Path: path}
}

func TestFileMappings_AreThereInEveryRun(t *testing.T) {
	compat.Shows(t, "spec.fileMappings", "use.lock-file")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{
		"app/main.tf": `
variable "home" { type = string }
locals {
  key  = file("${path.module}/keys/id")
  home = file("${var.home}/.config/token")
}
resource "terraform_data" "x" {
  input = sha256("${local.key} ${local.home}")
  provisioner "local-exec" { command = "test $(stat -c %a%a keys/id ${var.home}/.config/token | tr -d '\n') = 600600600600" }
  provisioner "local-exec" {
    when    = destroy
    command = "grep -q private-key keys/id"
  }
}
`,
		"app/keys/id": "of the artifact",
	}, func(s *v1alpha2.TerraformSpec) { s.Path = "app" })
	w.change(func(s *v1alpha2.TerraformSpec) {
		s.Vars = []v1alpha2.Variable{raw("home", `"`+w.cfg.Home+`"`)}
		s.FileMappings = []v1alpha2.FileMapping{fileMapping("inputs", "key", "workspace", "keys/id"), fileMapping("inputs", "token", "home", ".config/token")}
	})
	w.createSecret("inputs", map[string]string{"key": "the-private-key", "token": "the-token-value"})
	planned := w.plan()
	w.cfg.Home = w.freshHome()
	applied := w.apply(planned)
	g.Expect(w.log.String()).NotTo(Or(ContainSubstring("the-private-key"), ContainSubstring("the-token-value")))

	w.inputsGone()
	w.cfg.Home = w.freshHome()
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

// freshHome is that of another pod, at the same path.
func (w *world) freshHome() string {
	w.t.Helper()
	if err := os.RemoveAll(w.cfg.Home); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(w.cfg.Home, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return w.cfg.Home
}

func TestFileMappings_SayWhatIsWrong(t *testing.T) {
	compat.Shows(t, "spec.fileMappings")
	w := newWorld(t, map[string]string{"main.tf": "", "folder/x": ""}, nil)
	w.createSecret("inputs", map[string]string{"key": "private", "other": ""})
	for _, tc := range []struct {
		mapping v1alpha2.FileMapping
		message string
	}{
		{fileMapping("none", "key", "home", "a"), `spec.fileMappings[0].secretRef.name: Secret "` + w.namespace + `/none" does not exist; create it`},
		{fileMapping("inputs", "kye", "home", "a"), `spec.fileMappings[0].secretRef.key: Secret "` + w.namespace + `/inputs" has no key "kye"; its keys are key, other`},
		{fileMapping("inputs", "key", "workspace", "folder"), `spec.fileMappings[0].path: write "folder" in workspace: remove ` +
			filepath.Join(w.cfg.Root, w.namespace+"-demo", "folder") + `: directory not empty`},
	} {
		w.change(func(s *v1alpha2.TerraformSpec) { s.FileMappings = []v1alpha2.FileMapping{tc.mapping} })
		w.failsToPlan(v1alpha2.ReasonTFExecInitFailed, tc.message)
	}
}

const cliConfig = `
disable_checkpoint = true
credentials "registry.example.com" { token = "token-of-the-registry" }
provider_installation {
  filesystem_mirror { path = %q }
}
`

// withoutCLIConfig is a pod whose image has none that serves.
func (w *world) withoutCLIConfig() {
	w.t.Setenv("TF_CLI_CONFIG_FILE", w.file("empty", "provider_installation {\n filesystem_mirror { path = \"/none\" }\n}\n"))
}

func TestCLIConfig_IsTheEnginesInEveryRun(t *testing.T) {
	compat.Shows(t, "spec.cliConfigSecretRef", "use.private-registries")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": `
resource "null_resource" "x" {
  provisioner "local-exec" {
    when    = destroy
    command = "grep -q token-of-the-registry $TF_CLI_CONFIG_FILE"
  }
}`}, func(s *v1alpha2.TerraformSpec) { s.CliConfigSecretRef = &corev1.SecretReference{Name: "inputs"} })
	w.createSecret("inputs", map[string]string{"my.tfrc": fmt.Sprintf(cliConfig, filepath.Join(api.Root, "bin", "mirror")), "other": "x"})
	w.withoutCLIConfig()
	planned := w.plan()
	g.Expect(os.Stat(os.Getenv("TF_CLI_CONFIG_FILE"))).To(HaveField("Mode()", BeEquivalentTo(0o600)))
	w.withoutCLIConfig()
	applied := w.apply(planned)
	g.Expect(w.log.String()).NotTo(ContainSubstring("token-of-the-registry"))

	w.inputsGone()
	w.withoutCLIConfig()
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

func TestCLIConfig_SaysWhatIsWrong(t *testing.T) {
	compat.Shows(t, "spec.cliConfigSecretRef", "condition.Ready=False/TFExecNewFailed")
	w := newWorld(t, map[string]string{"main.tf": ""}, nil)
	w.createSecret("none-of-it", map[string]string{"a": "x", "tfrc": "x"})
	w.createSecret("two", map[string]string{"a.tfrc": "", "b.tfrc": ""})
	w.createSecret("broken", map[string]string{"a.tfrc": "credentials {"})
	id := func(name string) string { return `spec.cliConfigSecretRef: Secret "` + w.namespace + "/" + name + `" ` }
	for _, tc := range []struct{ secret, message string }{
		{"gone", `spec.cliConfigSecretRef.name: Secret "` + w.namespace + `/gone" does not exist; create it`},
		{"none-of-it", id("none-of-it") + `has no key that ends in .tfrc; its keys are a, tfrc`},
		{"two", id("two") + `has 2 keys that end in .tfrc (a.tfrc, b.tfrc); leave one`},
		{"broken", `spec.cliConfigSecretRef: key "a.tfrc" of Secret "` + w.namespace + `/broken" is no CLI configuration: see line 1, column 15`},
	} {
		w.change(func(s *v1alpha2.TerraformSpec) { s.CliConfigSecretRef = &corev1.SecretReference{Name: tc.secret} })
		w.failsToPlan(v1alpha2.ReasonTFExecNewFailed, tc.message)
	}
}

func TestBackendConfigsFrom_CompleteTheBackend(t *testing.T) {
	compat.Shows(t, "spec.backendConfigsFrom", "spec.backendConfigsFrom.optional", "init.backend-config", "use.custom-backend")
	g := NewWithT(t)
	said := filepath.Join(t.TempDir(), "said")
	state := filepath.Join(t.TempDir(), "state-of-${a}")
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: `backend "local" {}`}
		onVolume(s, filepath.Dir(state))
		s.BackendConfigsFrom = []v1alpha2.BackendConfigsReference{
			{Kind: "ConfigMap", Name: "later", Optional: true}, {Kind: "ConfigMap", Name: "first"}, {Kind: "Secret", Name: "inputs", Keys: []string{"path"}},
		}
	})
	api.Create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "first"}, Data: map[string]string{"path": "/overridden"}})
	w.createSecret("inputs", map[string]string{"path": state, "unused": "x"})
	w.wrapTofu(`echo "$@" >> ` + said + "\nexec $TOFU \"$@\"")
	applied := w.apply(w.plan())
	g.Expect(os.Stat(state)).To(HaveField("Size()", BeNumerically(">", 100)))
	commands, err := os.ReadFile(said)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(commands)).To(MatchRegexp(`(?m)^init .*-backend-config=\S+\.backend`))
	g.Expect(string(commands)+w.log.String()).NotTo(ContainSubstring("state-of-"), "neither on a command line nor in a log")

	w.inputsGone()
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

func TestBackendConfigsFrom_MoveTheStateOfThisCluster(t *testing.T) {
	compat.Shows(t, "spec.backendConfigsFrom")
	g := NewWithT(t)
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfigsFrom = []v1alpha2.BackendConfigsReference{{Kind: "Secret", Name: "inputs"}}
	})
	w.createSecret("inputs", map[string]string{"secret_suffix": "elsewhere", "labels": `{ team = "${"a"}" }`})
	applied := w.apply(w.plan())
	g.Expect(w.secret("tfstate-default-elsewhere").Labels).To(HaveKeyWithValue("team", "a"))
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1), "the guard has found it")
}

func TestBackendConfigsFrom_SayWhatIsWrong(t *testing.T) {
	compat.Shows(t, "spec.backendConfigsFrom.keys", "spec.backendConfigsFrom.optional")
	w := newWorld(t, oneResource(), nil)
	w.createSecret("inputs", map[string]string{"bucket": "x", "tls.crt": "x", "labels": "team=hidden-a", "nonsense": "hidden-b"})
	const field = "spec.backendConfigsFrom[0]"
	id := `Secret "` + w.namespace + `/inputs"`
	for _, tc := range []struct {
		from    v1alpha2.BackendConfigsReference
		message string
	}{
		{v1alpha2.BackendConfigsReference{Kind: "Secret", Name: "gone"},
			field + `.name: Secret "` + w.namespace + `/gone" does not exist; create it, or set ` + field + `.optional: true`},
		{v1alpha2.BackendConfigsReference{Kind: "Secret", Name: "inputs", Keys: []string{"bukcet"}, Optional: true},
			field + `.keys[0]: ` + id + ` has no key "bukcet"; its keys are bucket, labels, nonsense, tls.crt`},
		{v1alpha2.BackendConfigsReference{Kind: "Secret", Name: "inputs"},
			field + `: key "tls.crt" of ` + id + ` can't be the name of a backend setting; name the keys to take in keys`},
		{v1alpha2.BackendConfigsReference{Kind: "Secret", Name: "inputs", Keys: []string{"labels"}},
			`spec.backendConfigsFrom: the value of "labels" is no HCL expression without references, like { a = "b" } or ["a"]`},
		{v1alpha2.BackendConfigsReference{Kind: "Secret", Name: "inputs", Keys: []string{"nonsense"}},
			`../` + w.namespace + `-demo.backend:1: Unsupported argument: An argument named "nonsense" is not expected here.`},
	} {
		w.change(func(s *v1alpha2.TerraformSpec) { s.BackendConfigsFrom = []v1alpha2.BackendConfigsReference{tc.from} })
		w.failsToPlan(v1alpha2.ReasonTFExecInitFailed, tc.message)
	}
}

func TestTemplates_ArePartOfThePlan(t *testing.T) {
	compat.Shows(t, "use.primitive-modules")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{
		"app/main.tf": "this is replaced",
		"app/main.tf.tpl": `
variable "values" { type = any }
{{ range .Values.pets }}
resource "terraform_data" {{ toHcl . }} { input = "${var.values.key} {{ $.size }}" }
{{ end }}
output "key" {
  value     = var.values.key
  sensitive = true
}
`,
	}, func(s *v1alpha2.TerraformSpec) {
		s.Path = "app"
		s.Values = &apiextensionsv1.JSON{Raw: []byte(`{"pets":"${{ .other.pets }}","key":"${{ .other.key }}"}`)}
		s.ReadInputsFromSecrets = []v1alpha2.ReadInputsFromSecretSpec{{Name: "inputs", As: "other"}}
		s.Vars = []v1alpha2.Variable{raw("size", `3`)}
		s.WriteOutputsToSecret = &v1alpha2.WriteOutputsToSecretSpec{Name: "out"}
	})
	const key = "-----BEGIN-----\nline \"of\" ${the} key\n"
	w.createSecret("inputs", map[string]string{"key": key, "pets": `["cat"]`, "pets__type": `["list","string"]`})
	planned := w.plan()
	g.Expect(planned.Status.Plan.Short).To(Equal("+1 ~0 -0"))
	g.Expect(planned.Status.Plan.Rendered).NotTo(ContainSubstring("of"))

	w.inputsGone()
	w.createSecret("inputs", map[string]string{"key": "another", "pets": `["dog", "cow"]`, "pets__type": `["list","string"]`})
	applied := w.apply(planned)
	g.Expect(string(w.secret("out").Data["key"])).To(Equal(key), "what was approved is what is applied")
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))

	w.inputsGone()
	w.destroys(applied, func(r *v1alpha2.TerraformRun) {
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Revision: revision, Digest: applied.Status.Kept.Digest}
	})
}

func TestTemplates_SayWhatIsWrong(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/TemplateGenerationFailed")
	w := newWorld(t, map[string]string{"main.tf.tpl": "\n{{ .Values.typo }}"}, func(s *v1alpha2.TerraformSpec) {
		s.Values = &apiextensionsv1.JSON{Raw: []byte(`{"a":1}`)}
	})
	w.failsToPlan(v1alpha2.ReasonTemplateGenerationFailed, "main.tf.tpl:2:3: .Values.typo has no value")
	w.files["main.tf.tpl"] = "{{ if }}"
	w.failsToPlan(v1alpha2.ReasonTemplateGenerationFailed, "template: main.tf.tpl:1: missing value for if")
	delete(w.files, "main.tf.tpl")
	w.files["main.tf"] = ""
	w.change(func(s *v1alpha2.TerraformSpec) { s.Values = &apiextensionsv1.JSON{Raw: []byte(`{"a":"${{ .b.c }}"}`)} })
	w.failsToPlan(v1alpha2.ReasonVarsGenerationFailed, `spec.values.a: template: spec.values.a:1:6: executing "spec.values.a" at <.b.c>: `+
		`map has no entry for key "b"; spec.readInputsFromSecrets names no Secret`)
}
