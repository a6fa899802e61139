package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// heldImage is the runner image with an engine that waits, before the command that HOLD_COMMAND names, until the gate
// HOLD_UNTIL is open: so that a fault hits exactly the phase that it is meant for.
const heldImage = "terraform-runner:held"

// heldFolder is the image's folder.
var heldFolder string

// heldEngine stands in for the engine. It also claims to be of the patch that CLAIM_PATCH holds, and does BEFORE_PLAN
// as a part of each plan.
const heldEngine = `#!/bin/sh
if [ "$1" = "$HOLD_COMMAND" ]; then
  until [ "$(cat "$HOLD_UNTIL")" = open ]; do sleep 0.1; done
fi
if [ "$1" = version ] && [ -s "$CLAIM_PATCH" ]; then
  "$0-real" "$@" | sed "s/\"\(1\.[0-9]*\)\.[0-9]*\"/\"\1.$(cat "$CLAIM_PATCH")\"/"
  exit
fi
if [ "$1" = plan ]; then eval "$BEFORE_PLAN"; fi
exec "$0-real" "$@"
`

func makeHeldImage(ctx context.Context, dir string) (folder string, err error) {
	heldFolder = filepath.Join(dir, "held-image")
	image := local.RunnerFolder()
	if out, err := exec.CommandContext(ctx, "cp", "-a", image, heldFolder).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copying %s: %w: %s", image, err, out)
	}
	engine := filepath.Join(heldFolder, "usr", "local", "bin", "tofu")
	if _, err := os.Stat(engine); err != nil {
		engine = filepath.Join(filepath.Dir(engine), "terraform")
	}
	if err := os.Rename(engine, engine+"-real"); err != nil {
		return "", err
	}
	if err := os.WriteFile(engine, []byte(heldEngine), 0o755); err != nil {
		return "", err
	}
	return heldFolder, os.Mkdir(filepath.Join(heldFolder, "gates"), 0o755)
}

// inHeldImage runs an object's runners in that image, with this in their environment.
func inHeldImage(env ...corev1.EnvVar) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.RunnerPodTemplate.Spec.Image = heldImage
		tf.Spec.RunnerPodTemplate.Spec.Env = env
	}
}

// gate holds engines until it is opened. It is a file of the image: those may not appear while a container runs, but they
// may be written to.
type gate struct{ name string }

// closed makes a gate.
func closed(s *story.Story) *gate {
	g := &gate{s.Tenant.Namespace}
	g.write(s, "shut")
	return g
}

func (g *gate) host() string { return filepath.Join(heldFolder, "gates", g.name) }

func (g *gate) path() string { return "/gates/" + g.name }

func (g *gate) open(s *story.Story) { g.write(s, "open") }

func (g *gate) write(s *story.Story, text string) {
	s.Expect(os.WriteFile(g.host(), []byte(text), 0o644)).To(Succeed())
}

// before holds the engine before a command: init, plan, apply, output; or in the provisioner of a module: create, delete.
func (g *gate) before(command string) func(*infrav1.Terraform) {
	return inHeldImage(corev1.EnvVar{Name: "HOLD_COMMAND", Value: command}, corev1.EnvVar{Name: "HOLD_UNTIL", Value: g.path()})
}

// shells are the host's ids of the shells that the gate holds. One that stands in for the engine at another command, or is
// another provisioner's, is only passing through.
func (g *gate) shells() []string {
	var found []string
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range dirs {
		// A process that has ended in the meantime is none that is held.
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if strings.Contains(string(env), "HOLD_UNTIL="+g.path()+"\x00") && atTheGate(string(env), string(cmdline)) {
			found = append(found, filepath.Base(dir))
		}
	}
	return found
}

// atTheGate says whether a shell has come to the command that HOLD_COMMAND names.
func atTheGate(env, cmdline string) bool {
	_, command, _ := strings.Cut("\x00"+env, "\x00HOLD_COMMAND=")
	command, _, _ = strings.Cut(command, "\x00")
	args := strings.Split(cmdline, "\x00")
	if command == "" || len(args) < 3 || args[0] != "/bin/sh" {
		return false
	}
	return args[2] == command || strings.Contains(args[2], "!= "+command+" ]")
}

// held waits until the gate holds an engine, or what an engine has started.
func (g *gate) held(s *story.Story) {
	s.Eventually(g.shells).ShouldNot(BeEmpty(), "the engine is at the gate")
}

