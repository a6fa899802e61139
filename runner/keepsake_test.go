package runner_test

import (
	"context"
	"math/rand/v2"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// keeper is a world whose module has inputs of several kinds, applied, with what was kept of it.
func keeper(t *testing.T) (w *world, applied *v1alpha2.TerraformRun) {
	t.Helper()
	w = newWorld(t, map[string]string{
		"app/main.tf": `
variable "needed" { type = string }
variable "password" { type = string }
module "local" {
  source = "../lib"
  text   = "${var.needed} ${var.password} ${file("${path.module}/motd")}"
}
`,
		"app/motd":    "welcome",
		"lib/main.tf": "variable \"text\" {}\nresource \"terraform_data\" \"x\" { input = var.text }\n",
	}, func(s *v1alpha2.TerraformSpec) {
		s.Path, s.ApprovePlan = "app", "safe"
		s.Vars = []v1alpha2.Variable{{Name: "needed", Value: &apiextensionsv1.JSON{Raw: []byte(`"yes"`)}}}
		s.VarsFrom = []v1alpha2.VarsReference{{Kind: "Secret", Name: "inputs"}}
	})
	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "inputs"},
		StringData: map[string]string{"password": "correct-horse"}})
	applied = w.apply(w.plan())
	NewWithT(t).Expect(applied.Status.Kept).NotTo(BeNil())
	NewWithT(t).Expect(applied.Status.Kept.Message).To(BeEmpty())
	return w, applied
}

func (w *world) inputsGone() {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "inputs"}}
	if err := api.Client.Delete(w.t.Context(), secret); err != nil {
		w.t.Fatal(err)
	}
}

// destroys does a destroy, plan and apply, of runs that are changed.
func (w *world) destroys(applied *v1alpha2.TerraformRun, change func(*v1alpha2.TerraformRun)) {
	w.t.Helper()
	g := NewWithT(w.t)
	both := func(r *v1alpha2.TerraformRun) {
		r.Spec.Terraform.Destroy, r.Spec.Kept = true, applied.Status.Kept.Digest
		r.Spec.Terraform.ApprovePlan = "auto" // what was kept is kept of a time when it was safe
		change(r)
	}
	planned := w.execute(w.t.Context(), w.newRun(v1alpha2.OperationPlan, both))
	g.Expect(planned.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", planned.Status.Failure, w.log)
	g.Expect(planned.Status.Plan.Short).To(Equal("+0 ~0 -1"))
	g.Expect(planned.Status.Plan.Rendered).NotTo(ContainSubstring("correct-horse"))
	destroyed := w.execute(w.t.Context(), w.applyRun(planned, both))
	g.Expect(destroyed.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", destroyed.Status.Failure, w.log)
	g.Expect(destroyed.Status.State.Resources).To(BeZero())
	g.Expect(destroyed.Status.Kept).To(BeNil(), "a destroy keeps nothing")
	g.Expect(w.log.String()).NotTo(ContainSubstring("correct-horse"))
}

func TestKeepsake_IsEnoughToDestroy(t *testing.T) {
	w, applied := keeper(t)
	w.inputsGone()
	w.onFetch = func() { t.Error("an artifact is asked for that is not there") }
	w.destroys(applied, func(r *v1alpha2.TerraformRun) {
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Revision: revision, Digest: applied.Status.Kept.Digest}
		r.Spec.Terraform.Path, r.Spec.Terraform.Vars = "elsewhere", nil
	})
}

func TestKeepsake_StandsInForAModuleThatIsNotInTheArtifactAnyMore(t *testing.T) {
	w, applied := keeper(t)
	w.files = map[string]string{"README": "nothing here"}
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

func TestKeepsake_StandsInForInputsThatAreGone(t *testing.T) {
	w, applied := keeper(t)
	w.inputsGone()
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
}

func TestKeepsake_ThereIsOneForEachObject(t *testing.T) {
	g := NewWithT(t)
	w, applied := keeper(t)
	w.files["app/more.tf"] = "resource \"terraform_data\" \"more\" {}\n"
	again := w.apply(w.plan())
	g.Expect(again.Status.Kept.Digest).NotTo(Equal(applied.Status.Kept.Digest))
	g.Expect(w.secretsLike("tfkeep-demo-")).To(HaveLen(1), "the older one is removed")
}

func TestKeepsake_OfWhatWasAppliedByAnother(t *testing.T) {
	g := NewWithT(t)
	w, applied := keeper(t)
	unchanged := w.plan()
	g.Expect(unchanged.Status.Plan.HasChanges).To(BeFalse())
	g.Expect(unchanged.Status.Kept.Digest).NotTo(BeEmpty(), "no keepsake is recorded in the run's order, so one is made")
	again := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.Kept = applied.Status.Kept.Digest }))
	g.Expect(again.Status.Kept).To(BeNil(), "there is one already")

	w.inputsGone()
	w.destroys(unchanged, func(r *v1alpha2.TerraformRun) {
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Revision: revision, Digest: unchanged.Status.Kept.Digest}
	})
}

