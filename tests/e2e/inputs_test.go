package e2e

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// everyInput is a module that needs all that a run can be given. Its apply and its destroy look for the files, too.
var everyInput = map[string]string{
	"app/backend.tf": `terraform {
  backend "kubernetes" { in_cluster_config = true }
}`,
	"app/main.tf.tpl": `
variable "values" { type = any }
variable "size" { type = number }
variable "zone" { type = string }
{{ range .Values.pets }}
resource "null_resource" {{ toHcl . }} {
  triggers = { all = "${var.size} ${var.zone} ${var.values.name} ${sha256(var.values.key)} ${sha256(file("${path.module}/keys/deploy"))}" }
  provisioner "local-exec" {
    command = "grep -q of-the-home /home/runner/.config/token && grep -q deploy-key keys/deploy && grep -q registry.example.com $TF_CLI_CONFIG_FILE"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "grep -q of-the-home /home/runner/.config/token && grep -q deploy-key keys/deploy"
  }
}
resource "null_resource" "not-{{ . }}" {}
{{ end }}
# Of what is no target nothing is put out.
output "name" { value = [var.values.name, null_resource.cat.id][0] }
output "size" { value = [tostring(var.size), null_resource.cat.id][0] }
output "zone" { value = [var.zone, null_resource.cat.id][0] }
output "key" {
  value     = [var.values.key, null_resource.cat.id][0]
  sensitive = true
}
`,
	"env/prod.tfvars": "zone = \"of-the-file\"\n",
}

const (
	multiLineKey = "-----BEGIN KEY-----\nwith \"quotes\" and ${marks}\n-----END KEY-----\n"

	imagesMirror = `credentials "registry.example.com" { token = "token-of-the-registry" }
provider_installation {
  filesystem_mirror { path = "/usr/local/share/terraform/providers" }
}
`
)

func secretOf(s *story.Story, name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: name}, StringData: data}
}

// inputSecrets are what everyInput reads.
func inputSecrets(s *story.Story) []*corev1.Secret {
	return []*corev1.Secret{
		secretOf(s, "other-outputs", map[string]string{
			"key": multiLineKey, "pets": `["cat"]`, "pets__type": `["list","string"]`, "count": "12345678901234567890", "count__type": `"number"`,
		}),
		secretOf(s, "files", map[string]string{"key": "deploy-key", "token": "of-the-home"}),
		secretOf(s, "cli", map[string]string{"my.tfrc": imagesMirror}),
		secretOf(s, "backend", map[string]string{"secret_suffix": "chosen", "namespace": s.Tenant.Namespace}),
	}
}

// withEveryInput asks for all of them.
func withEveryInput(tf *infrav1.Terraform) {
	spec := &tf.Spec
	spec.Path = "app"
	spec.Values = story.JSON(`{"pets":"${{ .other.pets }}","key":"${{ .other.key }}","name":"app-${{ .other.count }}"}`)
	spec.ReadInputsFromSecrets = []infrav1.ReadInputsFromSecretSpec{{Name: "other-outputs", As: "other"}}
	spec.Vars = []infrav1.Variable{{Name: "size", Value: story.JSON("3")}, {Name: "zone", Value: story.JSON(`"of-the-spec"`)}}
	spec.TfVarsFiles = []string{"env/prod.tfvars"}
	spec.FileMappings = []infrav1.FileMapping{
		{SecretRef: meta.SecretKeyReference{Name: "files", Key: "key"}, Location: "workspace", Path: "keys/deploy"},
		{SecretRef: meta.SecretKeyReference{Name: "files", Key: "token"}, Location: "home", Path: ".config/token"},
	}
	spec.CliConfigSecretRef = &corev1.SecretReference{Name: "cli"}
	spec.BackendConfig = &infrav1.BackendConfigSpec{Disable: true}
	spec.BackendConfigsFrom = []infrav1.BackendConfigsReference{{Kind: "Secret", Name: "backend"}, {Kind: "ConfigMap", Name: "later", Optional: true}}
	spec.Targets = []string{"null_resource.cat"}
	spec.Parallelism, spec.UpgradeOnInit, spec.EnableInventory = 2, ptr.To(false), true
	spec.Plan = &infrav1.PlanSpec{Lock: ptr.To(false)}
	spec.DestroyResourcesOnDeletion = true
	spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "outputs"}
}

