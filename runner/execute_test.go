package runner_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestExecute_PlansAppliesAndDestroys(t *testing.T) {
	compat.Shows(t, "spec.enableInventory", "status.inventory", "plan-secret.without-changes", "cleanup.plan-after-apply",
		"outputs.available", "outputs.after-destroy", "outputs.by-hand", "documented.engine-version", "weak.12", "weak.25",
	)
	g := NewWithT(t)
	w := newWorld(t, map[string]string{
		"modules/app/main.tf": `
variable "region" { type = string }
variable "password" { type = string }
variable "from_env" { type = string }
variable "token" {
  type      = string
  ephemeral = true
}
resource "terraform_data" "app" { input = "${var.region} ${var.password} ${var.from_env}" }
resource "null_resource" "other" {}
output "region" { value = var.region }
output "secret" {
  value     = "sensitive-output"
  sensitive = true
}
`,
		// The spec overrides it in the plan; the apply must not fall back to it.
		"modules/app/terraform.tfvars": `region = "of-the-artifact"`,
	}, func(spec *v1alpha2.TerraformSpec) {
		spec.Path = "./modules/app"
		spec.Vars = []v1alpha2.Variable{{Name: "region", Value: &apiextensionsv1.JSON{Raw: []byte(`"of-the-spec"`)}}}
		spec.VarsFrom = []v1alpha2.VarsReference{{Kind: "Secret", Name: "inputs"}}
		spec.WriteOutputsToSecret = &v1alpha2.WriteOutputsToSecretSpec{Name: "out"}
		spec.EnableInventory = true
	})
	t.Setenv("TF_VAR_from_env", "env-value")
	inputs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "inputs"},
		StringData: map[string]string{"password": "correct-horse", "token": "ephemeral-token"}}
	api.Create(t, inputs)

	planned := w.plan()
	s := planned.Status
	g.Expect(s.Runner).To(Equal(&v1alpha2.RunnerIdentity{PodUID: podUID, Node: "node-1"}))
	g.Expect(s.Engine).To(Equal(&v1alpha2.EngineIdentity{Name: "tofu", Version: "1.12.6"}))
	g.Expect(s.StartedAt).NotTo(BeNil())
	g.Expect(s.FinishedAt).NotTo(BeNil())
	g.Expect(s.ApplyStartedAt).To(BeNil())
	g.Expect(s.Plan.HasChanges).To(BeTrue())
	g.Expect(s.Plan.ID).To(HavePrefix("plan-main-b8e362c206-"))
	g.Expect(s.Plan.Digest).To(HavePrefix("sha256:"))
	g.Expect(s.Plan.Short).To(Equal("+2 ~0 -0"))
	g.Expect(s.Plan.Summary).To(Equal(v1alpha2.PlanSummary{Add: 2}))
	g.Expect(s.Plan.Changes).To(HaveLen(8), "two resources and two outputs, and the four parts of what they rest on")
	g.Expect(s.Plan.Rendered).To(ContainSubstring("terraform_data.app"))
	g.Expect(s.Plan.Rendered).NotTo(ContainSubstring("correct-horse"), "a value from a Secret is hidden, also where the module does not call it sensitive")
	g.Expect(s.Inputs).To(ConsistOf(HaveField("Name", "inputs")))
	g.Expect(s.State.Serial).To(BeEquivalentTo(1), "init has made an empty state")
	g.Expect(s.OutputsRead).To(BeFalse())

	// The input changes after the plan: what was approved is what is applied.
	inputs.Data["password"] = []byte("rotated-secret")
	g.Expect(api.Client.Update(t.Context(), inputs)).To(Succeed())
	applied := w.apply(planned)
	s = applied.Status
	g.Expect(s.ApplyStartedAt).NotTo(BeNil())
	g.Expect(s.Plan.ID).To(Equal(planned.Status.Plan.ID))
	g.Expect(s.Outputs).To(Equal([]string{"region", "secret"}))
	g.Expect(s.OutputsRead).To(BeTrue())
	g.Expect(s.OutputsWritten).To(ConsistOf("region", "secret"))
	g.Expect(s.State.Lineage).To(Equal(planned.Status.State.Lineage))
	g.Expect(s.State.Serial).To(BeEquivalentTo(2))
	g.Expect(s.State.Resources).To(BeEquivalentTo(2))
	g.Expect(s.Inventory.Entries).To(ContainElement(HaveField("Name", "app")))
	out := &corev1.Secret{}
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "out"}, out)).To(Succeed())
	g.Expect(out.Data).To(HaveKeyWithValue("region", []byte("of-the-spec")))

	// Someone removes the outputs: a plan without changes brings them back.
	inputs.Data["password"] = []byte("correct-horse")
	g.Expect(api.Client.Update(t.Context(), inputs)).To(Succeed())
	g.Expect(api.Client.Delete(t.Context(), out)).To(Succeed())
	again := w.plan()
	g.Expect(again.Status.Plan).To(Equal(&v1alpha2.RunPlan{Short: "+0 ~0 -0"}))
	g.Expect(again.Status.OutputsWritten).To(ConsistOf("region", "secret"))
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "out"}, out)).To(Succeed())
	g.Expect(w.secretsLike("tfplan")).To(BeEmpty(), "nothing is left to apply")

	w.change(func(spec *v1alpha2.TerraformSpec) { spec.Destroy = true })
	destroy := w.plan()
	g.Expect(destroy.Status.Plan.Short).To(Equal("+0 ~0 -2"))
	g.Expect(destroy.Status.Plan.Destructive).To(ConsistOf("terraform_data.app", "null_resource.other"))
	destroyed := w.apply(destroy)
	g.Expect(destroyed.Status.State.Resources).To(BeZero())
	g.Expect(destroyed.Status.Outputs).To(BeEmpty())
	g.Expect(destroyed.Status.OutputsRead).To(BeTrue())
	err := api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "out"}, out)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the outputs go with the resources")

	for _, hidden := range []string{"correct-horse", "rotated-secret", "sensitive-output", "ephemeral-token"} {
		g.Expect(w.log.String()).NotTo(ContainSubstring(hidden))
	}
}

// secretsLike are the Secrets of the namespace with that prefix.
func (w *world) secretsLike(prefix string) []string {
	w.t.Helper()
	list := &corev1.SecretList{}
	if err := api.Client.List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, s := range list.Items {
		if len(s.Name) >= len(prefix) && s.Name[:len(prefix)] == prefix {
			names = append(names, s.Name)
		}
	}
	return names
}
