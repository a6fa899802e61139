package decide

import (
	"maps"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// settled is an object that has been applied and rests: each case changes what it is about.
func settled(change ...func(*Facts)) Facts {
	f := Facts{
		Finalizer: true, Source: Source{Revision: "main@sha1:aaaa"}, Target: "here", Planned: "here",
		Last:   Last{Operation: OpApply, Target: "here"},
		PlanIn: 10 * time.Minute, Ready: true, WasApplied: true, MayHaveResources: true,
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func pending(f *Facts) {
	f.Plan = Plan{ID: "plan-main-aaaa-1", Target: f.Target, Summary: "+1 ~0 -0"}
	f.Last, f.Ready = Last{Target: f.Target}, false
}

func approved(f *Facts) { pending(f); f.Plan.Approved = true }

func depends(state DependencyState) func(*Facts) {
	return func(f *Facts) { f.Dependency = Dependency{state, "a/b"} }
}

func podWaits(f *Facts) { f.Pod = Pod{State: PodWaiting} }

func waiting(f *Facts) { f.Dependency = Dependency{DependencyWaits, "dependency 'a/b' is not ready"} }

func deleting(f *Facts) { f.Deleting, f.Target = true, "destroyed" }

// unasked: webhooks have not been asked about the plan. denied: they do not agree.
func unasked(f *Facts) { f.Plan.Gate = GateUnasked }

func denied(f *Facts) {
	f.Plan.Gate, f.Plan.GateMessage, f.Plan.AskIn = GateShut, "too large", 15*time.Second
}

// volatile is a plan that would have been refreshed by now.
func volatile(f *Facts) { f.Plan.Volatile, f.PlanIn = true, -time.Minute }

func abandon(f *Facts) { f.DestroyOnDeletion, f.Abandoned = true, true }

func failedPlan(f *Facts) {
	f.Last = Last{Failed: true, Target: f.Target, Reason: v1alpha2.ReasonTFExecPlanFailed, Message: "main.tf:3: no such thing"}
	f.Planned, f.Ready, f.RetryIn = "before", false, 20*time.Second
}

// unhealthyNow: everything is applied, and a health check fails.
func unhealthyNow(f *Facts) {
	f.Last = Last{Failed: true, Unhealthy: true, Target: f.Target, Reason: v1alpha2.ReasonHealthChecksFailed, Message: "1 of 1 health checks failed"}
	f.Ready, f.RetryIn = false, 20*time.Second
}

func claimed(op Operation, target string) func(*Facts) {
	return func(f *Facts) {
		f.Run = Run{State: RunClaimed, Operation: op, Target: target}
		f.Pod = Pod{State: PodRunning, OfRun: true}
	}
}

func ordered(op Operation, target string) func(*Facts) {
	return func(f *Facts) {
		if op == OpApply && f.Plan.ID == "" {
			f.Plan = Plan{ID: "plan-main-aaaa-1", Target: f.Target, Approved: true}
		}
		f.Run = Run{State: RunOrdered, Operation: op, Target: target}
		f.Pod = Pod{State: PodPending, OfRun: true}
	}
}

// nextCase is what is done, and said, given these facts.
type nextCase struct {
	reason  string
	facts   Facts
	action  Action
	order   Order
	ready   Ready
	posture Posture
	requeue time.Duration
}

func TestNext(t *testing.T) {
	compat.Shows(t, "spec.destroy", "spec.interval", "spec.suspend", "spec.force", "spec.planOnly",
		"condition.Stalled/AccessDenied", "condition.Stalled/ArtifactFailed", "condition.Ready=Unknown/Progressing",
		"condition.Ready=False/DriftDetected", "condition.Ready=True/NoDrift", "condition.Ready=True/TerraformPlannedNoChanges",
		"condition.Ready=Unknown/TerraformPlannedWithChanges", "condition.Ready=True/TerraformAppliedSucceed",
		"condition.Ready=True/TerraformOutputsWritten", "key.reconcile.fluxcd.io/requestedAt", "key.finalizers.tf.contrib.fluxcd.io",
		"key.tf.dependency.of.*", "use.drift-detection-only", "use.plan-only", "weak.4", "weak.6", "weak.7", "weak.19",
	)
	cases := map[string]nextCase{
		"new object": {
			reason: "the finalizer is on the object before anything is made that it guards",
			facts:  settled(func(f *Facts) { f.Finalizer = false }), action: AddFinalizer,
		},
		"the incumbent's dependency finalizers": {
			reason: "nobody else would take them off, and the object could never go",
			facts:  settled(deleting, func(f *Facts) { f.StrayFinalizers = true }), action: CleanFinalizers,
		},
		"the incumbent's dependency finalizers, when ours is off": {
			reason: "an object that was let go must not stay for the sake of a name",
			facts:  settled(deleting, func(f *Facts) { f.StrayFinalizers, f.Finalizer = true, false }), action: CleanFinalizers,
		},
		"the incumbent's dependency finalizers, when a run is reserved": {
			reason: "a reservation is kept for the next pass",
			facts:  settled(func(f *Facts) { f.StrayFinalizers = true; f.Run.State = RunReserved }), action: CleanFinalizers,
		},
		"let go": {
			reason: "somebody else's finalizer is none of our business",
			facts:  settled(deleting, func(f *Facts) { f.Finalizer = false }), posture: Resting,
		},
		"first plan": {
			reason: "an object that was never planned is planned, and says that it does not know yet",
			facts:  settled(func(f *Facts) { f.Planned, f.Last, f.Ready = "", Last{}, false }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonFirstPlan}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"reservation seen": {
			reason: "the second pass creates what the first has reserved, if it would reserve the same",
			facts: settled(func(f *Facts) {
				f.Planned, f.Last, f.Ready = "", Last{}, false
				f.Run.State = RunReserved
			}),
			action: Start, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonFirstPlan}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"reservation overtaken": {
			reason: "what is not wanted any more is not begun",
			facts:  settled(func(f *Facts) { f.Suspended, f.PlanIn = true, 0; f.Run.State = RunReserved }),
			action: Withdraw, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonWithdrawn},
		},
		"new revision": {
			reason: "a moved target is planned anew",
			facts:  settled(func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"interval": {
			reason: "a look at the world changes no answer before it has one",
			facts:  settled(func(f *Facts) { f.PlanIn = 0 }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonInterval}, posture: Working,
		},
		"request": {
			reason: "a person who asks is answered at once",
			facts:  settled(func(f *Facts) { f.Requested = true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRequested}, posture: Working,
		},
		"in sync": {
			reason: "Ready keeps saying how it came to be so",
			facts:  settled(), posture: Resting, requeue: 10 * time.Minute,
		},
		"applied": {
			reason:  "after an apply Ready says so",
			facts:   settled(func(f *Facts) { f.Ready = false }),
			posture: Resting, requeue: 10 * time.Minute, ready: Ready{True, v1alpha2.ReasonAppliedSucceed, "Applied successfully: main@sha1:aaaa"},
		},
		"applied with outputs": {
			reason:  "written outputs are the last thing that happened",
			facts:   settled(func(f *Facts) { f.Ready, f.Last.OutputsWritten = false, true }),
			posture: Resting, requeue: 10 * time.Minute, ready: Ready{True, v1alpha2.ReasonOutputsWritten, "Outputs written: main@sha1:aaaa"},
		},
		"no drift any more": {
			reason:  "drift that went away by itself leaves a Ready of its own",
			facts:   settled(func(f *Facts) { f.Ready, f.Last.Operation = false, OpPlan }),
			posture: Resting, requeue: 10 * time.Minute, ready: Ready{True, v1alpha2.ReasonNoDrift, "No drift: main@sha1:aaaa"},
		},
		"nothing to do at first": {
			reason:  "a first plan without changes is no lack of drift",
			facts:   settled(func(f *Facts) { f.Ready, f.WasApplied, f.Last.Operation = false, false, OpPlan }),
			posture: Resting, requeue: 10 * time.Minute, ready: Ready{True, v1alpha2.ReasonPlannedNoChanges, "Plan no changes: main@sha1:aaaa"},
		},
		"plan waits": {
			reason: "without approval a plan waits, and the object rests",
			facts:  settled(pending), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan.`},
		},
		"plan waits, interval": {
			reason: "a plan that waits is refreshed, and says the same meanwhile",
			facts:  settled(pending, func(f *Facts) { f.PlanIn = 0 }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonInterval}, posture: Working,
		},
		"webhooks unasked": {
			reason: "webhooks are asked as soon as there is a plan, whoever is to approve it",
			facts:  settled(pending, unasked), action: AskWebhooks, posture: Working, requeue: 10 * time.Minute,
		},
		"webhooks unasked, approved": {
			reason: "an approval is no consent of theirs",
			facts:  settled(approved, unasked), action: AskWebhooks, posture: Working, requeue: 10 * time.Minute,
		},
		"webhooks unasked, auto": {
			reason: "nor is a mode, or force",
			facts:  settled(pending, unasked, func(f *Facts) { f.Auto, f.Force = true, true }), action: AskWebhooks, posture: Working, requeue: 10 * time.Minute,
		},
		"webhooks unasked, pod waits": {
			reason: "a pod that can apply the plan is spared while they are asked",
			facts:  settled(approved, unasked, podWaits), action: AskWebhooks, posture: Working, requeue: 10 * time.Minute,
		},
		"webhooks unasked, new revision": {
			reason: "what is stale is asked nobody about",
			facts:  settled(pending, unasked, func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working, ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"webhooks unasked, disable": {
			reason: "what is only reported is judged by nobody",
			facts:  settled(pending, unasked, func(f *Facts) { f.Disabled = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{False, v1alpha2.ReasonDriftDetected, "Drift detected (+1 ~0 -0): plan plan-main-aaaa-1. It is only reported: approvePlan is disable."},
		},
		"webhooks unasked, rejected": {
			reason: "a person has said no already",
			facts:  settled(approved, unasked, func(f *Facts) { f.Plan.Rejected = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): plan "plan-main-aaaa-1" is rejected. It can be approved once the annotation infra.contrib.fluxcd.io/reject-plan is taken away.`},
		},
		"webhooks do not agree": {
			reason: "an approved plan is held, and they are asked again",
			facts:  settled(approved, denied), posture: Retrying, requeue: 15 * time.Second,
			ready: Ready{False, v1alpha2.ReasonWebhookFailed, "too large (plan plan-main-aaaa-1, +1 ~0 -0, is not applied)"},
		},
		"webhooks do not agree, try due": {
			reason: "meanwhile the last answer stands",
			facts:  settled(approved, denied, func(f *Facts) { f.Plan.AskIn = 0 }), action: AskWebhooks, posture: Retrying, requeue: 10 * time.Minute,
			ready: Ready{False, v1alpha2.ReasonWebhookFailed, "too large (plan plan-main-aaaa-1, +1 ~0 -0, is not applied)"},
		},
		"webhooks do not agree, interval due soon": {
			reason: "a plan that is held is refreshed like any other",
			facts:  settled(approved, denied, func(f *Facts) { f.PlanIn = time.Second }), posture: Retrying, requeue: time.Second,
			ready: Ready{False, v1alpha2.ReasonWebhookFailed, "too large (plan plan-main-aaaa-1, +1 ~0 -0, is not applied)"},
		},
		"webhooks do not agree to a volatile plan": {
			reason: "which is not refreshed",
			facts:  settled(approved, denied, volatile), posture: Retrying, requeue: 15 * time.Second,
			ready: Ready{False, v1alpha2.ReasonWebhookFailed, "too large (plan plan-main-aaaa-1, +1 ~0 -0, is not applied)"},
		},
		"webhooks do not agree, apply ordered": {
			reason: "another webhook was added before a runner has begun",
			facts:  settled(approved, denied, ordered(OpApply, "here")), action: AbandonRun,
		},
		"webhooks do not agree, apply claimed": {
			reason: "what has begun was agreed to",
			facts:  settled(approved, denied, claimed(OpApply, "here")), posture: Working,
		},
		"webhooks do not agree to a destroy": {
			reason: "a deletion approves its plan, they do not; and there are ways out",
			facts:  settled(deleting, pending, denied, func(f *Facts) { f.DestroyOnDeletion, f.Planned = true, f.Target }), posture: Retrying, requeue: 15 * time.Second,
			ready: Ready{False, v1alpha2.ReasonWebhookFailed, "too large (plan plan-main-aaaa-1, +1 ~0 -0, is not applied). The deletion waits for it: " +
				"set spec.destroyResourcesOnDeletion to false, or annotate the object with infra.contrib.fluxcd.io/abandon=<why>, to let it go and keep its resources"},
		},
		"webhooks do not agree to a destroy, abandoned": {
			reason: "the way out",
			facts:  settled(deleting, pending, denied, abandon), action: RemoveFinalizer,
		},
		"volatile plan": {
			reason: "what is another plan each time would never be approved in time: it is left as it is",
			facts:  settled(pending, volatile), posture: Resting,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan.` + volatileNote},
		},
		"volatile plan, approved": {
			reason: "it is applied like any other",
			facts:  settled(approved, volatile), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"volatile plan, new revision": {
			reason: "another target has another plan",
			facts:  settled(pending, volatile, func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"volatile plan, request": {
			reason: "a person who asks gets a new one",
			facts:  settled(pending, volatile, func(f *Facts) { f.Requested = true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRequested}, posture: Working,
		},
		"volatile drift": {
			reason: "drift that looks different each time as well",
			facts:  settled(pending, volatile, func(f *Facts) { f.Plan.Drift = true }), posture: Resting,
			ready: Ready{False, v1alpha2.ReasonDriftDetected, `Drift detected (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to correct it.` + volatileNote},
		},
		"plan approved": {
			reason: "an approved plan is applied",
			facts:  settled(approved), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"auto": {
			reason: "under auto every plan is applied",
			facts:  settled(pending, func(f *Facts) { f.Auto = true }), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonAutoApproved}, posture: Working,
		},
		"plan only": {
			reason: "under plan only not even an approved plan is applied",
			facts:  settled(approved, func(f *Facts) { f.PlanOnly, f.Auto = true, true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{True, v1alpha2.ReasonPlannedWithChanges, "Plan generated (+1 ~0 -0): This object is in the plan only mode."},
		},
		"approved plan of another target": {
			reason: "an approval is of what was shown, not of what has come since",
			facts:  settled(approved, func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"safe": {
			reason: "under safe a plan that ends nothing goes on by itself",
			facts:  settled(pending, func(f *Facts) { f.AutoSafe, f.Plan.Safe = true, true }),
			action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonAutoApproved}, posture: Working,
		},
		"not safe": {
			reason: "and what ends something waits",
			facts:  settled(pending, func(f *Facts) { f.AutoSafe = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan.`},
		},
		"not safe, approved": {
			reason: "for a person's word",
			facts:  settled(approved, func(f *Facts) { f.AutoSafe = true }), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"protected": {
			reason: "neither a mode nor a force ends what is protected",
			facts:  settled(pending, func(f *Facts) { f.Auto, f.Force, f.Plan.Protected = true, true, "a.b" }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan. It ends what spec.approval.protect names: a.b.`},
		},
		"protected, asked for by force": {
			reason: "who asks for a plan has not seen it",
			facts:  settled(approved, func(f *Facts) { f.Plan.Forced, f.Plan.Protected, f.Plan.Drift = true, "a.b", true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{False, v1alpha2.ReasonDriftDetected, `Drift detected (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to correct it. It ends what spec.approval.protect names: a.b.`},
		},
		"protected, approved": {
			reason: "for a person's word",
			facts:  settled(approved, func(f *Facts) { f.Plan.Protected = "a.b" }), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"destroy of what is protected": {
			reason: "nor does a deletion",
			facts: settled(deleting, pending, func(f *Facts) {
				f.DestroyOnDeletion, f.Planned, f.Plan.Protected = true, "destroyed", "a.b"
			}), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan. It ends what spec.approval.protect names: a.b.`},
		},
		"disabled": {
			reason: "under disable not even an approved plan is applied",
			facts:  settled(approved, func(f *Facts) { f.Disabled = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{False, v1alpha2.ReasonDriftDetected, `Drift detected (+1 ~0 -0): plan plan-main-aaaa-1. It is only reported: approvePlan is disable.`},
		},
		"disabled, no drift": {
			reason:  "without drift the object is ready, also when nothing was ever applied",
			facts:   settled(func(f *Facts) { f.Disabled, f.Ready, f.WasApplied, f.Last = true, false, false, Last{} }),
			posture: Resting, requeue: 10 * time.Minute, ready: Ready{True, v1alpha2.ReasonNoDrift, "No drift: main@sha1:aaaa"},
		},
		"rejected": {
			reason: "a plan that somebody refuses is not applied, whatever approves it",
			facts:  settled(approved, func(f *Facts) { f.Auto, f.Plan.Rejected = true, true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): plan "plan-main-aaaa-1" is rejected. It can be approved once the annotation infra.contrib.fluxcd.io/reject-plan is taken away.`},
		},
		"approval of another plan": {
			reason: "what an approval does not cover is named",
			facts:  settled(pending, func(f *Facts) { f.Plan.Refused = " The approval of plan-0 does not cover x.y." }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan. The approval of plan-0 does not cover x.y.`},
		},
		"destroy planned under safe": {
			reason: "safe holds the destroy of a deletion like any other",
			facts: settled(deleting, pending, func(f *Facts) {
				f.DestroyOnDeletion, f.Planned, f.AutoSafe = true, "destroyed", true
			}), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan.`},
		},
		"cancelled by a person": {
			reason: "a person may stop an apply",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Run.Unloved = true }), action: CancelRun,
		},
		"cancelled by a person, before a runner began": {
			reason: "or keep it from beginning",
			facts:  settled(ordered(OpApply, "here"), func(f *Facts) { f.Run.Unloved = true }), action: AbandonRun,
		},
		"drift waits": {
			reason: "drift makes the object not ready until somebody agrees to correct it",
			facts:  settled(pending, func(f *Facts) { f.Plan.Drift = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{False, v1alpha2.ReasonDriftDetected, `Drift detected (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to correct it.`},
		},
		"failed": {
			reason: "a failure waits for its retry",
			facts:  settled(failedPlan), posture: Retrying, requeue: 20 * time.Second,
			ready: Ready{False, v1alpha2.ReasonTFExecPlanFailed, "main.tf:3: no such thing"},
		},
		"retry": {
			reason: "a retry leaves Ready as the failure made it",
			facts:  settled(failedPlan, func(f *Facts) { f.RetryIn = 0 }), action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRetry}, posture: Working,
		},
		"fixed": {
			reason: "a new commit does not wait for the retry of the old one",
			facts:  settled(failedPlan, func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"failed apply": {
			reason: "what a failed apply has left is planned anew before anything else is applied",
			facts: settled(func(f *Facts) {
				f.Last, f.Ready, f.Auto = Last{Failed: true, Operation: OpApply, Target: "here", Reason: "x"}, false, true
			}),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRetry}, posture: Working,
		},
		"dependency not ready": {
			reason: "what depends on others begins after them",
			facts:  settled(func(f *Facts) { f.Target = "there" }, waiting), posture: Retrying,
			ready: Ready{False, v1alpha2.ReasonDependencyNotReady, "dependency 'a/b' is not ready"},
		},
		"dependency not ready, plan approved": {
			reason: "an approval does not overtake a dependency",
			facts:  settled(approved, waiting), posture: Retrying,
			ready: Ready{False, v1alpha2.ReasonDependencyNotReady, "dependency 'a/b' is not ready"},
		},
		"dependency not ready, nothing due": {
			reason: "an object at rest is what it is, whatever becomes of the others",
			facts:  settled(waiting), posture: Resting, requeue: 10 * time.Minute,
		},
		"dependency not ready, a look at the world due": {
			reason: "the look waits, and nobody is alarmed",
			facts:  settled(waiting, func(f *Facts) { f.PlanIn = 0 }), posture: Resting,
		},
		"dependency not ready while a runner works": {
			reason: "what has begun ends by itself",
			facts:  settled(waiting, claimed(OpPlan, "here")), posture: Working,
		},
		"dependency not ready, reserved": {
			reason: "what has not begun does not begin",
			facts:  settled(waiting, func(f *Facts) { f.Target = "there"; f.Run.State = RunReserved }),
			action: Withdraw, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonWithdrawn},
		},
		"dependency denied": {
			reason: "another namespace's object is not looked at",
			facts:  settled(depends(DependencyDenied)), posture: Stuck, ready: Ready{False, v1alpha2.ReasonAccessDenied, "a/b"},
		},
		"dependency with an invalid expression": {
			reason: "what can't be evaluated can't become true",
			facts:  settled(depends(DependencyInvalid)), posture: Stuck, ready: Ready{False, "InvalidCELExpression", "a/b"},
		},
		"dependency on itself": {
			reason: "a circle never opens by itself",
			facts:  settled(depends(DependencyCycle)), posture: Stuck, ready: Ready{False, v1alpha2.ReasonDependencyNotReady, "a/b"},
		},
		"deleted, dependency not ready": {
			reason: "an object may go before what it depends on",
			facts:  settled(deleting, waiting, func(f *Facts) { f.DestroyOnDeletion = true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: true, Reason: ReasonDeletion}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"deleted, others depend on it": {
			reason: "nothing is taken away from below",
			facts:  settled(deleting, func(f *Facts) { f.Dependants = "a, b" }), posture: Retrying,
			ready: Ready{False, "DeletionBlockedByDependantsReason", "Deletion in progress, but blocked. Please delete a, b to resume ..."},
		},
		"state not persistent": {
			reason: "another try would find the same; only a change helps",
			facts: settled(failedPlan, func(f *Facts) {
				f.RetryIn, f.Last.Reason, f.Last.Message = 0, v1alpha2.ReasonStateNotPersistent, "lost"
			}),
			posture: Stuck, ready: Ready{False, v1alpha2.ReasonStateNotPersistent, "lost"},
		},
		"state not persistent, new commit": {
			reason: "the module may have a backend now",
			facts:  settled(failedPlan, func(f *Facts) { f.Last.Reason, f.Target = v1alpha2.ReasonStateNotPersistent, "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"retry limit": {
			reason: "as many tries as were asked for, and the failure stays in Ready",
			facts:  settled(failedPlan, func(f *Facts) { f.RetryIn, f.Exhausted = 0, true }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonTFExecPlanFailed, "main.tf:3: no such thing"},
		},
		"unhealthy": {
			reason: "a check that fails keeps Ready False, and is tried again in time",
			facts:  settled(unhealthyNow), posture: Retrying, requeue: 20 * time.Second,
			ready: Ready{False, v1alpha2.ReasonHealthChecksFailed, "1 of 1 health checks failed"},
		},
		"unhealthy, retry": {
			reason: "nothing is applied again: a plan looks whether all is as it was applied, and checks again",
			facts:  settled(unhealthyNow, func(f *Facts) { f.RetryIn, f.Auto = 0, true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRetry}, posture: Working,
		},
		"unhealthy, retry limit": {
			reason: "looking again costs nobody a try: what comes up late is found",
			facts:  settled(unhealthyNow, func(f *Facts) { f.RetryIn, f.Exhausted = 0, true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRetry}, posture: Working,
		},
		"unhealthy, new commit": {
			reason: "what mends it does not wait",
			facts:  settled(unhealthyNow, func(f *Facts) { f.Target = "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"retry limit, new commit": {
			reason: "another target has its own tries",
			facts:  settled(failedPlan, func(f *Facts) { f.Exhausted, f.Target = true, "there" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"retry limit, request": {
			reason: "a person who asks is answered",
			facts:  settled(failedPlan, func(f *Facts) { f.Exhausted, f.Requested = true, true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonRequested}, posture: Working,
		},
		"forced": {
			reason: "force asks nobody, not even plan only",
			facts:  settled(pending, func(f *Facts) { f.Force, f.PlanOnly = true, true }),
			action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonAutoApproved}, posture: Working,
		},
		"force requested": {
			reason: "the plan that is to be applied is made now",
			facts:  settled(func(f *Facts) { f.Requested, f.ForceRequested = true, true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonForced}, posture: Working,
		},
		"force requested, planned": {
			reason: "that plan is applied",
			facts:  settled(approved, func(f *Facts) { f.Plan.Forced, f.PlanOnly = true, true }),
			action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonForced}, posture: Working,
		},
		"destroy": {
			reason: "spec.destroy plans the destruction",
			facts:  settled(func(f *Facts) { f.Destroy, f.Target = true, "destroyed" }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: true, Reason: ReasonTargetChanged}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"destroy approved": {
			reason: "spec.destroy is approved like everything else",
			facts:  settled(approved, func(f *Facts) { f.Destroy = true }),
			action: Reserve, order: Order{Operation: OpApply, Destroy: true, Reason: ReasonApproved}, posture: Working,
		},
		"destroy applied": {
			reason: "the object stays, and says that nothing else does",
			facts:  settled(func(f *Facts) { f.Destroy, f.Ready = true, false }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{True, v1alpha2.ReasonAppliedSucceed, "Destroy applied successfully: main@sha1:aaaa"},
		},
		"nothing to destroy": {
			reason: "an empty destroy plan needs no apply",
			facts:  settled(func(f *Facts) { f.Destroy, f.Ready, f.Last.Operation = true, false, OpPlan }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{True, v1alpha2.ReasonPlannedNoChanges, "No objects need to be destroyed: main@sha1:aaaa"},
		},
		"queued": {
			reason: "what is due waits for its place, and Ready with it",
			facts:  settled(approved, func(f *Facts) { f.Queue.Full = true }), posture: Queued, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved},
		},
		"queued, reserved": {
			reason: "a reservation has its place",
			facts:  settled(approved, func(f *Facts) { f.Queue.Full = true; f.Run.State = RunReserved }),
			action: Start, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"suspended": {
			reason: "a suspended object rests, whatever is due",
			facts:  settled(approved, func(f *Facts) { f.Suspended, f.Target = true, "there" }), posture: Paused,
		},
		"suspended while a runner works": {
			reason: "what has begun ends by itself",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Suspended = true }), posture: Working,
		},
		"suspended before a runner began": {
			reason: "what has not begun does not begin",
			facts:  settled(ordered(OpApply, "here"), func(f *Facts) { f.Suspended = true }), action: AbandonRun,
		},
		"kind of source not supported": {
			reason: "what we can't do as asked we do not do at all",
			facts:  settled(func(f *Facts) { f.Unsupported, f.Requested = "kind HelmChart", true }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonNotImplemented, "kind HelmChart"},
		},
		"invalid approvePlan": {
			reason: "a word that we do not know is nothing to guess at",
			facts:  settled(approved, func(f *Facts) { f.InvalidApprove = "what?" }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonInvalidApprovePlan, "what?"},
		},
		"source missing": {
			reason: "without a source there is nothing to plan",
			facts:  settled(func(f *Facts) { f.Target, f.Source = "", Source{State: SourceMissing, Message: "no such thing"} }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonArtifactFailed, "no such thing"},
		},
		"source denied": {
			reason: "another namespace's source is not looked at",
			facts:  settled(func(f *Facts) { f.Target, f.Source = "", Source{State: SourceDenied, Message: "no"} }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonAccessDenied, "no"},
		},
		"source of a kind that is switched off": {
			reason: "who runs the controller says which kinds of sources there are",
			facts:  settled(func(f *Facts) { f.Target, f.Source = "", Source{State: SourceDisabled, Message: "no gate"} }), posture: Stuck,
			ready: Ready{False, v1alpha2.ReasonFeatureGateDisabled, "no gate"},
		},
		"source without artifact": {
			reason: "a source that is not ready yet wakes us when it is",
			facts:  settled(func(f *Facts) { f.Target, f.Source = "", Source{State: SourceNoArtifact, Message: "cloning"} }), posture: Retrying,
			ready: Ready{False, v1alpha2.ReasonArtifactFailed, "cloning"},
		},
		"run active": {
			reason: "a run at work is not disturbed",
			facts:  settled(claimed(OpPlan, "here")), posture: Working,
		},
		"plan overtaken by a revision": {
			reason: "a plan for an old target is of no use",
			facts:  settled(claimed(OpPlan, "before")), action: CancelRun,
		},
		"apply overtaken by a revision": {
			reason: "what was approved and has begun is left to end",
			facts:  settled(claimed(OpApply, "before")), posture: Working,
		},
		"apply overtaken before a runner began": {
			reason: "nothing has been touched yet",
			facts:  settled(ordered(OpApply, "before")), action: AbandonRun,
		},
		"deleted together with its source while planning": {
			reason: "what a deletion has overtaken is of no use, whatever the source says",
			facts: settled(deleting, claimed(OpPlan, "here"), func(f *Facts) {
				f.Target, f.Source = "", Source{State: SourceMissing}
			}), action: CancelRun,
		},
		"deleted together with its source before a runner began": {
			reason: "a deleted object begins nothing",
			facts: settled(deleting, ordered(OpApply, "here"), func(f *Facts) {
				f.Target, f.Source = "", Source{State: SourceMissing}
			}), action: AbandonRun,
		},
		"deletion keeps the resources after all": {
			reason: "a destroy that has not begun is taken back with the wish",
			facts:  settled(deleting, ordered(OpApply, "destroyed"), func(f *Facts) { f.Run.Destroy = true }), action: AbandonRun,
		},
		"consent taken back before a runner began": {
			reason: "an apply that waits for its pod is asked about again",
			facts:  settled(pending, ordered(OpApply, "here")), action: AbandonRun,
		},
		"cancelled once": {
			reason: "an engine is interrupted once: a second interrupt loses state",
			facts:  settled(claimed(OpPlan, "before"), func(f *Facts) { f.Run.Cancelled = true }), posture: Working,
		},
		"run without pod": {
			reason: "a controller that died between run and pod goes on with the pod",
			facts:  settled(ordered(OpPlan, "here"), func(f *Facts) { f.Pod = Pod{} }), action: StartPod, posture: Working,
		},
		"pod of another run": {
			reason: "one pod at a time",
			facts:  settled(ordered(OpPlan, "here"), func(f *Facts) { f.Pod = Pod{State: PodRunning} }), action: DeletePod,
		},
		"pod of the plan ended before it took the apply": {
			reason: "that is no failure of a run that nobody has begun",
			facts: settled(ordered(OpApply, "here"), func(f *Facts) {
				f.Run.HandedOver, f.Pod = true, Pod{State: PodEnded, OfRun: true}
			}), action: AbandonRun,
		},
		"pod of the plan gone before it took the apply": {
			reason: "no other pod takes a run of its hostname",
			facts:  settled(ordered(OpApply, "here"), func(f *Facts) { f.Run.HandedOver, f.Pod = true, Pod{} }), action: AbandonRun,
		},
		"pod of the plan died in the apply": {
			reason: "it had begun",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Run.HandedOver, f.Pod.State = true, PodEnded }), action: MarkLost,
		},
		"another pod, and it has ended": {
			reason: "that is not the end of this run",
			facts:  settled(ordered(OpApply, "here"), func(f *Facts) { f.Pod = Pod{State: PodEnded} }), action: DeletePod,
		},
		"consent taken back while a runner is about to begin": {
			reason: "one of the two loses",
			facts:  settled(pending, ordered(OpApply, "here"), func(f *Facts) { f.Pod.State = PodRunning }), action: AbandonRun,
		},
		"pod does not start": {
			reason: "what a person has to mend is said, and tried on",
			facts:  settled(ordered(OpPlan, "here"), func(f *Facts) { f.Pod.Stuck = "no such image" }), posture: Retrying,
			ready: Ready{False, v1alpha2.ReasonRunnerPending, "no such image"},
		},
		"pod starts at last": {
			reason: "trouble with a pod that works is over",
			facts:  settled(claimed(OpPlan, "here"), func(f *Facts) { f.Troubled = true }), posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"runner dead": {
			reason: "the kubelet's word that the process has ended ends the run",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Pod.State = PodEnded }), action: MarkLost,
		},
		"runner gone": {
			reason: "a missing pod is no proof that its process has ended",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Pod = Pod{} }), posture: Retrying, requeue: lookAgain,
			ready: Ready{False, v1alpha2.ReasonRunnerUnreachable, unreachable(&Facts{}).Ready.Message},
		},
		"runner overdue": {
			reason: "nor is a pod that nobody takes away",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Pod.Leaving, f.Pod.Overdue = true, true }), posture: Retrying, requeue: lookAgain,
			ready: Ready{False, v1alpha2.ReasonRunnerUnreachable, unreachable(&Facts{}).Ready.Message},
		},
		"runner going": {
			reason: "a pod that is going may never be heard of again",
			facts:  settled(claimed(OpApply, "here"), func(f *Facts) { f.Pod.Leaving = true }), posture: Working, requeue: lookAgain,
		},
		"runner overdue and dead": {
			reason: "proof is proof, however late",
			facts: settled(claimed(OpApply, "here"), func(f *Facts) {
				f.Pod = Pod{State: PodEnded, OfRun: true, Leaving: true, Overdue: true}
			}), action: MarkLost,
		},
		"pod left": {
			reason: "a pod goes when its run is accounted for, before anything else begins",
			facts:  settled(approved, func(f *Facts) { f.Pod = Pod{State: PodEnded} }), action: DeletePod,
		},
		"plan approved, its pod waits": {
			reason: "the apply goes on where the plan was made",
			facts:  settled(approved, podWaits), action: Reserve, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"reservation seen, the pod of the plan waits": {
			reason: "the second pass gives the run to that pod",
			facts:  settled(approved, podWaits, func(f *Facts) { f.Run.State = RunReserved }),
			action: Start, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"reservation seen, the pod of the plan has had enough": {
			reason: "the run will have another pod, when that one is gone",
			facts: settled(approved, func(f *Facts) {
				f.Run.State, f.Pod.State = RunReserved, PodEnded
			}),
			action: Start, order: Order{Operation: OpApply, Destroy: false, Reason: ReasonApproved}, posture: Working,
		},
		"plan held, its pod waits": {
			reason: "nobody knows when it will be approved",
			facts:  settled(pending, podWaits), action: DeletePod,
		},
		"plan held, its pod may wait on": {
			reason: "spec.alwaysCleanupRunnerPod is false: it is there when the approval comes",
			facts:  settled(pending, podWaits, func(f *Facts) { f.KeepPod = true }), posture: Resting, requeue: 10 * time.Minute,
			ready: Ready{Unknown, v1alpha2.ReasonPlannedWithChanges, `Plan generated (+1 ~0 -0): set approvePlan: "plan-main-aaaa-1" to approve this plan.`},
		},
		"refresh due, the pod waits": {
			reason: "a plan is made in a new pod",
			facts:  settled(pending, podWaits, func(f *Facts) { f.KeepPod, f.PlanIn = true, 0 }), action: DeletePod,
		},
		"runner silent before it has claimed": {
			reason: "what nobody has claimed can be taken back for good",
			facts:  settled(ordered(OpApply, "here"), func(f *Facts) { f.Pod = Pod{State: PodRunning, OfRun: true, Leaving: true, Overdue: true} }),
			action: AbandonRun,
		},
		"deleted, resources kept": {
			reason: "without a destroy the object just goes",
			facts:  settled(deleting), action: RemoveFinalizer,
		},
		"abandoned": {
			reason: "a person lets it go, with its resources left as they are",
			facts:  settled(deleting, abandon), action: RemoveFinalizer,
		},
		"abandoned, others depend on it": {
			reason: "nothing else holds it: who depends on it is none of its business any more",
			facts:  settled(deleting, abandon, func(f *Facts) { f.Dependants = "a, b" }), action: RemoveFinalizer,
		},
		"abandoned, suspended": {
			reason: "nor does suspend",
			facts:  settled(deleting, abandon, func(f *Facts) { f.Suspended = true }), action: RemoveFinalizer,
		},
		"abandoned, destroy plan at work": {
			reason: "nobody wants that plan any more",
			facts:  settled(deleting, abandon, claimed(OpPlan, "destroyed"), func(f *Facts) { f.Run.Destroy = true }), action: CancelRun,
		},
		"abandoned, destroy ordered": {
			reason: "a destroy that has not begun does not begin",
			facts:  settled(deleting, abandon, ordered(OpApply, "destroyed"), func(f *Facts) { f.Run.Destroy = true }), action: AbandonRun,
		},
		"abandoned, destroy at work": {
			reason: "one that has begun ends by itself",
			facts:  settled(deleting, abandon, claimed(OpApply, "destroyed"), func(f *Facts) { f.Run.Destroy = true }), posture: Working,
		},
		"abandoned, destroy reserved": {
			reason: "a reservation is taken back",
			facts:  settled(deleting, abandon, func(f *Facts) { f.Run.State = RunReserved }),
			action: Withdraw, order: Order{Operation: OpPlan, Destroy: false, Reason: ReasonWithdrawn},
		},
		"abandoned, runner out of reach": {
			reason: "whether a process still works is another question, with its own way out",
			facts:  settled(deleting, abandon, claimed(OpApply, "destroyed"), func(f *Facts) { f.Pod = Pod{} }), posture: Retrying, requeue: lookAgain,
			ready: Ready{False, v1alpha2.ReasonRunnerUnreachable, unreachable(&Facts{}).Ready.Message},
		},
		"abandoned, not deleted": {
			reason: "as long as it is not deleted the word counts for nothing",
			facts:  settled(func(f *Facts) { f.Abandoned = true }), posture: Resting, requeue: 10 * time.Minute,
		},
		"deleted, nothing ever made": {
			reason: "no pod is needed to destroy nothing",
			facts:  settled(deleting, func(f *Facts) { f.DestroyOnDeletion, f.MayHaveResources = true, false }), action: RemoveFinalizer,
		},
		"deleted, nothing ever made, source gone": {
			reason: "nor a source",
			facts: settled(deleting, func(f *Facts) {
				f.DestroyOnDeletion, f.MayHaveResources, f.Target, f.Source = true, false, "", Source{State: SourceMissing}
			}), action: RemoveFinalizer,
		},
		"deleted with destroy": {
			reason: "the destroy is planned first",
			facts:  settled(deleting, func(f *Facts) { f.DestroyOnDeletion = true }),
			action: Reserve, order: Order{Operation: OpPlan, Destroy: true, Reason: ReasonDeletion}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"destroy planned": {
			reason: "the deletion is the approval, under manual as well",
			facts: settled(deleting, pending, func(f *Facts) {
				f.DestroyOnDeletion, f.Planned = true, "destroyed"
			}), action: Reserve, order: Order{Operation: OpApply, Destroy: true, Reason: ReasonDeletion}, posture: Working,
		},
		"destroyed": {
			reason: "what is destroyed may go",
			facts:  settled(deleting, func(f *Facts) { f.DestroyOnDeletion, f.Destroyed = true, true }), action: RemoveFinalizer,
		},
		"destroyed, source gone": {
			reason: "and needs no source for it",
			facts: settled(deleting, func(f *Facts) {
				f.DestroyOnDeletion, f.Destroyed, f.Target, f.Source = true, true, "", Source{State: SourceMissing}
			}), action: RemoveFinalizer,
		},
		"deleted while suspended": {
			reason: "a suspended object destroys nothing, and leaks nothing",
			facts:  settled(deleting, func(f *Facts) { f.DestroyOnDeletion, f.Suspended = true, true }), posture: Stuck,
			ready: holdDeletion(&Facts{}).Ready,
		},
		"deleted while applying": {
			reason: "an apply ends before anything is destroyed or let go",
			facts:  settled(deleting, claimed(OpApply, "here")), posture: Working,
		},
		"deleted while planning": {
			reason: "a plan is not waited for",
			facts:  settled(deleting, claimed(OpPlan, "here")), action: CancelRun,
		},
		"deleted with destroy, source gone": {
			reason: "the finalizer stays as long as resources would be leaked",
			facts: settled(deleting, func(f *Facts) {
				f.DestroyOnDeletion, f.Target, f.Source = true, "", Source{State: SourceMissing, Message: "gone"}
			}), posture: Stuck, ready: Ready{False, v1alpha2.ReasonArtifactFailed, "gone"},
		},
		"deleted with destroy, source gone, keepsake": {
			reason: "what an apply has kept is enough to destroy",
			facts: settled(deleting, func(f *Facts) {
				f.DestroyOnDeletion, f.Kept, f.Source = true, true, Source{State: SourceMissing, Message: "gone"}
			}), action: Reserve, order: Order{Operation: OpPlan, Destroy: true, Reason: ReasonDeletion}, posture: Working,
			ready: Ready{Unknown, "Progressing", "Terraform Planning"},
		},
		"deleted with destroy, source denied, keepsake": {
			reason: "nothing of the source is looked at",
			facts: settled(deleting, pending, func(f *Facts) {
				f.DestroyOnDeletion, f.Kept, f.Planned, f.Source = true, true, "destroyed", Source{State: SourceDenied}
			}), action: Reserve, order: Order{Operation: OpApply, Destroy: true, Reason: ReasonDeletion}, posture: Working,
		},
		"source missing, keepsake": {
			reason: "a keepsake is for the end only",
			facts: settled(func(f *Facts) {
				f.Target, f.Kept, f.Source = "", true, Source{State: SourceMissing, Message: "gone"}
			}), posture: Stuck, ready: Ready{False, v1alpha2.ReasonArtifactFailed, "gone"},
		},
	}
	maps.Copy(cases, sessionCases())
	decided := map[string]bool{}
	for name, tc := range cases {
		decided[Next(tc.facts).Rule] = true
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := Next(tc.facts)
			g.Expect(d.Action).To(Equal(tc.action), tc.reason)
			g.Expect(d.Order).To(Equal(tc.order), tc.reason)
			g.Expect(d.Ready).To(Equal(tc.ready), tc.reason)
			g.Expect(d.Posture).To(Equal(tc.posture), tc.reason)
			g.Expect(d.RequeueAfter).To(Equal(tc.requeue), tc.reason)
		})
	}
	for _, r := range rules {
		if !decided[r.name] {
			t.Errorf("no case is decided by the rule %q: it is dead, or untested", r.name)
		}
	}
}