func TestInputs_AllTogetherInPlanApplyAndDestroy(t *testing.T) {
	compat.Shows(t, "spec.backendConfig.disable", "spec.enableInventory", "promise.dependencies", "use.inputs-from-others",
		"weak.1",
	)
	t.Parallel()
	s := story.New(t, system, everyInput)
	secrets := inputSecrets(s)
	for _, secret := range secrets {
		s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	}
	s.Create(withEveryInput)
	id := s.Held()
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty(), "the plan's pod goes")
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	applied := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring(s.Revision()))
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).NotTo(Equal(pods[0]), "the apply has a pod of its own")

	outputs := s.Secret("outputs").Data
	s.Expect(string(outputs["key"])).To(Equal(multiLineKey))
	s.Expect(string(outputs["name"])).To(Equal("app-12345678901234567890"))
	s.Expect(string(outputs["size"])).To(Equal("3"))
	s.Expect(string(outputs["zone"])).To(Equal("of-the-file"))
	s.Expect(s.Secret("tfstate-default-chosen").Data).To(HaveKey("tfstate"))
	s.Expect(applied.Status.Inventory.Entries).To(ConsistOf(HaveField("Name", "cat")), "and not what is no target")

	for _, secret := range secrets {
		if secret.Name != "cli" { // both of what is there and what was kept
			s.Expect(system.Client.Delete(s.Ctx, secret)).To(Succeed())
		}
	}
	s.DeleteObject()
	s.Expect(system.Client.Delete(s.Ctx, secretOf(s, "cli", nil))).To(Succeed())
	s.LeavesNothing()
}

// TestInputs_AreKeptByAnApplyInThePodOfItsPlan: such an apply reads nothing again, but what it keeps has all of it.
func TestInputs_AreKeptByAnApplyInThePodOfItsPlan(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, everyInput)
	secrets := inputSecrets(s)
	for _, secret := range secrets {
		s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	}
	s.Create(story.Auto, withEveryInput)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring(s.Revision()))
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).To(Equal(pods[0]))
	for _, secret := range secrets {
		s.Expect(system.Client.Delete(s.Ctx, secret)).To(Succeed())
	}
	s.DeleteObject()
	s.LeavesNothing()
}

