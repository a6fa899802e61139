package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestApprovalPolicy_TheApproverIsStampedAndCantBeForged(t *testing.T) {
	applyApprovalPolicies(t, "annotation-only")
	w := newApprovalWorld(t, nil)
	w.await(t, annotated(infrav1.ApprovePlanAnnotation, planID))
	by := func(t *testing.T, tf *infrav1.Terraform) string {
		t.Helper()
		is := &infrav1.Terraform{}
		NewWithT(t).Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(tf), is)).To(Succeed())
		return is.Annotations[infrav1.ApprovedByAnnotation]
	}

	stamped := map[string]struct {
		who    string
		change func(*infrav1.Terraform)
		reason string
	}{
		"an approval by annotation": {approver, annotated(infrav1.ApprovePlanAnnotation, planID), "nobody has to remember it"},
		"an approval in the spec":   {editor, approvePlan(planID), "without the strict policy an editor may, and is named"},
		"an approval as another": {approver, func(tf *infrav1.Terraform) {
			tf.Annotations = map[string]string{infrav1.ApprovePlanAnnotation: planID, infrav1.ApprovedByAnnotation: "bob"}
		}, "what the request says of it is overwritten"},
	}
	for name, c := range stamped {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := w.object()
			g.Expect(api.Client.Create(t.Context(), tf)).To(Succeed())
			g.Expect(w.patch(t, c.who, tf, c.change)).To(Succeed())
			g.Expect(by(t, tf)).To(Equal(c.who), c.reason)

			fresh := w.object(c.change)
			g.Expect(w.people[c.who].Create(t.Context(), fresh)).To(Succeed())
			g.Expect(by(t, fresh)).To(Equal(c.who), "so it is in a new object")
		})
	}

	forged := map[string]func(*infrav1.Terraform){
		"another name":   annotated(infrav1.ApprovedByAnnotation, "bob"),
		"one's own name": annotated(infrav1.ApprovedByAnnotation, editor),
		"no name":        func(tf *infrav1.Terraform) { delete(tf.Annotations, infrav1.ApprovedByAnnotation) },
		"an empty name":  annotated(infrav1.ApprovedByAnnotation, ""),
		"a name left behind": func(tf *infrav1.Terraform) {
			delete(tf.Annotations, infrav1.ApprovePlanAnnotation)
			tf.Annotations[infrav1.ApprovedByAnnotation] = "bob"
		},
		"a name beside a mode": func(tf *infrav1.Terraform) {
			tf.Spec.ApprovePlan = "auto"
			tf.Annotations[infrav1.ApprovedByAnnotation] = "bob"
		},
	}
	refused := And(MatchError(apierrors.IsForbidden, "IsForbidden"), MatchError(ContainSubstring(infrav1.ApprovedByAnnotation)))
	for name, change := range forged {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := w.stored(t, annotated(infrav1.ApprovePlanAnnotation, planID))
			for who := range w.people {
				g.Expect(w.patch(t, who, tf, change)).To(refused, who)
			}
			g.Expect(by(t, tf)).To(Equal(approver))
		})
	}
	t.Run("a name in advance", func(t *testing.T) {
		g := NewWithT(t)
		early := annotated(infrav1.ApprovedByAnnotation, approver)
		g.Expect(w.people[editor].Create(t.Context(), w.object(early))).To(refused)
		g.Expect(w.patch(t, editor, w.stored(t), early)).To(refused)
	})
	t.Run("all of it taken away", func(t *testing.T) {
		tf := w.stored(t, annotated(infrav1.ApprovePlanAnnotation, planID))
		NewWithT(t).Expect(w.patch(t, editor, tf, func(tf *infrav1.Terraform) { tf.Annotations = nil })).To(Succeed())
	})
	t.Run("all of it taken away beside an old id in Git", func(t *testing.T) {
		g := NewWithT(t)
		tf := w.stored(t, approvePlan("plan-old"))
		g.Expect(w.patch(t, approver, tf, annotated(infrav1.ApprovePlanAnnotation, planID))).To(Succeed())
		g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(tf), tf)).To(Succeed())
		g.Expect(w.patch(t, editor, tf, func(tf *infrav1.Terraform) { delete(tf.Annotations, infrav1.ApprovedByAnnotation) })).
			To(refused, "while the approval stands")
		g.Expect(w.patch(t, editor, tf, func(tf *infrav1.Terraform) {
			tf.Annotations = map[string]string{infrav1.ApprovedByAnnotation: "bob"}
		})).To(refused, "nor is it given to another")
		g.Expect(w.patch(t, editor, tf, func(tf *infrav1.Terraform) { tf.Annotations = nil })).To(refused, "the id may be new, and be its approval")
		spent := tf.DeepCopy()
		spent.Status.SpentIDs = []string{"plan-old"}
		g.Expect(asController(t).Status().Patch(t.Context(), spent, client.MergeFrom(tf))).To(Succeed())
		tf = spent
		g.Expect(w.patch(t, editor, tf, func(tf *infrav1.Terraform) { tf.Annotations = nil })).To(Succeed())
		g.Expect(w.patch(t, editor, tf, annotated(infrav1.ApprovedByAnnotation, editor))).To(refused, "what is left is nobody's")
	})
}
