package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

type property struct {
	name  string
	holds func(f *Facts, d *Decision) bool
}

func begins(d *Decision) bool { return d.Action == Reserve || d.Action == Start }

func active(f *Facts) bool { return f.Run.State == RunOrdered || f.Run.State == RunClaimed }

func implies(a, b bool) bool { return !a || b }

// properties that hold at every step, whatever the facts.
var properties = []property{
	{"an apply is of a stored plan, for the present target", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply, f.Plan.ID != "" && f.Plan.Target == f.Target)
	}},
	{"an apply is approved: by mode, by a person, or by the deletion", func(f *Facts, d *Decision) bool {
		deletion := f.Deleting && f.DestroyOnDeletion && !f.AutoSafe
		return implies(begins(d) && d.Order.Operation == OpApply, f.Auto || f.Force || f.Plan.Approved || deletion || f.AutoSafe && f.Plan.Safe)
	}},
	{"nothing is applied that webhooks have not agreed to", func(f *Facts, d *Decision) bool {
		applies := begins(d) && d.Order.Operation == OpApply || d.Action == StartPod && f.Run.Operation == OpApply
		return implies(applies, f.Plan.Gate == GateOpen)
	}},
	{"webhooks are asked about a plan of the present target, when nothing else is to be done, and again when they do not agree", func(f *Facts, d *Decision) bool {
		may := f.Plan.ID != "" && f.Plan.Target == f.Target && f.Plan.Gate != GateOpen && !f.Suspended && f.Run.State == RunNone
		holds := d.Ready.Reason == v1alpha2.ReasonWebhookFailed
		return implies(d.Action == AskWebhooks, may) && implies(d.Action == Rest && holds, d.RequeueAfter > 0 && f.Plan.AskIn > 0)
	}},
	{"a rejected plan is not applied", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply, !f.Plan.Rejected)
	}},
	{"under safe nothing is destroyed unseen, not even by a deletion", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply && f.AutoSafe && !f.Plan.Safe, f.Plan.Approved)
	}},
	{"what is protected ends only with a plan that a person has approved as it is shown", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply && f.Plan.Protected != "", f.Plan.Approved && !f.Plan.Forced)
	}},
	{"disable applies nothing but the destroy of a deletion", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply && f.Disabled, f.Deleting)
	}},
	{"plan only applies nothing but what is forced and the destroy of a deletion", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply && f.PlanOnly, f.Deleting || f.Force)
	}},
	{"nothing is destroyed that nobody asked for", func(f *Facts, d *Decision) bool {
		return implies(d.Order.Destroy, f.Destroy || f.Deleting && f.DestroyOnDeletion && f.MayHaveResources)
	}},
	{"a deleted object begins nothing but a destroy", func(f *Facts, d *Decision) bool {
		return implies(begins(d) && (f.Deleting || f.Destroy), d.Order.Destroy)
	}},
	{"nothing but a deletion, or a session, begins before what the object depends on", func(f *Facts, d *Decision) bool {
		return implies(f.Dependency.State != DependenciesReady && !f.Deleting, !begins(d) || d.Order.Session)
	}},
	{"nothing is destroyed or let go before what depends on the object, unless it is abandoned", func(f *Facts, d *Decision) bool {
		return implies(f.Deleting && f.Dependants != "" && !f.Abandoned, !begins(d) && d.Action != RemoveFinalizer)
	}},
	{"a deleted object that is abandoned begins nothing, and waits for nothing but its run and pod", func(f *Facts, d *Decision) bool {
		given := f.Deleting && f.Abandoned
		free := f.Run.State == RunNone && f.Pod.State == PodNone
		return implies(given, !begins(d) && d.Action != StartPod) && implies(given && free, d.Action == RemoveFinalizer)
	}},
	{"a volatile plan is not made anew by itself", func(f *Facts, d *Decision) bool {
		left := f.Plan.Volatile && f.Planned == f.Target && !f.Requested && !f.Last.Failed && !f.Last.Session
		return implies(left && begins(d) && !d.Order.Session, d.Order.Operation == OpApply)
	}},
	{"what has failed as often as it may is not tried again, unless somebody asks", func(f *Facts, d *Decision) bool {
		spent := f.Exhausted && f.Last.Failed && !f.Last.Unhealthy && !f.Last.Session && f.Last.Target == f.Target && !f.Requested && !f.Deleting
		return implies(spent, !begins(d) || d.Order.Session)
	}},
	{"for a health check that fails nothing is applied again, it is looked at again, and Ready is not True", func(f *Facts, d *Decision) bool {
		unhealthy := f.Last.Unhealthy && f.Last.Target == f.Target
		stuck := f.Suspended || f.Unsupported != "" || f.InvalidApprove != "" || f.Source.State != SourceReady || f.Deleting
		waits := d.Action == Rest && d.Posture == Retrying && d.Ready.Reason == v1alpha2.ReasonHealthChecksFailed
		return implies(unhealthy && begins(d), d.Order.Operation == OpPlan) && implies(waits, d.RequeueAfter > 0) &&
			implies(unhealthy && !stuck, d.Ready.Status != True)
	}},
	{"nothing is reserved while all places are taken", func(f *Facts, d *Decision) bool {
		return implies(f.Queue.Full, d.Action != Reserve) && implies(d.Posture == Queued, f.Queue.Full && d.Ready.Status == Keep)
	}},
	{"a deleted object starts no pod but for a destroy", func(f *Facts, d *Decision) bool {
		return implies(d.Action == StartPod && f.Deleting, f.Run.Destroy && f.DestroyOnDeletion && !f.Abandoned)
	}},
	{"no pod starts for an apply that nobody agrees to any more", func(f *Facts, d *Decision) bool {
		return implies(d.Action == StartPod && f.Run.Operation == OpApply, consented(f))
	}},
	{"nothing begins while suspended", func(f *Facts, d *Decision) bool {
		return implies(f.Suspended, !begins(d) && d.Action != StartPod)
	}},
	{"nothing begins without an artifact, but a destroy from what was kept", func(f *Facts, d *Decision) bool {
		return implies(f.Source.State != SourceReady && begins(d), f.Kept && f.Deleting && d.Order.Destroy)
	}},
	{"nothing begins with a kind of source that is not supported, or an approvePlan that is not understood", func(f *Facts, d *Decision) bool {
		return implies(f.Unsupported != "" || f.InvalidApprove != "" && !f.Deleting, !begins(d))
	}},
	{"nothing is reserved while a run is active or its pod is left, but an apply in the pod of its plan", func(f *Facts, d *Decision) bool {
		free := f.Pod.State == PodNone || f.Pod.State == PodWaiting && d.Order.Operation == OpApply
		return implies(d.Action == Reserve, f.Run.State == RunNone && free) && implies(d.Action == StartPod, f.Pod.State == PodNone)
	}},
	{"a pod that waits is taken, or spared where it may stay, or goes", func(f *Facts, d *Decision) bool {
		waits := f.Pod.State == PodWaiting && f.Run.State == RunNone
		return implies(waits, begins(d) || d.Action == DeletePod || d.Action == AskWebhooks || d.Action == Rest && f.KeepPod)
	}},
	{"no second pod is made for a run that was given to the pod of its plan", func(f *Facts, d *Decision) bool {
		return implies(f.Run.HandedOver, d.Action != StartPod)
	}},
	{"of a runner that is not to be heard of nobody takes the place", func(f *Facts, d *Decision) bool {
		silent := f.Run.State == RunClaimed && f.Pod.OfRun && f.Pod.State == PodRunning && f.Pod.Overdue
		return implies(silent, d.Action == Rest && d.Ready.Reason == "RunnerUnreachable")
	}},
	{"a run starts only after its reservation", func(f *Facts, d *Decision) bool {
		return (d.Action == Start) == (f.Run.State == RunReserved && begins(d))
	}},
	{"an apply that a runner has claimed is left to end, unless a person cancels it", func(f *Facts, d *Decision) bool {
		left := f.Run.State == RunClaimed && f.Run.Operation == OpApply && !f.Run.Unloved
		return implies(left, d.Action != CancelRun && d.Action != AbandonRun)
	}},
	{"a run is cancelled once", func(f *Facts, d *Decision) bool {
		return implies(d.Action == CancelRun, active(f) && !f.Run.Cancelled)
	}},
	{"a run is given up only when no process works on it, or ever will", func(f *Facts, d *Decision) bool {
		switch d.Action {
		case AbandonRun:
			return f.Run.State == RunOrdered // it is written under the version that nobody has claimed
		case MarkLost:
			return f.Pod.State == PodEnded && f.Pod.OfRun
		}
		return true
	}},
	{"the pod of an active run stays", func(f *Facts, d *Decision) bool {
		return implies(d.Action == DeletePod && active(f), !f.Pod.OfRun)
	}},
	{"the finalizer goes when run and pod are gone and no resource is leaked, unless it is abandoned", func(f *Facts, d *Decision) bool {
		kept := !f.DestroyOnDeletion || !f.MayHaveResources || f.Destroyed || f.Abandoned
		return implies(d.Action == RemoveFinalizer, f.Deleting && !active(f) && f.Pod.State == PodNone && kept)
	}},
	{"a reservation is withdrawn only when there is one", func(f *Facts, d *Decision) bool {
		return implies(d.Action == Withdraw, f.Run.State == RunReserved) && d.Action != Drop
	}},
	{"nothing is said while only the world is looked at again", func(f *Facts, d *Decision) bool {
		session := d.Order.Session || f.Last.Session
		return implies(d.Action == Reserve && f.Planned == f.Target && !session, d.Ready.Status == Keep)
	}},
	{"Retrying and Stuck go with Ready False, and only they", func(_ *Facts, d *Decision) bool {
		return implies(d.Posture == Retrying || d.Posture == Stuck, d.Ready.Status == False) &&
			implies(d.Ready.Status == True, d.Posture == Resting) &&
			implies(d.Ready.Status == Unknown && d.Posture != Working, d.Ready.Reason == "TerraformPlannedWithChanges")
	}},
	{"an object that rests with a source, without a person's say and without a volatile plan looks again", func(f *Facts, d *Decision) bool {
		waits := d.Action == Rest && d.Posture == Resting && !active(f) && f.Dependency.State == DependenciesReady && !f.Plan.Volatile
		return implies(waits, d.RequeueAfter > 0)
	}},
	{"a failure is not tried again before its time, unless somebody asks", func(f *Facts, d *Decision) bool {
		early := f.Last.Failed && f.Last.Target == f.Target && f.RetryIn > 0 && !f.Requested
		return implies(early, !begins(d) || d.Order.Session && !f.Last.Session)
	}},
	{"while a person wants to be in the pod, nothing else begins", func(f *Facts, d *Decision) bool {
		return implies(f.Glass != GlassWhole && !f.Deleting && begins(d), d.Order.Session)
	}},
	{"a session begins only for somebody who wants it, and never in a deletion", func(f *Facts, d *Decision) bool {
		return implies(d.Order.Session, f.Glass == GlassBroken && !f.Deleting)
	}},
	{"nobody is thrown out of a session but by a person or a deletion", func(f *Facts, d *Decision) bool {
		return implies(d.Action == CancelRun && f.Run.Session, f.Glass != GlassBroken || f.Deleting || f.Run.Unloved)
	}},
	{"after a session nothing is applied before a plan has looked", func(f *Facts, d *Decision) bool {
		return implies(f.Last.Session, d.Order.Operation != OpApply)
	}},
	{"a plan that waits for a person is not applied", func(f *Facts, d *Decision) bool {
		return implies(!f.Auto && !f.Force && !f.AutoSafe && !f.Plan.Approved && !f.Deleting, d.Order.Operation != OpApply)
	}},
}
