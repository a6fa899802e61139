package decide

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func broken(f *Facts) { f.Glass = GlassBroken }

func forbidden(f *Facts) { f.Glass = GlassForbidden }

// session is one that a runner has claimed.
func inSession(door string) func(*Facts) {
	return func(f *Facts) {
		f.Glass = GlassBroken
		f.Run = Run{State: RunClaimed, Target: "here", Session: true, Door: door}
		f.Pod = Pod{State: PodRunning, OfRun: true}
	}
}

func afterSession(f *Facts) { f.Last = Last{Session: true, Target: f.Target} }

// sessionCases are those of TestNext about sessions.
func sessionCases() map[string]nextCase {
	wanted := Order{Operation: OpPlan, Reason: ReasonBreakTheGlass, Session: true}
	preparing := Ready{Unknown, "Progressing", "Preparing the session"}
	open := Ready{Unknown, "Progressing", "Breaking the glass ..."}
	again, planning := Order{Operation: OpPlan, Reason: ReasonAfterSession}, Ready{Unknown, "Progressing", "Terraform Planning"}
	return map[string]nextCase{
		"glass broken": {
			reason: "a person gets a pod of the object's own, where everything is prepared",
			facts:  settled(broken), action: Reserve, order: wanted, ready: preparing, posture: Working,
		},
		"glass broken, reservation seen": {
			reason: "a session is begun as every run is",
			facts:  settled(broken, func(f *Facts) { f.Run.State = RunReserved }), action: Start, order: wanted, ready: preparing, posture: Working,
		},
		"glass broken, then whole, reservation seen": {
			reason: "who changes their mind gets none",
			facts:  settled(func(f *Facts) { f.Run.State = RunReserved }), action: Withdraw, order: Order{Operation: OpPlan, Reason: ReasonWithdrawn},
		},
		"glass broken, a plan waits": {
			reason: "an approved plan is not applied under a person's hands",
			facts:  settled(approved, broken), action: Reserve, order: wanted, ready: preparing, posture: Working,
		},
		"glass broken, the last run failed": {
			reason: "that is what the session is for",
			facts:  settled(failedPlan, broken, func(f *Facts) { f.Exhausted = true }), action: Reserve, order: wanted, ready: preparing, posture: Working,
		},
		"glass broken, a dependency is not ready": {
			reason: "a person waits for nobody",
			facts:  settled(waiting, broken), action: Reserve, order: wanted, ready: preparing, posture: Working,
		},
		"glass broken, all places are taken": {
			reason: "a session begins in its turn, though it keeps nobody waiting then",
			facts:  settled(broken, func(f *Facts) { f.Queue = Queue{Full: true, Since: "now"} }), order: wanted, posture: Queued,
		},
		"glass broken, suspended": {
			reason: "a suspended object starts no pod",
			facts:  settled(broken, func(f *Facts) { f.Suspended = true }), posture: Paused,
		},
		"glass broken, no source": {
			reason: "there is nothing to prepare",
			facts:  settled(broken, func(f *Facts) { f.Target, f.Source = "", Source{State: SourceMissing, Message: "gone"} }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonArtifactFailed, "gone"},
		},
		"glass broken, an apply at work": {
			reason: "what is being applied ends first",
			facts:  settled(broken, claimed(OpApply, "here")), posture: Working,
		},
		"glass broken, deleted": {
			reason: "a deletion waits for no session",
			facts:  settled(deleting, broken), action: RemoveFinalizer,
		},
		"glass forbidden": {
			reason: "a controller without the flag says so, and does not go on as if nobody had asked",
			facts:  settled(forbidden), posture: Stuck, ready: stallGlassForbidden(nil).Ready,
		},
		"glass forbidden, deleted": {
			reason: "that is no matter for a deletion",
			facts:  settled(deleting, forbidden), action: RemoveFinalizer,
		},
		"session not open yet": {
			reason: "nobody is told to come in",
			facts:  settled(inSession("")), posture: Working,
		},
		"session open": {
			reason: "Ready says it in the incumbent's words, Reconciling how to get in",
			facts:  settled(inSession("kubectl exec")), ready: open, posture: Working,
		},
		"session open, new revision": {
			reason: "a commit throws nobody out",
			facts:  settled(inSession("kubectl exec"), func(f *Facts) { f.Target = "there" }), ready: open, posture: Working,
		},
		"session open, suspended": {
			reason: "what has begun is left to end",
			facts:  settled(inSession("kubectl exec"), func(f *Facts) { f.Suspended = true }), ready: open, posture: Working,
		},
		"session open, source gone": {
			reason: "nor does that",
			facts:  settled(inSession("kubectl exec"), func(f *Facts) { f.Target, f.Source.State = "", SourceMissing }), ready: open, posture: Working,
		},
		"session open, no longer wanted": {
			reason: "who sets the field to false ends it",
			facts:  settled(inSession("kubectl exec"), func(f *Facts) { f.Glass = GlassWhole }), action: CancelRun,
		},
		"session open, not allowed any more": {
			reason: "a controller that was restarted without the flag ends it",
			facts:  settled(inSession("kubectl exec"), forbidden), action: CancelRun,
		},
		"session ends": {
			reason: "it is cancelled once, and its runner reports",
			facts:  settled(inSession(""), func(f *Facts) { f.Glass, f.Run.Cancelled = GlassWhole, true }), posture: Working,
		},
		"session open, deleted": {
			reason: "a deletion is not kept waiting",
			facts:  settled(inSession("kubectl exec"), deleting), action: CancelRun,
		},
		"session claimed by nobody, no longer wanted": {
			reason: "nothing has begun",
			facts:  settled(ordered(OpPlan, "here"), func(f *Facts) { f.Run.Session = true }), action: AbandonRun,
		},
		"session without pod": {
			reason: "a controller that died between run and pod makes the pod later",
			facts:  settled(broken, func(f *Facts) { f.Run = Run{State: RunOrdered, Session: true, Target: "there"} }), action: StartPod, posture: Working,
		},
		"session, runner dead": {
			reason: "a session that died is over as any run is",
			facts:  settled(inSession(""), func(f *Facts) { f.Pod.State = PodEnded }), action: MarkLost,
		},
		"session over, pod left": {
			reason: "the pod goes before anything else begins: a shell may still be in it",
			facts:  settled(afterSession, func(f *Facts) { f.Pod.State = PodRunning }), action: DeletePod,
		},
		"session over": {
			reason: "nobody knows what a person has done, so a plan looks",
			facts:  settled(afterSession), action: Reserve, order: again, ready: planning, posture: Working,
		},
		"session over, an approved plan": {
			reason: "a plan of before is not applied unseen",
			facts:  settled(approved, afterSession), action: Reserve, order: again, ready: planning, posture: Working,
		},
		"session that could not be opened": {
			reason: "it is tried again in its time",
			facts: settled(broken, afterSession, func(f *Facts) {
				f.Last.Failed, f.Last.Reason, f.Last.Message, f.RetryIn = true, v1alpha2.ReasonArtifactFailed, "no", time.Minute
			}), posture: Retrying, requeue: time.Minute, ready: Ready{False, v1alpha2.ReasonArtifactFailed, "no"},
		},
	}
}