func TestInputs_SayWhatIsWrong(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/AccessDenied")
	t.Parallel()
	files := map[string]string{"app/main.tf": "", "broken/main.tf.tpl": "\n{{ .Values.typo }}"}
	s := story.New(t, system, files)
	for _, secret := range inputSecrets(s) {
		s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	}
	ns := s.Tenant.Namespace
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.Path = "app" })
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonPlannedNoChanges, Not(BeEmpty()))
	file := func(name, key, path string) []infrav1.FileMapping {
		return []infrav1.FileMapping{{SecretRef: meta.SecretKeyReference{Name: name, Key: key}, Location: "home", Path: path}}
	}
	for _, tc := range []struct {
		what, reason, message string
		change                func(*infrav1.TerraformSpec)
	}{
		{"a missing Secret", infrav1.ReasonTFExecInitFailed, `spec.fileMappings[0].secretRef.name: Secret "` + ns + `/gone" does not exist; create it`,
			func(spec *infrav1.TerraformSpec) { spec.FileMappings = file("gone", "key", "a") }},
		{"a mistyped key", infrav1.ReasonTFExecInitFailed, `spec.fileMappings[0].secretRef.key: Secret "` + ns + `/files" has no key "kye"; its keys are key, token`,
			func(spec *infrav1.TerraformSpec) { spec.FileMappings = file("files", "kye", "a") }},
		{"a path that names no file", infrav1.ReasonTFExecInitFailed, `spec.fileMappings[0].path: "a/" does not name a file below home`,
			func(spec *infrav1.TerraformSpec) { spec.FileMappings = file("files", "key", "a/") }},
		{"a file that is not in the artifact", infrav1.ReasonTFExecPlanFailed, `spec.tfVarsFiles[0]: "../../etc/passwd" is no file in artifact ` + s.Revision() +
			` of GitRepository/` + s.Source().Name + `; paths begin at the artifact's root, not at spec.path`,
			func(spec *infrav1.TerraformSpec) { spec.TfVarsFiles = []string{"../../etc/passwd"} }},
		{"no CLI configuration", infrav1.ReasonTFExecNewFailed, `spec.cliConfigSecretRef: Secret "` + ns + `/files" has no key that ends in .tfrc; its keys are key, token`,
			func(spec *infrav1.TerraformSpec) { spec.CliConfigSecretRef = &corev1.SecretReference{Name: "files"} }},
		{"another namespace", infrav1.ReasonAccessDenied, `spec.cliConfigSecretRef: cannot access secret kube-system/cli, cross-namespace references have been disabled; ` +
			`use a Secret in namespace ` + ns + ` or start the controller with --allow-cross-namespace-refs`,
			func(spec *infrav1.TerraformSpec) {
				spec.CliConfigSecretRef = &corev1.SecretReference{Name: "cli", Namespace: "kube-system"}
			}},
		{"a mistyped setting", infrav1.ReasonTFExecInitFailed, `spec.backendConfigsFrom[0].keys[0]: Secret "` + ns + `/backend" has no key "secretSuffix"; its keys are namespace, secret_suffix`,
			func(spec *infrav1.TerraformSpec) {
				spec.BackendConfigsFrom = []infrav1.BackendConfigsReference{{Kind: "Secret", Name: "backend", Keys: []string{"secretSuffix"}}}
			}},
		{"no backend", infrav1.ReasonStateNotPersistent,
			`the state would be lost with the pod: the module has no backend; give it one, or leave out spec.backendConfig.disable`,
			func(spec *infrav1.TerraformSpec) { spec.BackendConfig = &infrav1.BackendConfigSpec{Disable: true} }},
		{"a mistyped input", infrav1.ReasonVarsGenerationFailed, `spec.values.a: template: spec.values.a:1:10: executing "spec.values.a" at <.other.kye>: ` +
			`map has no entry for key "kye"; there are: .other has count, key, pets`,
			func(spec *infrav1.TerraformSpec) {
				spec.Values = story.JSON(`{"a":"${{ .other.kye }}"}`)
				spec.ReadInputsFromSecrets = []infrav1.ReadInputsFromSecretSpec{{Name: "other-outputs", As: "other"}}
			}},
		{"an unreadable template", infrav1.ReasonVarsGenerationFailed, `spec.values.a: template: spec.values.a:1: unclosed action`,
			func(spec *infrav1.TerraformSpec) { spec.Values = story.JSON(`{"a":"${{ .other"}`) }},
		{"a template that shows nothing", infrav1.ReasonTemplateGenerationFailed, `main.tf.tpl:2:3: .Values.typo has no value`,
			func(spec *infrav1.TerraformSpec) { spec.Path, spec.Values = "broken", story.JSON(`{"a":1}`) }},
	} {
		t.Log(tc.what)
		s.Change(func(tf *infrav1.Terraform) {
			sound := infrav1.TerraformSpec{Path: "app", Interval: tf.Spec.Interval, RetryInterval: tf.Spec.RetryInterval, SourceRef: tf.Spec.SourceRef}
			tc.change(&sound)
			tf.Spec = sound
		})
		s.Becomes(metav1.ConditionFalse, tc.reason, Equal(tc.message))
	}
}
