package e2e

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/networks"
	"github.com/terraform-controller/terraform-controller/tests/remote"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// canary is a text that is nowhere else, on its way into a run.
type canary struct {
	// secret goes that way; open stands beside it where it may be seen, which shows that the test looks there.
	secret, open string
	s            *story.Story
}

// flight is a way on which a secret gets into a run, and what is done with it there.
type flight struct {
	way string
	// files of the module, with SECRET and OPEN in them.
	files map[string]string
	// holds is what the Secret "canary" has.
	holds map[string]string
	// aim lets the object use it.
	aim func(t *testing.T, c *canary) func(*infrav1.Terraform)
	// unkept is for what no Secret of the run holds: that it got into the run shows where it is hidden, in a log.
	unkept bool
	// fails is the reason of the failure, and says a part of what is told of it; without, all is applied and destroyed.
	fails, says string
}

// partOfCanary is how much of a secret's ends is looked for by itself, in bytes: it may have been cut.
const partOfCanary = 20

const (
	// talks is a module that says its variable wherever a module can.
	talks = `
variable "secret" { type = string }
resource "terraform_data" "it" {
  input = "OPEN ${var.secret}"
  provisioner "local-exec" { command = "echo OPEN ${var.secret}; printf %s ${var.secret} | base64 | tr -d '\n'" }
  provisioner "local-exec" {
    when    = destroy
    command = "echo OPEN ${self.input}"
  }
}
output "open" { value = [terraform_data.it.id, "OPEN"][1] }
output "secret" {
  value     = var.secret
  sensitive = true
}
`
	// talksOfFiles says what stands in files.
	talksOfFiles = `
resource "terraform_data" "it" {
  provisioner "local-exec" { command = "echo OPEN; FILE; (FILE) | base64 | tr -d '\n'" }
  provisioner "local-exec" {
    when    = destroy
    command = "echo OPEN; FILE"
  }
}
output "open" { value = [terraform_data.it.id, "OPEN"][1] }
`
	failsAtApply = `
variable "secret" { type = string }
resource "terraform_data" "it" {
  provisioner "local-exec" { command = "echo OPEN ${var.secret} >&2; exit 3" }
}
`
	failsAtPlan = `
variable "secret" { type = string }
resource "terraform_data" "it" {
  lifecycle {
    precondition {
      condition     = var.secret == "another"
      error_message = "OPEN ${var.secret} ${base64encode("user:${var.secret}")} ${jsonencode({ key = var.secret })}"
    }
  }
}
`
	// failsAtCuts says a secret where the product cuts a message and a detail, and where the engine cuts the output of a command.
	failsAtCuts = `
variable "secret" { type = string }
locals {
  long   = join("", [for _ in range(1024) : "0123456789abcdef"])
  middle = floor(length(var.secret) / 2)
}
resource "terraform_data" "output" {
  provisioner "local-exec" {
    command     = "printf %s%s $SAID $REST; : OPEN; exit 3"
    environment = { SAID = var.secret, REST = substr(local.long, 0, 8192 - length(var.secret) + local.middle) }
  }
}
resource "terraform_data" "detail" {
  provisioner "local-exec" { command = "exit 3; : ${substr(local.long, 0, 4096 - length("Error running command 'exit 3; : ") - local.middle)}${var.secret}" }
}
resource "terraform_data" "message" {
  provisioner "local-exec" { command = "echo ${substr(local.long, 0, 16384 - length("terraform_data.message (local-exec): ") - local.middle)}${var.secret}; exit 3" }
}
`
)

