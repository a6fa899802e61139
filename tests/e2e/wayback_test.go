package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestWayBack: what is left in a cluster when the old controller comes back is what it knows: an object that has been applied, with
// outputs, an inventory and a plan that waits.
func TestWayBack(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting + "output \"answer\" { value = 42 }\n"})
	s.Create(story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
		tf.Spec.EnableInventory, tf.Spec.StoreReadablePlan = true, "json"
		tf.Spec.WriteOutputsToSecret.Labels = map[string]string{"app": "greeter"}
	})
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("Outputs written"))
	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: story.JSON(`"moon"`)}}
	})
	s.Held()
	w := &wayBack{Story: s, tf: s.Get()}

	w.takesTheObject(t)
	w.knowsTheStatus()
	w.loadsThePlan()
	w.readsTheOutputs()
	w.findsTheState()
}

type wayBack struct {
	*story.Story
	tf *infrav1.Terraform
}

// takesTheObject: its CRD has nothing against the object, and keeps all that is in it of its own.
func (w *wayBack) takesTheObject(t *testing.T) {
	t.Helper()
	fields, err := incumbentFields()
	w.Expect(err).NotTo(HaveOccurred())
	crd := incumbentCRD(fields)
	w.Expect(w.System.Client.Create(w.Ctx, crd)).To(Succeed())
	t.Cleanup(func() { w.Expect(w.System.Client.Delete(w.Ctx, crd)).To(Succeed()) })

	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.tf)
	w.Expect(err).NotTo(HaveOccurred())
	put := &unstructured.Unstructured{Object: content}
	put.SetAPIVersion(incumbentGroup + "/v1alpha2")
	put.SetKind(infrav1.TerraformKind)
	put.SetResourceVersion("")
	put.SetUID("")
	put.SetFinalizers(nil) // nobody would take it off
	status, _, err := unstructured.NestedMap(put.Object, "status")
	w.Expect(err).NotTo(HaveOccurred())
	w.Eventually(func() error { return w.System.Client.Create(w.Ctx, put) }).Should(Succeed(), "the CRD is served after a while")
	put.Object["status"] = runtime.DeepCopyJSONValue(status)
	w.Expect(w.System.Client.Status().Update(w.Ctx, put)).To(Succeed())

	kept, _, err := unstructured.NestedMap(put.Object, "status")
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(kept).To(Equal(knownOf(status, "status", fields)))
	w.Expect(kept["plan"]).To(And(HaveKeyWithValue("pending", w.tf.Status.Plan.Pending), HaveKeyWithValue("lastApplied", w.tf.Status.Plan.LastApplied)))
}

// knownOf is what these fields know of an object.
func knownOf(object map[string]any, path string, fields []fieldFact) map[string]any {
	known := map[string]any{}
	for _, f := range fields {
		name, below := strings.CutPrefix(f.Path, path+".")
		value, found := object[name]
		if !below || !found {
			continue
		}
		if nested, isObject := value.(map[string]any); isObject {
			value = knownOf(nested, f.Path, fields)
		}
		known[name] = value
	}
	return known
}

// knowsTheStatus: condition types and reasons are its own, and the plan's id begins with the one that it would give.
func (w *wayBack) knowsTheStatus() {
	w.Expect(w.tf.Finalizers).To(Equal([]string{"finalizers.tf.contrib.fluxcd.io"}))
	reasons := map[string][]string{
		meta.ReadyCondition:     {"TerraformPlannedWithChanges"},
		infrav1.ConditionApply:  {"TerraformAppliedSucceed"},
		infrav1.ConditionPlan:   {"TerraformPlannedWithChanges"},
		infrav1.ConditionOutput: {"TerraformOutputsWritten"},
	}
	w.Expect(w.tf.Status.Conditions).To(HaveLen(len(reasons)))
	for _, c := range w.tf.Status.Conditions {
		w.Expect(reasons[c.Type]).To(ContainElement(c.Reason), c.Type)
	}
	st := &w.tf.Status
	w.Expect(st.Plan.Pending).To(MatchRegexp("^" + plan.LegacyID(st.LastPlannedRevision) + "-[0-9a-f]{32}$"))
	w.Expect(st.Plan.LastApplied).To(HavePrefix(plan.LegacyID(st.LastAppliedRevision) + "-"))
	w.Expect(st.Inventory.Entries).To(HaveLen(1))
	w.Expect(st.AvailableOutputs).To(Equal([]string{"answer", "greeting"}))
	w.Expect(w.Pods()).To(BeEmpty(), "a pod of ours would be in its way")
}

func (w *wayBack) loadsThePlan() {
	secrets := (&former{Story: w.Story}).secrets()
	file, err := loadAsIncumbent(secrets, w.tf)
	w.Expect(err).NotTo(HaveOccurred())
	stored, err := planstore.Load(w.Ctx, w.System.Client, w.tf, "default", w.tf.Status.Plan.Digest)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(file).To(Equal(stored.File))

	readable := w.Secret("tfplan-default-net.json")
	w.Expect(readable.Labels).To(HaveKeyWithValue("infra.contrib.fluxcd.io/plan-name", "net.json"))
	w.Expect(readable.Annotations).To(And(HaveKeyWithValue("savedPlan", w.tf.Status.Plan.Pending), HaveKeyWithValue("encoding", "gzip")))
}

func (w *wayBack) readsTheOutputs() {
	outputs := w.Secret("net-outputs")
	w.Expect(outputs.Data).To(Equal(map[string][]byte{"greeting": []byte("hello world"), "answer": []byte("42"), "answer__type": []byte(`"number"`)}))
	w.Expect(outputs.Labels).To(Equal(map[string]string{"app": "greeter"}))
	w.Expect(metav1.IsControlledBy(outputs, w.tf)).To(BeTrue())
}

// findsTheState: by the labels that the engine's backend selects by, and by none of ours.
func (w *wayBack) findsTheState() {
	state := w.Secret("tfstate-default-net")
	ours := slices.DeleteFunc(slices.Sorted(maps.Keys(state.Labels)), func(key string) bool {
		return slices.Contains([]string{"app.kubernetes.io/managed-by", "tfstate", "tfstateSecretSuffix", "tfstateWorkspace"}, key)
	})
	w.Expect(ours).To(BeEmpty())
	w.Expect(state.Labels).To(And(HaveKeyWithValue("tfstateSecretSuffix", "net"), HaveKeyWithValue("tfstateWorkspace", "default")))
}
