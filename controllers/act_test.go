package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// TestStartPod_LeavesAPodOfSomebodyElse: nothing tells of its end, as it is none of those that are watched. So it is looked for.
func TestStartPod_LeavesAPodOfSomebodyElse(t *testing.T) {
	for retry, again := range map[time.Duration]time.Duration{time.Hour: 30 * time.Second, 20 * time.Second: 20 * time.Second} {
		g := NewWithT(t)
		tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: "net", UID: "1"}}
		tf.Spec.RetryInterval = &metav1.Duration{Duration: retry}
		run := &infrav1.TerraformRun{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: "net-1", UID: "2"}}
		run.Spec.PodName, run.Spec.Hostname = PodName(tf), "net-x"
		foreign := runnerPod(unbound, func(p *corev1.Pod) { p.UID, p.Namespace, p.Name, p.Labels = "", tf.Namespace, PodName(tf), nil })
		api.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: infrav1.DefaultServiceAccount}}, foreign)
		r := &TerraformReconciler{Client: api.Client, APIReader: api.Client, Runner: podInput().Config}

		d, err := r.startPod(t.Context(), tf, run, decide.Decision{Action: decide.StartPod})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(d.Action).To(Equal(decide.Rest))
		g.Expect(d.Ready.Reason).To(Equal(infrav1.ReasonRunnerForbidden))
		g.Expect(d.Ready.Message).To(And(ContainSubstring(tf.Namespace+"/net-tf-runner"), ContainSubstring("delete it"), ContainSubstring(again.String())))
		g.Expect(d.RequeueAfter).To(Equal(again))

		for what, o := range map[string]*observation{
			"nobody works":           {},
			"a run that has no pod":  {run: run},
			"a run whose pod is not": {run: claimedBy(run, "another")},
		} {
			g.Expect(r.observePod(t.Context(), tf, o)).To(Succeed())
			g.Expect(o.pod).To(BeNil(), what)
		}
		ours := &observation{run: claimedBy(run, foreign.UID)}
		g.Expect(r.observePod(t.Context(), tf, ours)).To(Succeed())
		g.Expect(ours.pod).NotTo(BeNil(), "a runner whose labels somebody has taken is one")
	}
}

func claimedBy(run *infrav1.TerraformRun, uid types.UID) *infrav1.TerraformRun {
	claimed := run.DeepCopy()
	claimed.Status.Runner = &infrav1.RunnerIdentity{PodUID: string(uid)}
	return claimed
}