var flights = []flight{
	{way: "varsFrom", files: mainFile(talks), holds: map[string]string{"secret": "SECRET"}, aim: fromVars},
	{
		way: "valueFrom", files: mainFile(strings.Replace(talks, "type = string", "sensitive = true", 1)), holds: map[string]string{"key": "SECRET"},
		aim: func(*testing.T, *canary) func(*infrav1.Terraform) {
			return func(tf *infrav1.Terraform) {
				tf.Spec.Vars = []infrav1.Variable{{Name: "secret", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: keyOfCanary("key")}}}
			}
		},
	},
	{way: "env", files: mainFile(talks), holds: map[string]string{"key": "SECRET"}, aim: func(*testing.T, *canary) func(*infrav1.Terraform) {
		return func(tf *infrav1.Terraform) {
			pod := &tf.Spec.RunnerPodTemplate.Spec
			pod.Env = append(pod.Env, corev1.EnvVar{Name: "TF_VAR_secret", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: keyOfCanary("key")}})
		}
	}},
	{way: "envFrom", files: mainFile(talks), holds: map[string]string{"secret": "SECRET"}, aim: func(*testing.T, *canary) func(*infrav1.Terraform) {
		return func(tf *infrav1.Terraform) {
			tf.Spec.RunnerPodTemplate.Spec.EnvFrom = []corev1.EnvFromSource{{Prefix: "TF_VAR_", SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "canary"},
			}}}
		}
	}},
	{
		way: "volume", files: mainFile(strings.ReplaceAll(talksOfFiles, "FILE", "printf OPEN; cat /var/canary/key")), holds: map[string]string{"key": "SECRET"}, unkept: true,
		aim: func(*testing.T, *canary) func(*infrav1.Terraform) {
			return func(tf *infrav1.Terraform) {
				pod := &tf.Spec.RunnerPodTemplate.Spec
				pod.Volumes = []corev1.Volume{{Name: "keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "canary"}}}}
				pod.VolumeMounts = []corev1.VolumeMount{{Name: "keys", MountPath: "/var/canary", ReadOnly: true}}
			}
		},
	},
	{
		way: "inputs", files: mainFile(strings.NewReplacer("type = string", "type = any", "var.secret", "var.values.secret", `"secret"`, `"values"`).Replace(talks)),
		holds: map[string]string{"key": "SECRET"}, aim: fromInputs,
	},
	{
		way: "files", files: mainFile(strings.ReplaceAll(talksOfFiles, "FILE", "cat keys/deploy /home/runner/.config/token")),
		holds: map[string]string{"key": "first line\nof SECRET \"quoted\"\nlast line\n", "token": "SECRET"}, aim: inFiles,
	},
	{
		way: "cli", files: mainFile(strings.ReplaceAll(talksOfFiles, "FILE", "cat $TF_CLI_CONFIG_FILE")),
		holds: map[string]string{"my.tfrc": strings.Replace(imagesMirror, "token-of-the-registry", "SECRET", 1)},
		aim: func(*testing.T, *canary) func(*infrav1.Terraform) {
			return func(tf *infrav1.Terraform) { tf.Spec.CliConfigSecretRef = &corev1.SecretReference{Name: "canary"} }
		},
	},
	{
		way: "outputs", holds: map[string]string{"none": "SECRET"},
		files: mainFile(strings.NewReplacer(`variable "secret" { type = string }`, `locals { secret = sensitive("SECRET") }`, "var.secret", "local.secret").Replace(talks)),
	},
	{
		way: "provisioner", files: mainFile(failsAtApply), holds: map[string]string{"secret": "SECRET"}, aim: fromVars,
		fails: infrav1.ReasonTFExecApplyFailed, says: "OPEN",
	},
	{
		way: "cuts", files: mainFile(failsAtCuts), holds: map[string]string{"secret": "SECRET"}, aim: fromVars,
		fails: infrav1.ReasonTFExecApplyFailed, says: "OPEN",
	},
	{
		way: "precondition", files: mainFile(failsAtPlan), holds: map[string]string{"secret": "SECRET"}, aim: fromVars,
		fails: infrav1.ReasonTFExecPlanFailed, says: "OPEN",
	},
	{
		way: "type", files: mainFile(`variable "secret" { type = number }`), holds: map[string]string{"secret": "SECRET"}, aim: fromVars,
		fails: infrav1.ReasonTFExecPlanFailed, says: "a number is required",
	},
	{
		way: "template", files: map[string]string{"main.tf.tpl": "variable \"values\" {}\nlocals { x = file(\"OPEN/{{ .Values.secret }}\") }\noutput \"x\" { value = local.x }\n"},
		holds: map[string]string{"key": "SECRET"}, aim: fromInputs, fails: infrav1.ReasonTFExecPlanFailed, says: "OPEN",
	},
	{
		way: "backend", files: mainFile(""), fails: infrav1.ReasonTFExecInitFailed, says: "connection refused", aim: inTheBackend,
		holds: map[string]string{"address": "http://127.0.0.1:1/OPEN?token=SECRET", "username": "ann", "password": "SECRET"},
	},
	{
		way: "modules", holds: map[string]string{"username": "reader", "password": "SECRET"}, aim: forModules,
		fails: infrav1.ReasonTFExecInitFailed, says: "Authentication failed",
	},
	{
		way: "cloud", files: mainFile(""), holds: map[string]string{"token": "SECRET"}, fails: "TFExec", says: "127.0.0.1",
		aim: func(t *testing.T, c *canary) func(*infrav1.Terraform) {
			kept := keptBy(c.s, remote.NewCloud(t))
			return func(tf *infrav1.Terraform) {
				speaks := tf.Spec.RunnerPodTemplate.Spec.Env
				kept(tf)
				tf.Spec.RunnerPodTemplate.Spec.Env = append(tf.Spec.RunnerPodTemplate.Spec.Env, speaks...)
				tf.Spec.Cloud.TokenSecretRef.Name = "canary"
			}
		},
	},
}

func mainFile(content string) map[string]string { return map[string]string{"main.tf": content} }

func keyOfCanary(key string) *corev1.SecretKeySelector {
	return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "canary"}, Key: key}
}

