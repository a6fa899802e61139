package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
)

const madeOnce = `
resource "terraform_data" "app" { input = "x" }
output "app" { value = terraform_data.app.output }
`

// TestExecute_AppliesWhereItHasPlanned: the apply is ordered while the runner waits, and needs neither artifact nor init.
func TestExecute_AppliesWhereItHasPlanned(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": madeOnce}, nil)
	said := filepath.Join(t.TempDir(), "said")
	w.wrapTofu(`echo "$1" >> ` + said + "\nexec $TOFU \"$@\"")
	w.cfg.Idle = time.Minute
	fetched := 0
	w.onFetch = func() { fetched++ }
	plan := w.newRun(v1alpha2.OperationPlan, labelled)
	ended := make(chan error, 1)
	go func() { ended <- runner.Execute(t.Context(), w.cfg, plan.Name) }()
	g.Eventually(func() v1alpha2.RunPhase { return w.get(plan).Status.Phase }).WithTimeout(time.Minute).Should(Equal(v1alpha2.RunSucceeded))
	g.Consistently(ended).ShouldNot(Receive(), "it waits")

	others := w.applyRun(w.get(plan), func(run *v1alpha2.TerraformRun) { labelled(run); run.Spec.Hostname = "demo-y" })
	g.Consistently(func() *v1alpha2.RunnerIdentity { return w.get(others).Status.Runner }).Should(BeNil(), "it takes nothing that is another pod's")
	apply := w.applyRun(w.get(plan), labelled)
	g.Eventually(ended).WithTimeout(time.Minute).Should(Receive(Succeed()), "after the apply it ends")
	applied := w.get(apply)
	g.Expect(applied.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", applied.Status.Failure)
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
	g.Expect(applied.Status.Engine).To(Equal(w.get(plan).Status.Engine))
	g.Expect(fetched).To(Equal(1))
	commands, err := os.ReadFile(said)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(commands)).To(And(ContainSubstring("plan"), ContainSubstring("apply")))
	g.Expect(strings.Count(string(commands), "init")).To(Equal(1), "the directory is initialised")
}

func labelled(run *v1alpha2.TerraformRun) {
	run.Labels = map[string]string{v1alpha2.TerraformNameLabel: v1alpha2.SafeLabelValue("demo")}
}

// TestExecute_DoesNotWaitForEver: for an apply that nobody orders, or when the pod is told to end.
func TestExecute_DoesNotWaitForEver(t *testing.T) {
	for name, tc := range map[string]struct {
		idle time.Duration
		stop bool
	}{"nobody orders it": {idle: 2 * time.Second}, "told to end": {idle: time.Hour, stop: true}} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, map[string]string{"main.tf": madeOnce}, nil)
			w.cfg.Idle = tc.idle
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			plan := w.newRun(v1alpha2.OperationPlan, labelled)
			ended := make(chan error, 1)
			go func() { ended <- runner.Execute(ctx, w.cfg, plan.Name) }()
			g.Eventually(func() v1alpha2.RunPhase { return w.get(plan).Status.Phase }).WithTimeout(time.Minute).Should(Equal(v1alpha2.RunSucceeded))
			if tc.stop {
				g.Consistently(ended).ShouldNot(Receive())
				cancel()
			}
			g.Eventually(ended).WithTimeout(10 * time.Second).Should(Receive(Succeed()))
		})
	}
}

// TestExecute_AppliesWhereItHasPlannedWithTheCredentialsOfNow: what was there for the plan may be revoked by then.
func TestExecute_AppliesWhereItHasPlannedWithTheCredentialsOfNow(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": madeOnce}, func(s *v1alpha2.TerraformSpec) {
		s.CliConfigSecretRef = &corev1.SecretReference{Name: "given"}
		s.FileMappings = []v1alpha2.FileMapping{fileMapping("given", "my.tfrc", "home", "token"), fileMapping("given", "my.tfrc", "workspace", "backend_override.tf")}
		s.ModuleCredentials = []v1alpha2.ModuleCredential{{URL: "https://registry.example.com", SecretRef: meta.LocalObjectReference{Name: "registry"}}}
	})
	w.createSecret("given", map[string]string{"my.tfrc": "# before\n"})
	w.createSecret("registry", map[string]string{"token": "before"})
	said := filepath.Join(t.TempDir(), "said")
	w.wrapTofu(`[ "$1" = apply ] && { cat "$TF_CLI_CONFIG_FILE" ` + filepath.Join(w.cfg.Home, "token") + `; echo "$TF_TOKEN_registry_example_com"; } > ` + said + "\nexec $TOFU \"$@\"")
	w.cfg.Idle = time.Minute
	plan := w.newRun(v1alpha2.OperationPlan, labelled)
	ended := make(chan error, 1)
	go func() { ended <- runner.Execute(t.Context(), w.cfg, plan.Name) }()
	g.Eventually(func() v1alpha2.RunPhase { return w.get(plan).Status.Phase }).WithTimeout(time.Minute).Should(Equal(v1alpha2.RunSucceeded))
	for name, data := range map[string]map[string]string{"given": {"my.tfrc": "# after\n"}, "registry": {"token": "after"}} {
		secret := w.secret(name)
		secret.StringData = data
		g.Expect(api.Client.Update(t.Context(), secret)).To(Succeed())
	}
	apply := w.applyRun(w.get(plan), labelled)
	g.Eventually(ended).WithTimeout(time.Minute).Should(Receive(Succeed()))
	g.Expect(w.get(apply).Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", w.get(apply).Status.Failure, w.log)
	g.Expect(os.ReadFile(said)).To(BeEquivalentTo("# after\n# after\nafter\n"))
	g.Expect(w.get(apply).Status.State.Resources).To(BeEquivalentTo(1), "its backend is that of the spec, whatever is mapped")
}

// TestExecute_AppliesWithoutWhatOnlyThePlanWasGiven: a Secret may hold less by then.
func TestExecute_AppliesWithoutWhatOnlyThePlanWasGiven(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": madeOnce}, func(s *v1alpha2.TerraformSpec) {
		s.ModuleCredentials = []v1alpha2.ModuleCredential{{URL: "https://registry.example.com", SecretRef: meta.LocalObjectReference{Name: "given"}}}
	})
	w.createSecret("given", map[string]string{"token": "of-the-plan"})
	said := filepath.Join(t.TempDir(), "said")
	w.wrapTofu(`[ "$1" = apply ] && echo "${TF_TOKEN_registry_example_com-none}" > ` + said + "\nexec $TOFU \"$@\"")
	w.cfg.Idle = time.Minute
	plan := w.newRun(v1alpha2.OperationPlan, labelled)
	ended := make(chan error, 1)
	go func() { ended <- runner.Execute(t.Context(), w.cfg, plan.Name) }()
	g.Eventually(func() v1alpha2.RunPhase { return w.get(plan).Status.Phase }).WithTimeout(time.Minute).Should(Equal(v1alpha2.RunSucceeded))
	secret := w.secret("given")
	secret.Data = map[string][]byte{"username": []byte("kim"), "password": []byte("of-the-apply")}
	g.Expect(api.Client.Update(t.Context(), secret)).To(Succeed())
	apply := w.applyRun(w.get(plan), labelled)
	g.Eventually(ended).WithTimeout(time.Minute).Should(Receive(Succeed()))
	g.Expect(w.get(apply).Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", w.get(apply).Status.Failure, w.log)
	g.Expect(os.ReadFile(said)).To(BeEquivalentTo("none\n"))
}