// heldModule has a resource whose creation and destruction the gate can hold, or whose creation fails, and one that is made
// before it.
const heldModule = `
resource "terraform_data" "first" { input = "made at once" }
resource "terraform_data" "held" {
  input = terraform_data.first.id
  provisioner "local-exec" {
    command = <<-EOT
      [ "$HOLD_COMMAND" != fail ] || exit 1
      [ "$HOLD_COMMAND" != create ] || until [ "$(cat "$HOLD_UNTIL")" = open ]; do sleep 0.1; done
    EOT
  }
  provisioner "local-exec" {
    when    = destroy
    command = <<-EOT
      [ "$HOLD_COMMAND" != delete ] || until [ "$(cat "$HOLD_UNTIL")" = open ]; do sleep 0.1; done
    EOT
  }
}
output "done" { value = terraform_data.held.id }
`

// phase of an object's life in which a fault strikes.
type phase struct {
	name string
	// command at which the engine is held.
	command string
	// operation of the run that is struck, and the step that it is at.
	operation infrav1.Operation
	step      infrav1.RunStep
	// plans and applies that an undisturbed object takes in all.
	plans, applies int
	// destroy: the object is deleted, with its resources.
	destroy bool
}

var phases = []phase{
	{name: "init", command: "init", operation: infrav1.OperationPlan, step: infrav1.StepInit, plans: 1, applies: 1},
	{name: "plan", command: "plan", operation: infrav1.OperationPlan, step: infrav1.StepPlan, plans: 1, applies: 1},
	{name: "apply", command: "create", operation: infrav1.OperationApply, step: infrav1.StepApply, plans: 1, applies: 1},
	{name: "outputs", command: "output", operation: infrav1.OperationApply, step: infrav1.StepOutputs, plans: 1, applies: 1},
	{name: "destroy", command: "delete", operation: infrav1.OperationApply, step: infrav1.StepApply, plans: 2, applies: 2, destroy: true},
}

// patient is an object that is held in its phase.
type patient struct {
	*story.Story
	phase phase
	gate  *gate
	// run that is held.
	run infrav1.TerraformRun
}

// admit brings one object into each phase and holds it there: all are struck at once.
func admit(t *testing.T, among []phase) []*patient {
	t.Helper()
	patients := make([]*patient, len(among))
	for i, ph := range among {
		s := story.New(t, system, map[string]string{"main.tf": heldModule})
		p := &patient{Story: s, phase: ph, gate: closed(s)}
		s.Create(story.Auto, p.gate.before(ph.command), story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
			tf.Spec.RetryInterval = &metav1.Duration{Duration: 2 * time.Second}
			tf.Spec.DestroyResourcesOnDeletion = ph.destroy
		})
		patients[i] = p
	}
	for _, p := range patients {
		if p.phase.destroy {
			p.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1:"))
			p.Expect(system.Client.Delete(p.Ctx, p.Get())).To(Succeed())
		}
	}
	for _, p := range patients {
		p.gate.held(p.Story)
		p.Eventually(func(g Gomega) {
			tf := p.Get()
			g.Expect(tf.Status.ActiveRun).NotTo(BeNil())
			g.Expect(system.Client.Get(p.Ctx, p.Key(tf.Status.ActiveRun.Name), &p.run)).To(Succeed())
			g.Expect(p.run.Status.Step).To(Equal(p.phase.step))
		}).Should(Succeed())
		p.Expect(p.run.Spec.Operation).To(Equal(p.phase.operation))
	}
	return patients
}

// recovers waits until the object is where it would be without the fault.
func (p *patient) recovers() {
	if p.phase.destroy {
		p.Eventually(func() bool { return gone(p.Story) }).Should(BeTrue(), "the object goes")
		return
	}
	p.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
	p.Expect(string(p.Secret("net-outputs").Data["done"])).NotTo(BeEmpty())
}

// sound holds what is true of every object after its recovery.
func (p *patient) sound() {
	if p.phase.destroy {
		p.LeavesNothing()
	}
	lockIsFree(p.Story)
	p.Expect(p.gate.shells()).To(BeEmpty(), "no child is left")
}

// runsOf counts the object's runs of that operation.
func (p *patient) runsOf(operation infrav1.Operation) int {
	count := 0
	for _, run := range p.Runs() {
		if run.Spec.Operation == operation {
			count++
		}
	}
	return count
}
