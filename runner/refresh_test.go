package runner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const withUnusedVariable = `
variable "unused" { default = "then" }
variable "used" { default = "then" }
resource "terraform_data" "app" { input = var.used }
`

// refresh makes the plan again that the first one has left.
func (w *world) refresh(first *v1alpha2.TerraformRun) *v1alpha2.TerraformRun {
	w.t.Helper()
	run := w.execute(w.t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		r.Spec.Plan = &v1alpha2.PlanReference{ID: first.Status.Plan.ID, Digest: first.Status.Plan.Digest}
	}))
	NewWithT(w.t).Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
	return run
}

// planSecrets are the stored plans by name, with their versions.
func (w *world) planSecrets() map[string]string {
	w.t.Helper()
	list := &corev1.SecretList{}
	if err := api.Client.List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	versions := map[string]string{}
	for i := range list.Items {
		if _, ofPlan := list.Items[i].Annotations["infra.contrib.fluxcd.io/plan-digest"]; ofPlan {
			versions[list.Items[i].Name] = string(list.Items[i].UID) + "/" + list.Items[i].ResourceVersion
		}
	}
	return versions
}

func variable(name string) func(*world) {
	return func(w *world) {
		w.change(func(spec *v1alpha2.TerraformSpec) {
			spec.Vars = []v1alpha2.Variable{{Name: name, Value: &apiextensionsv1.JSON{Raw: []byte(`"now"`)}}}
		})
	}
}

func (w *world) editPlan(change func(*corev1.Secret)) {
	w.t.Helper()
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: w.namespace, Name: w.secretsLike("tfplan-default-")[0]}
	if err := api.Client.Get(w.t.Context(), key, secret); err != nil {
		w.t.Fatal(err)
	}
	change(secret)
	if err := api.Client.Update(w.t.Context(), secret); err != nil {
		w.t.Fatal(err)
	}
}

// exchangeExtras gives the stored plan other files that it has made, with a manifest that says so.
func (w *world) exchangeExtras() {
	w.t.Helper()
	files := w.secret(w.secretsLike("tfplan-files-")[0])
	extra := w.artifact()
	manifest := map[string]any{}
	err := json.Unmarshal(files.Data["manifest.json"], &manifest)
	manifest["extra"], manifest["extraChunks"] = planstore.Digest(extra), 1
	encoded, encodeErr := json.Marshal(manifest)
	if err := errors.Join(err, encodeErr); err != nil {
		w.t.Fatal(err)
	}
	files.Data["manifest.json"] = encoded
	if err := api.Client.Update(w.t.Context(), files); err != nil {
		w.t.Fatal(err)
	}
	chunk := secretOf(w.namespace, files.Name+"-0")
	chunk.Labels, chunk.Annotations, chunk.Data = files.Labels, files.Annotations, map[string][]byte{"extra.tar.gz": extra}
	api.Create(w.t, chunk)
}

func TestExecute_RefreshKeepsThePlanThatWaits(t *testing.T) {
	compat.Shows(t, "plan-secret.write")
	cases := map[string]struct {
		reason  string
		between func(*world)
		kept    bool
		sameID  bool
	}{
		"nothing":          {"what a person has read is what is there", func(*world) {}, true, true},
		"another change":   {"it is another plan", variable("used"), false, false},
		"another variable": {"the changes are the same, but not what they would be made with", variable("unused"), false, false},
		"another state": {"the engine would call it stale", func(w *world) {
			w.rewriteState(func(state map[string]any) { state["serial"] = 9 })
		}, false, true},
		"plan altered": {"it could not be applied", func(w *world) {
			w.editPlan(func(secret *corev1.Secret) { secret.Data["tfplan"][40] ^= 0xff })
		}, false, true},
		"plan missing": {"it could not be applied", func(w *world) {
			for name := range w.planSecrets() {
				if err := api.Client.Delete(w.t.Context(), secretOf(w.namespace, name)); err != nil {
					w.t.Fatal(err)
				}
			}
		}, false, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, map[string]string{"main.tf": withUnusedVariable}, nil)
			first := w.plan()
			tc.between(w)
			before := w.planSecrets()
			second := w.refresh(first)
			g.Expect(second.Status.Plan.ID == first.Status.Plan.ID).To(Equal(tc.sameID), tc.reason)
			g.Expect(second.Status.Plan.Rendered).To(ContainSubstring("terraform_data.app"))
			after := w.planSecrets()
			g.Expect(after).To(HaveLen(2), "one plan, and what travels with it")
			if tc.kept {
				g.Expect(second.Status.Plan.Digest).To(Equal(first.Status.Plan.Digest), tc.reason)
				g.Expect(after).To(Equal(before), tc.reason)
			} else {
				g.Expect(after).NotTo(Equal(before), tc.reason)
			}
			applied := w.apply(second)
			g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
		})
	}
}

func TestExecute_RefreshKeepsThePlanOfAStateThatOnlyTheEngineCanRead(t *testing.T) {
	g := NewWithT(t)
	state := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, map[string]string{"main.tf": withUnusedVariable}, func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: fmt.Sprintf("backend \"local\" {\n  path = %q\n}", state)}
		onVolume(s, filepath.Dir(state))
	})
	first := w.plan()
	before := w.planSecrets()
	second := w.refresh(first)
	g.Expect(second.Status.Plan.Digest).To(Equal(first.Status.Plan.Digest), "no state is the same as no state")
	g.Expect(w.planSecrets()).To(Equal(before))
	w.apply(second)

	variable("used")(w)
	third := w.plan()
	fourth := w.refresh(third)
	g.Expect(fourth.Status.Plan.Digest).To(Equal(third.Status.Plan.Digest))
	w.apply(fourth)
}

func secretOf(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
