package decide

// rule looks at the facts and decides, or leaves it to the next one.
type rule struct {
	name string
	when func(*Facts) bool
	then func(*Facts) Decision
}

// rules are asked in this order; the first that applies decides. The last always does.
var rules = []rule{
	// The object's own beginning and end.
	{"finalizers named after other objects go", strayFinalizers, does(CleanFinalizers)},
	{"the object is gone", isGone, rest},
	{"the finalizer comes first", lacksFinalizer, does(AddFinalizer)},

	// A run is active: nothing else begins.
	{"a runner ended without a word", runnerEnded, does(MarkLost)},
	{"nobody knows what the runner does", runnerVanished, unreachable},
	{"another pod is in the way", foreignPod, deletePod},
	{"a person cancels the run", cancelOrdered, does(CancelRun)},
	{"the run is no longer wanted and nobody works on it", unwantedUnclaimed, does(AbandonRun)},
	{"the plan is no longer wanted", unwantedPlan, does(CancelRun)},
	{"the run has no pod yet", runWithoutPod, starts(StartPod)},
	{"the pod does not start", podStuck, waitForPod},
	{"a person is in the pod", sessionActive, watchSession},
	{"the run is at work", runActive, watchRun},

	// No run is active.
	{"the pod has done its work", podLeft, deletePod},

	// Deletion.
	{"the object is abandoned", abandoned, does(RemoveFinalizer)},
	{"others depend on the object", dependantsLeft, waitForDependants},
	{"nothing is to be destroyed", nothingToDestroy, does(RemoveFinalizer)},
	{"a suspended object destroys nothing", suspendedDeletion, holdDeletion},

	// Rest, for as long as something has to be done by a person.
	{"suspended", suspended, pause},
	{"breaking the glass is not allowed", glassForbidden, stallGlassForbidden},
	{"the kind of source is not supported", unsupported, stallUnsupported},
	{"approvePlan is invalid", invalidApprove, stallInvalidApprove},
	{"the source may not be used", sourceDenied, stallDenied},
	{"sources of that kind are switched off", sourceDisabled, stallDisabled},
	{"the source is missing", sourceMissing, stallMissing},
	{"the source has no artifact", sourceEmpty, waitForArtifact},

	// A person comes first.
	{"a person breaks the glass", glassBroken, reserveSession},

	// Others come first.
	{"a dependency can't be waited for", dependencyWrong, stallDependency},
	{"a dependency is not ready", dependencyWaits, waitForDependency},

	// Plan and apply.
	{"the state would be lost with the pod", notPersistent, stallNotPersistent},
	{"the last run failed and has been tried as often as it may", exhausted, stallExhausted},
	{"the last run failed and the next try is not due", failedNotDue, waitForRetry},
	{"the plan may be applied", mayApply, reserveApply},
	{"a plan is due", planDue, reservePlan},

	// Others have a say, whoever is to approve the plan.
	{"webhooks are to be asked about the plan", webhooksDue, askWebhooks},
	{"webhooks do not agree to the plan", webhooksDisagree, holdForWebhooks},

	// Rest, until the interval has passed.
	{"the plan is all that is wanted", plannedOnly, showPlan},
	{"drift is only reported", onlyReported, reportDrift},
	{"drift waits for approval", driftWaits, waitForDriftApproval},
	{"the plan waits for approval", planWaits, waitForApproval},
	{"everything is as it should be", always, inSync},
}

// Next decides.
//
// A run is begun in two passes: the first reserves its name (Reserve), the second, which sees the reservation, asks the
// rules once more and creates the run (Start), or creates it cancelled (Withdraw).
func Next(f Facts) Decision {
	if f.Run.State == RunReserved && f.Finalizer && !f.StrayFinalizers {
		f.Run, f.Queue, f.Pod = Run{}, Queue{}, Pod{} // a reservation has its place; a pod that is left goes before its own comes
		d := decide(&f)
		if d.Action == Reserve {
			d.Action = Start
			return d
		}
		return Decision{Action: Withdraw, Order: Order{Operation: OpPlan, Reason: ReasonWithdrawn}, Rule: "the reserved run is no longer wanted"}
	}
	return followUp(&f, decide(&f))
}

// followUp spares a pod that waits, if the next thing is the apply that it waits for, or to ask whether that may be, or if
// nothing is to be done and the pod may stay.
func followUp(f *Facts, d Decision) Decision {
	if d.Action != DeletePod || f.Pod.State != PodWaiting {
		return d
	}
	alone := *f
	alone.Pod = Pod{}
	next := decide(&alone)
	if next.Action == Reserve && next.Order.Operation == OpApply || next.Action == AskWebhooks || next.Action == Rest && f.KeepPod {
		return next
	}
	return d
}

func decide(f *Facts) Decision {
	for _, r := range rules {
		if r.when(f) {
			d := r.then(f)
			d.Rule = r.name
			return enqueue(f, d)
		}
	}
	panic("unreachable: the last rule always applies")
}

func does(a Action) func(*Facts) Decision {
	return func(*Facts) Decision { return Decision{Action: a} }
}

func rest(*Facts) Decision { return Decision{Action: Rest, Posture: Resting} }

// pause rests without having looked at the spec.
func pause(*Facts) Decision { return Decision{Action: Rest, Posture: Paused} }

func always(*Facts) bool { return true }