func TestKeepsake_OfAnApplyThatFailedHalfWay(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": `
resource "terraform_data" "ok" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.ok]
  provisioner "local-exec" { command = "exit 3" }
}`}, nil)
	failed := w.execute(t.Context(), w.applyRun(w.plan(), nil))
	g.Expect(failed.Status.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(failed.Status.Kept.Digest).NotTo(BeEmpty(), "it has made something")
}

func TestKeepsake_LeavesOutWhatIsTooLarge(t *testing.T) {
	g := NewWithT(t)
	noise := make([]byte, 900<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	w := newWorld(t, map[string]string{"main.tf": "resource \"terraform_data\" \"x\" {}\n", "picture.png": string(noise)}, nil)
	w.cfg.Artifacts.MaxBytes = 8 << 20
	applied := w.apply(w.plan())
	g.Expect(applied.Status.Kept.Digest).NotTo(BeEmpty(), "a picture is not needed to destroy")

	w.files = map[string]string{"main.tf": "resource \"terraform_data\" \"y\" {}\n", "data.json": string(noise)}
	applied = w.apply(w.plan())
	g.Expect(applied.Status.Kept.Digest).To(BeEmpty())
	g.Expect(applied.Status.Kept.Message).To(ContainSubstring("larger than 768 KiB"))
	g.Expect(w.secretsLike("tfkeep-")).To(HaveLen(1), "what was kept before stays")
}

func TestKeepsake_ThatWasAlteredIsNotRun(t *testing.T) {
	g := NewWithT(t)
	w, applied := keeper(t)
	secret := &corev1.Secret{}
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: w.secretsLike("tfkeep-")[0]}, secret)).To(Succeed())
	secret.Data["files.tar.gz"] = []byte("something else")
	g.Expect(api.Client.Update(t.Context(), secret)).To(Succeed())
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		r.Spec.Terraform.Destroy = true
		r.Spec.Source = v1alpha2.RunSource{Kind: v1alpha2.SourceKept, Namespace: w.namespace, Name: "demo", Digest: applied.Status.Kept.Digest}
	}))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonArtifactFailed))
	g.Expect(run.Status.Failure.Message).To(ContainSubstring("was altered"))
}

func TestGuard_IsOverriddenByItsEvidenceOnly(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	applied := w.apply(w.plan())
	gone := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "tfstate-default-demo"}}
	g.Expect(api.Client.Delete(t.Context(), gone)).To(Succeed())
	guarded := func(override string) *v1alpha2.TerraformRun {
		return w.execute(context.WithoutCancel(t.Context()), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
			r.Spec.State, r.Spec.StateOverride = applied.Status.State, override
		}))
	}
	refused := guarded("gone-00000000")
	g.Expect(refused.Status.Failure.Reason).To(Equal(v1alpha2.ReasonStateGuard))
	g.Expect(refused.Status.Failure.Message).To(MatchRegexp(`the state is gone: .* set the annotation infra.contrib.fluxcd.io/state-guard-override: gone-[0-9a-f]{8}$`))
	g.Expect(w.secretsLike("tfstate-")).To(BeEmpty(), "the engine was not started: it would have made an empty state")
	message := refused.Status.Failure.Message
	went := guarded(message[len(message)-len("gone-00000000"):])
	g.Expect(went.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", went.Status.Failure)
	g.Expect(went.Status.StateOverridden).To(HavePrefix("the state is gone"))
	g.Expect(went.Status.Plan.Short).To(Equal("+1 ~0 -0"))
}