func TestSettle_OfASession(t *testing.T) {
	for _, tc := range []struct {
		reason  string
		status  v1alpha2.TerraformRunStatus
		handled string
		by      string
	}{
		{"its time was over", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunSucceeded, Session: &v1alpha2.SessionStatus{}}, "spec", ""},
		{"called off", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunCancelled, Session: &v1alpha2.SessionStatus{}}, "spec", ""},
		{"its pod was killed", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunFailed, Session: &v1alpha2.SessionStatus{}}, "spec", ""},
		{"one that was never open is still wanted", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunFailed}, "", ""},
		{"one that was withdrawn is, too", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunCancelled}, "", ""},
		{"one that a person has cancelled before it was open is not", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunCancelled}, "spec", "kim"},
		{"one that a person wanted to cancel, and that failed, is", v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunFailed}, "", "kim"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			tf := &v1alpha2.Terraform{}
			tf.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "net-1"}
			tf.Status.Plan.Pending, tf.Status.Plan.Target, tf.Status.Plan.AppliedTarget = "plan-1", "here", "before"
			tf.Status.Plan.Destroyed = true
			tf.Status.State = &v1alpha2.StateStatus{Lineage: "a", Serial: 1, Resources: 3}
			run := &v1alpha2.TerraformRun{ObjectMeta: metav1.ObjectMeta{Name: "net-1"}, Status: tc.status}
			run.Spec.Operation, run.Spec.Target = v1alpha2.OperationPlan, "here"
			run.Spec.Session = &v1alpha2.Session{Request: "spec"}
			if tc.by != "" {
				run.Spec.Cancel = &v1alpha2.Cancel{By: tc.by}
			}
			run.Status.Step, run.Status.State = v1alpha2.StepSession, &v1alpha2.StateStatus{Lineage: "a", Serial: 4, Resources: 1}
			Settle(tf, run, time.Now(), time.Hour)
			g.Expect(tf.Status.ActiveRun).To(BeNil())
			g.Expect(tf.Status.LastHandledBreakTheGlass).To(Equal(tc.handled))
			g.Expect(tf.Status.State.Serial).To(Equal(int64(4)), "what a person has left is what the next run is to find")
			g.Expect(tf.Status.Plan.Pending).To(Equal("plan-1"), "it is no plan")
			g.Expect(tf.Status.Plan.AppliedTarget).To(Equal("before"))
			g.Expect(tf.Status.ReconciliationFailures).To(BeZero())
			open := tc.status.Session != nil
			g.Expect(tf.Status.Plan.Destroyed).To(Equal(!open), "who was in may have made something again: a deletion looks")
			g.Expect(tf.Status.AppliesStarted > 0).To(Equal(open), "the same of an object that has never applied anything")
		})
	}
}
