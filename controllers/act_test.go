package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// TestAbandonRun_SaysWhoWantsIt: a person who stops a run before a runner has claimed it means the same as one who stops it later.
func TestAbandonRun_SaysWhoWantsIt(t *testing.T) {
	r := &TerraformReconciler{Client: api.Client, APIReader: api.Client, Clock: func() time.Time { return noon }}
	r.BreakTheGlassLimit, r.AllowBreakTheGlass = time.Hour, true
	for name, tc := range map[string]struct {
		reason  string
		run     decide.Run
		session bool
		byHand  bool
	}{
		"a plan, by a person":      {"nothing is begun again", decide.Run{Unloved: true}, false, true},
		"a session, by a person":   {"nor is that", decide.Run{Unloved: true, Session: true}, true, true},
		"a plan, by a new commit":  {"the next one follows at once", decide.Run{}, false, false},
		"a session, by a deletion": {"nobody has called it off", decide.Run{Session: true}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: "net"}}
			tf.Spec.BreakTheGlass = tc.session
			tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "net-1", Sequence: 1}
			run := &infrav1.TerraformRun{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: "net-1"}}
			run.Spec = infrav1.TerraformRunSpec{
				Operation: infrav1.OperationPlan, Reason: "test", Target: "t", Generation: 1, PodName: "net-tf-runner", Hostname: "net-x",
				Source: infrav1.RunSource{Kind: "GitRepository", Namespace: tf.Namespace, Name: "app", Revision: "main@sha1:0123456789",
					Digest: "sha256:00", URL: "http://source/app.tar.gz"},
			}
			run.Spec.Terraform.SourceRef = infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "app"}
			if tc.session {
				run.Spec.Session = &infrav1.Session{Request: glassBySpec, Limit: metav1.Duration{Duration: time.Hour}}
			}
			api.Create(t, run)
			o := &observation{run: run, facts: decide.Facts{Run: tc.run}}
			_, err := r.act(t.Context(), tf, o, decide.Decision{Action: decide.AbandonRun})
			g.Expect(err).NotTo(HaveOccurred())

			got := &infrav1.TerraformRun{}
			g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(run), got)).To(Succeed())
			g.Expect(got.Status.Phase).To(Equal(infrav1.RunCancelled))
			g.Expect(decide.CancelledByPerson(got)).To(Equal(tc.byHand), tc.reason)
			g.Expect(retryWait(tf, got, infrav1.ReasonCancelled) == never).To(Equal(tc.byHand), tc.reason)

			decide.Settle(tf, got, noon, time.Hour)
			next := &observation{}
			r.concludeGlass(tf, next)
			g.Expect(next.facts.Glass == decide.GlassBroken).To(Equal(tc.session && !tc.byHand), tc.reason)
		})
	}
}