func fromVars(*testing.T, *canary) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "canary"}}
	}
}

func fromInputs(*testing.T, *canary) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.ReadInputsFromSecrets = []infrav1.ReadInputsFromSecretSpec{{Name: "canary", As: "other"}}
		tf.Spec.Values = story.JSON(`{"secret":"${{ .other.key }}"}`)
	}
}

func inFiles(*testing.T, *canary) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.FileMappings = []infrav1.FileMapping{
			{SecretRef: meta.SecretKeyReference{Name: "canary", Key: "key"}, Location: "workspace", Path: "keys/deploy"},
			{SecretRef: meta.SecretKeyReference{Name: "canary", Key: "token"}, Location: "home", Path: ".config/token"},
		}
	}
}

func inTheBackend(*testing.T, *canary) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.BackendConfig = &infrav1.BackendConfigSpec{CustomConfiguration: "backend \"http\" {\n  retry_max = 0\n}\n"}
		tf.Spec.BackendConfigsFrom = []infrav1.BackendConfigsReference{{Kind: "Secret", Name: "canary"}}
	}
}

func forModules(t *testing.T, c *canary) func(*infrav1.Terraform) {
	t.Helper()
	authority := networks.NewAuthority(t)
	git := authority.HTTPS("reader", modulePassword)
	git.Repo("greeting.git", map[string]string{"main.tf": story.Greeting})
	_, err := c.s.Tenant.Commit(c.s.Ctx, "a private module", callOf("git::"+git.URL+"/greeting.git?ref=v1"))
	c.s.Expect(err).NotTo(HaveOccurred())
	secret := c.s.Secret("canary")
	secret.StringData = map[string]string{"ca.crt": authority.PEM}
	c.s.Expect(system.Client.Update(c.s.Ctx, secret)).To(Succeed())
	return withCredentials(git.URL, "canary")
}

