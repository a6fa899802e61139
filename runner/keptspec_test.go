package runner_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// fromKept makes a destroy of what was kept.
func (w *world) fromKept(applied *v1alpha2.TerraformRun, change func(*v1alpha2.TerraformSpec)) *v1alpha2.TerraformRun {
	w.t.Helper()
	return w.execute(w.t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		kept := applied.Status.Kept.Digest
		r.Spec.Terraform.Destroy, r.Spec.Kept = true, kept
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Revision: revision, Digest: kept}
		change(&r.Spec.Terraform)
	}))
}

func TestKeepsake_WhoSeesThePlanIsAsTheObjectSaysNow(t *testing.T) {
	g := NewWithT(t)
	w, applied := keeper(t)
	planned := w.fromKept(applied, func(s *v1alpha2.TerraformSpec) {
		s.StoreReadablePlan = "human"
		s.Webhooks = []v1alpha2.Webhook{{Stage: "post-planning", URL: "https://policy.example.com", PayloadType: "SpecAndPlan", TestExpression: "${{ .passed }}"}}
	})
	g.Expect(planned.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", planned.Status.Failure, w.log)
	g.Expect(planned.Status.Plan.JSON).NotTo(BeEmpty(), "the controller would wait for it for ever")
	var readable corev1.ConfigMapList
	g.Expect(api.Client.List(t.Context(), &readable, client.InNamespace(w.namespace))).To(Succeed())
	g.Expect(readable.Items).To(ContainElement(HaveField("Name", HavePrefix("tfplan-"))))
}
