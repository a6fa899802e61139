package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestMain(m *testing.M) {
	if err := BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fake is a program in place of an engine. It writes down its arguments, one call a line, and its environment, and then
// does what script says. $1 is the command.
type fake struct {
	dir, calls, env string
	binary          Binary
}

func newFake(t *testing.T, name, version, script string) *fake {
	t.Helper()
	dir := t.TempDir()
	f := &fake{dir: dir, calls: filepath.Join(dir, "calls"), env: filepath.Join(dir, "env")}
	f.binary = Binary{Path: filepath.Join(dir, name), Identity: v1alpha2.EngineIdentity{Name: name, Version: version}}
	text := fmt.Sprintf(`#!/bin/sh
if [ "$1" = version ]; then echo '{"terraform_version":"%s","provider_selections":{}}'; exit 0; fi
echo "$*" >> %s
env > %s
%s
`, version, f.calls, f.env, script)
	if err := os.WriteFile(f.binary.Path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) engine(t *testing.T, opts Options) *Engine {
	t.Helper()
	e, err := New(t.Context(), f.binary, f.dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f *fake) read(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

func TestCommands_HaveTheseArguments(t *testing.T) {
	compat.Shows(t, "spec.workspace", "spec.upgradeOnInit", "spec.tfstate.lockTimeout", "spec.parallelism", "spec.plan.lock",
		"init.flags",
	)
	ctx := context.Background()
	for _, tc := range []struct {
		name, why  string
		engine     string
		version    string
		script     string
		call       func(*Engine) error
		want       []string
		wantFailed bool
	}{
		{
			name: "init of a cloud block", why: "for which the engines refuse -reconfigure", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { return e.Init(ctx, InitOptions{Cloud: true}) },
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=false -json"},
		},
		{
			name: "plan here", why: "with another parallelism than their default engines begin no run elsewhere", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { _, err := e.Plan(ctx, PlanOptions{Out: "tfplan", Here: true}); return err },
			want: []string{"plan -no-color -input=false -detailed-exitcode -lock-timeout=0s -out=tfplan -lock=true -parallelism=11 -refresh=true -json"},
		},
		{
			name: "force-unlock", why: "nobody is there to be asked", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { return e.ForceUnlock(ctx, "0b1f") },
			want: []string{"force-unlock -no-color -force 0b1f"},
		},
		{
			name: "init", why: "never -force-copy or -migrate-state, always -reconfigure", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { return e.Init(ctx, InitOptions{Upgrade: true}) },
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=true -reconfigure -json"},
		},
		{
			name: "init for an apply", why: "the plan's provider versions stay", engine: Terraform, version: "1.13.3",
			call: func(e *Engine) error { return e.Init(ctx, InitOptions{}) },
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=false -reconfigure -json"},
		},
		{
			name: "init of an old engine", why: "Terraform before 1.9 has no -json for init", engine: Terraform, version: "1.5.7",
			call: func(e *Engine) error { return e.Init(ctx, InitOptions{}) },
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=false -reconfigure"},
		},
		{
			name: "init of an older tofu", why: "OpenTofu before 1.12 has no -json for init", engine: Tofu, version: "1.11.5",
			call: func(e *Engine) error { return e.Init(ctx, InitOptions{}) },
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=false -reconfigure"},
		},
		{
			name: "default workspace", why: "it needs not be selected", engine: Tofu, version: "1.12.6",
			script: "exit 1",
			call: func(e *Engine) error {
				if err := e.SelectWorkspace(ctx, "default"); err != nil {
					return err
				}
				return e.Init(ctx, InitOptions{})
			},
			want: []string{"init -no-color -input=false -backend=true -get=true -upgrade=false -reconfigure -json"}, wantFailed: true,
		},
		{
			name: "known workspace", why: "it is selected", engine: Tofu, version: "1.12.6",
			script: `[ "$2" = list ] && printf '* default\n  stage\n'; exit 0`,
			call:   func(e *Engine) error { return e.SelectWorkspace(ctx, "stage") },
			want:   []string{"workspace list -no-color", "workspace select -no-color stage"},
		},
		{
			name: "new workspace", why: "it is made", engine: Tofu, version: "1.12.6",
			script: `[ "$2" = list ] && printf '* default\n'; exit 0`,
			call:   func(e *Engine) error { return e.SelectWorkspace(ctx, "stage") },
			want:   []string{"workspace list -no-color", "workspace new -no-color stage"},
		},
		{
			name: "plan", why: "the plan is saved, the lock taken", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { _, err := e.Plan(ctx, PlanOptions{Out: "tfplan"}); return err },
			want: []string{"plan -no-color -input=false -detailed-exitcode -lock-timeout=0s -out=tfplan -lock=true -parallelism=10 -refresh=true -json"},
		},
		{
			name: "plan with everything", why: "each setting has its flag", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error {
				_, err := e.Plan(ctx, PlanOptions{Out: "tfplan", Destroy: true, NoLock: true, LockTimeout: 90 * time.Second,
					Targets: []string{"a.b", "c.d[0]"}, VarFiles: []string{"/x/y.tfvars"}})
				return err
			},
			want: []string{"plan -no-color -input=false -detailed-exitcode -lock-timeout=1m30s -out=tfplan -var-file=/x/y.tfvars -lock=false -parallelism=10 -refresh=true -destroy -target=a.b -target=c.d[0] -json"},
		},
		{
			name: "apply", why: "a plan file and no variables", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error { return e.Apply(ctx, ApplyOptions{PlanFile: "tfplan"}) },
			want: []string{"apply -no-color -auto-approve -input=false -lock-timeout=0s -lock=true -parallelism=10 -refresh=true -json tfplan"},
		},
		{
			name: "apply with everything", why: "each setting has its flag", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error {
				return e.Apply(ctx, ApplyOptions{PlanFile: "tfplan", LockTimeout: time.Minute, Parallelism: 3})
			},
			want: []string{"apply -no-color -auto-approve -input=false -lock-timeout=1m0s -lock=true -parallelism=3 -refresh=true -json tfplan"},
		},
		{
			name: "show plan", why: "as JSON", engine: Tofu, version: "1.12.6", script: `echo '{"format_version":"1.2"}'`,
			call: func(e *Engine) error { _, err := e.ShowPlan(ctx, "tfplan"); return err },
			want: []string{"show -json -no-color tfplan"},
		},
		{
			name: "show state", why: "as JSON", engine: Tofu, version: "1.12.6", script: `echo '{"format_version":"1.0"}'`,
			call: func(e *Engine) error { _, err := e.ShowState(ctx); return err },
			want: []string{"show -json -no-color"},
		},
		{
			name: "output", why: "as JSON", engine: Tofu, version: "1.12.6", script: `echo '{}'`,
			call: func(e *Engine) error { _, err := e.Outputs(ctx); return err },
			want: []string{"output -no-color -json"},
		},
		{
			name: "state pull and push", why: "push takes the lock and does not force", engine: Tofu, version: "1.12.6",
			call: func(e *Engine) error {
				if _, err := e.PullState(ctx); err != nil {
					return err
				}
				return e.PushState(ctx, "errored.tfstate")
			},
			want: []string{"state pull", "state push -lock=true -lock-timeout=0s errored.tfstate"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			f := newFake(t, tc.engine, tc.version, tc.script)
			err := tc.call(f.engine(t, Options{Grace: time.Second}))
			g.Expect(err != nil).To(Equal(tc.wantFailed), "%v", err)
			g.Expect(f.read(t, f.calls)).To(Equal(tc.want), tc.why)
		})
	}
}

func TestPlan_ExitCodeTwoIsAnAnswer(t *testing.T) {
	for code, want := range map[string]bool{"0": false, "2": true} {
		f := newFake(t, Tofu, "1.12.6", "exit "+code)
		changes, err := f.engine(t, Options{}).Plan(t.Context(), PlanOptions{Out: "tfplan"})
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(changes).To(Equal(want))
	}
}

func TestRun_GivesThePodsEnvironment(t *testing.T) {
	compat.Shows(t, "use.private-registries")
	g := NewWithT(t)
	t.Setenv("TF_VAR_region", "eu")
	t.Setenv("TF_CLI_ARGS_plan", "-compact-warnings")
	t.Setenv("TF_WORKSPACE", "elsewhere")
	t.Setenv("AWS_PROFILE", "prod")
	f := newFake(t, Tofu, "1.12.6", "")
	g.Expect(f.engine(t, Options{}).Init(t.Context(), InitOptions{})).To(Succeed())
	env := f.read(t, f.env)
	g.Expect(env).To(ContainElements("TF_VAR_region=eu", "TF_CLI_ARGS_plan=-compact-warnings", "AWS_PROFILE=prod", "TF_IN_AUTOMATION=1"))
	g.Expect(env).NotTo(ContainElement(HavePrefix("TF_WORKSPACE=")), "spec.workspace rules")
}

func TestRun_PassesOnMessagesOfOneCommandOnly(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t, Tofu, "1.12.6", `
case "$1" in
plan) echo '{"@message":"planned","type":"log"}';;
show) echo '{"format_version":"1.2","variables":{"pw":{"value":"secret"}}}';;
esac`)
	var seen []string
	e := f.engine(t, Options{Observe: func(e Event) { seen = append(seen, e.String()) }})
	_, err := e.Plan(t.Context(), PlanOptions{Out: "tfplan"})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = e.ShowPlan(t.Context(), "tfplan")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(seen).To(Equal([]string{"planned"}), "a plan's JSON holds secrets and is no message")
}

func TestRun_ReadsFailuresFromStderrWhereThereIsNoJSON(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t, Tofu, "1.12.6", `printf '\nError: Failed to load state\n\nIt is gone.\n' >&2; exit 1`)
	_, err := f.engine(t, Options{}).Outputs(t.Context())
	g.Expect(err).To(MatchError("engine command output: exit status 1: Failed to load state: It is gone."))
}

func TestFind_PrefersTofuAndChecksVersions(t *testing.T) {
	for _, tc := range []struct {
		name, why       string
		tofu, terraform string
		want            v1alpha2.EngineIdentity
	}{
		{"both", "tofu is taken", "1.12.6", "1.13.3", v1alpha2.EngineIdentity{Name: "tofu", Version: "1.12.6"}},
		{"terraform", "the only one is taken", "", "1.5.7", v1alpha2.EngineIdentity{Name: "terraform", Version: "1.5.7"}},
		{"old tofu", "what is too old is passed over", "1.4.0", "1.9.8", v1alpha2.EngineIdentity{Name: "terraform", Version: "1.9.8"}},
		{"pre-release", "a pre-release counts as its version, and is named", "1.13.0-beta1", "", v1alpha2.EngineIdentity{Name: "tofu", Version: "1.13.0-beta1"}},
		{"none", "there is none", "", "", v1alpha2.EngineIdentity{}},
		{"too old", "there is none that fits", "", "1.4.7", v1alpha2.EngineIdentity{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			var dirs []string
			for name, version := range map[string]string{Tofu: tc.tofu, Terraform: tc.terraform} {
				if version != "" {
					dirs = append(dirs, newFake(t, name, version, "").dir)
				}
			}
			t.Setenv("PATH", strings.Join(dirs, ":"))
			got, err := (&Places{}).Find(t.Context(), Request{})
			if tc.want.Name == "" {
				g.Expect(err).To(MatchError(ErrNotFound), tc.why)
				return
			}
			g.Expect(err).NotTo(HaveOccurred(), tc.why)
			g.Expect(got.Identity).To(Equal(tc.want), tc.why)
			g.Expect(filepath.IsAbs(got.Path)).To(BeTrue())
		})
	}
}

func TestParseVersion_SkipsWarnings(t *testing.T) {
	v, err := parseVersion([]byte("\nWarning: Unable to open CLI configuration file\n\n{\"terraform_version\": \"1.12.6\"}\n"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(v.String()).To(Equal("1.12.6"))
	for _, odd := range []string{"", "OpenTofu v1.12.6", `{"terraform_version": ""}`} {
		_, err := parseVersion([]byte(odd))
		NewWithT(t).Expect(err).To(HaveOccurred(), odd)
	}
}

func TestShowPlan_AsTheEnginePrintsIt(t *testing.T) {
	compat.Shows(t, "readable.text")
	g := NewWithT(t)
	const printed = `{"format_version":"1.2","terraform_version":"1.12.6","unknown_field":12345678901234567890}`
	f := newFake(t, "tofu", "1.12.6", `case "$*" in *-json*) echo '`+printed+`';; *) echo "Plan: 1 to add.";; esac`)
	e := f.engine(t, Options{})
	got, err := e.ShowPlanJSON(t.Context(), "tfplan")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.TrimSpace(string(got))).To(Equal(printed), "nothing is lost or rounded")
	text, err := e.ShowPlanText(t.Context(), "tfplan")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text).To(Equal("Plan: 1 to add.\n"))
}