// TestCanary_IsFoundInNoPlaceButSecrets sends a secret on each way into a run, where everything that can speak says it. Then it
// is looked for in the logs, in all objects of all kinds, in the metrics and in what webhooks were sent.
func TestCanary_IsFoundInNoPlaceButSecrets(t *testing.T) {
	for _, f := range flights {
		t.Run(f.way, func(t *testing.T) {
			t.Parallel()
			c := &canary{secret: rand.Text() + "-canary-" + f.way + "-" + rand.Text(), open: "open-" + f.way + "-" + rand.Text()}
			c.s = story.New(t, system, c.in(f.files))
			c.s.Expect(system.Client.Create(c.s.Ctx, secretOf(c.s, "canary", c.in(f.holds)))).To(Succeed())
			p := newPolicy(t, passes)
			changes := []func(*infrav1.Terraform){everythingThatSpeaks, webhooks(p.hook("SpecAndPlan"))}
			if f.aim != nil {
				changes = append(changes, f.aim(t, c))
			}
			if f.fails != "" {
				c.s.Create(append(changes, story.Auto)...)
				c.s.Becomes(metav1.ConditionFalse, f.fails, ContainSubstring(c.text(f.says)))
				c.isKept(p)
				return
			}
			c.s.Create(changes...)
			c.isPlannedAppliedAndDestroyed(p, f.unkept)
		})
	}
}

// everythingThatSpeaks is asked for.
func everythingThatSpeaks(tf *infrav1.Terraform) {
	spec := &tf.Spec
	spec.StoreReadablePlan, spec.EnableInventory, spec.DestroyResourcesOnDeletion = "human", true, true
	spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "outputs"}
	spec.WriteOutputsToConfigMap = &infrav1.WriteOutputsToConfigMapSpec{Name: "public-outputs"}
	spec.RunnerPodTemplate.Spec.Env = []corev1.EnvVar{{Name: "LOG_HUMAN_READABLE_PLAN", Value: "true"}}
}

// isPlannedAppliedAndDestroyed in pods of their own, and looked for after each.
func (c *canary) isPlannedAppliedAndDestroyed(p *policy, unkept bool) {
	id := c.s.Held()
	c.isKept(p)
	c.s.Expect(p.asked()).NotTo(BeEmpty())
	c.s.Annotate(infrav1.ApprovePlanAnnotation, id)
	c.s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, Not(BeEmpty()))
	open, secret := c.isKept(p)
	c.s.Expect(open.where(c.open)).To(ContainElement(HavePrefix("log of pod ")), "what speaks is heard")
	if unkept {
		c.s.Expect(open.where(c.open+"***")).To(ContainElement(HavePrefix("log of pod ")), "it got into the run")
		c.s.Expect(secret.where(c.secret)).To(Equal([]string{"Secret canary of v1"}))
	} else {
		c.s.Expect(secret.where(c.secret)).To(ContainElement(HavePrefix("Secret tfkeep-")), "it got into the run")
	}
	c.s.DeleteObject()
	c.isKept(p)
}

// isKept looks for it, and answers where it looked.
func (c *canary) isKept(p *policy) (open, secret places) {
	open, secret = lookAround(c.s, mayHold)
	for _, body := range p.asked() {
		open["a webhook"] += body
	}
	for _, part := range []string{c.secret, c.secret[:partOfCanary], c.secret[len(c.secret)-partOfCanary:]} {
		c.s.Expect(open.where(part)).To(BeEmpty(), "it leaks")
	}
	c.s.Expect(secret.where(c.secret)).To(ContainElement("Secret canary of v1"), "it would be found")
	return open, secret
}

// mayHold: the Secret it comes from, what the engine keeps, and the outputs.
func mayHold(secret string) bool {
	for _, prefix := range []string{"tfstate-", "tfbackup-", "tfplan-", "tfkeep-", "tfrescue-"} {
		if strings.HasPrefix(secret, prefix) {
			return true
		}
	}
	return secret == "canary" || secret == "outputs"
}

func (c *canary) text(of string) string {
	return strings.NewReplacer("SECRET", c.secret, "OPEN", c.open).Replace(of)
}

func (c *canary) in(texts map[string]string) map[string]string {
	all := make(map[string]string, len(texts))
	for name, content := range texts {
		all[name] = c.text(content)
	}
	return all
}
