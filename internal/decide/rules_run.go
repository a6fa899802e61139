package decide

import (
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// strayFinalizers hold nothing, as nobody would ever take them off: what depends on an object is asked for when it is deleted.
func strayFinalizers(f *Facts) bool { return f.StrayFinalizers }

func isGone(f *Facts) bool { return f.Deleting && !f.Finalizer }

func lacksFinalizer(f *Facts) bool { return !f.Finalizer }

func runActive(f *Facts) bool { return f.Run.State == RunOrdered || f.Run.State == RunClaimed }

// runnerEnded: the process of the active run's pod has provably ended, and the run does not say how.
func runnerEnded(f *Facts) bool {
	return runActive(f) && f.Pod.OfRun && f.Pod.State == PodEnded && !missedIt(f)
}

// missedIt: the pod of the plan has gone, or is over, without having taken the apply that it was given. That is no failure.
func missedIt(f *Facts) bool {
	over := f.Pod.State == PodNone || f.Pod.OfRun && f.Pod.State == PodEnded
	return f.Run.State == RunOrdered && f.Run.HandedOver && over
}

// runnerVanished: a runner has claimed the run, and its pod is not to be found, or was to be gone long ago. A pod that is
// missing from the API is no proof that its process has ended.
func runnerVanished(f *Facts) bool {
	return f.Run.State == RunClaimed && (f.Pod.State == PodNone || !f.Pod.OfRun || f.Pod.Overdue)
}

func foreignPod(f *Facts) bool {
	return runActive(f) && f.Pod.State != PodNone && !f.Pod.OfRun
}

// unwantedPlan: a plan for a target that has moved, or that a deletion has overtaken, is of no use. An apply always ends
// by itself: what it has begun is what was approved.
func unwantedPlan(f *Facts) bool {
	return runActive(f) && !f.Run.Cancelled && f.Run.Operation == OpPlan && overtaken(f)
}

// overtaken: the run works towards something that is not wanted any more, whether or not the source can tell what is.
func overtaken(f *Facts) bool {
	if f.Run.Session {
		return sessionUnwanted(f)
	}
	if f.Deleting && (f.Abandoned || !f.Run.Destroy || !f.DestroyOnDeletion) {
		return true
	}
	return f.Target != "" && f.Run.Target != f.Target
}

// cancelOrdered: a person may stop an apply as well; the runner says what was done.
func cancelOrdered(f *Facts) bool {
	return f.Run.State == RunClaimed && f.Run.Unloved && !f.Run.Cancelled
}

// unwantedUnclaimed: without a claim nothing has been touched, so that an apply may be taken back as well. Of a runner that
// is about to claim it and the controller that takes it back, one loses: both write under the version that they have read.
func unwantedUnclaimed(f *Facts) bool {
	switch {
	case f.Run.State != RunOrdered:
		return false
	case f.Pod.Overdue, missedIt(f):
		return true
	}
	unapproved := f.Run.Operation == OpApply && !consented(f)
	return overtaken(f) || unapproved || f.Suspended || f.Run.Cancelled || f.Run.Unloved
}

func runWithoutPod(f *Facts) bool { return f.Run.State == RunOrdered && f.Pod.State == PodNone }

func podStuck(f *Facts) bool { return runActive(f) && f.Pod.State == PodPending && f.Pod.Stuck != "" }

func podLeft(f *Facts) bool { return f.Pod.State != PodNone }

func starts(a Action) func(*Facts) Decision {
	return func(f *Facts) Decision {
		if f.Run.Session {
			return Decision{Action: a, Posture: Working, Progress: sessionPreparing}
		}
		return Decision{Action: a, Posture: Working, Progress: progress(f.Run.Operation)}
	}
}

// slowPod is the time after which a pod that has not started is looked at again.
const slowPod = 30 * time.Second

func watchRun(f *Facts) Decision {
	d := Decision{Action: Rest, Posture: Working, Progress: progress(f.Run.Operation)}
	if f.Pod.Leaving {
		d.RequeueAfter = lookAgain
	}
	if f.Pod.State == PodPending {
		d.RequeueAfter = slowPod
	} else if f.Troubled {
		d.Ready = Ready{Unknown, reasonProgressing, progress(f.Run.Operation)}
	}
	return d
}

func progress(op Operation) string {
	if op == OpApply {
		return "Applying"
	}
	return "Terraform Planning"
}

// lookAgain is the time after which a runner whose pod is going, or gone, is looked for again: a taint of its node wakes
// nobody.
const lookAgain = 15 * time.Second

func unreachable(f *Facts) Decision {
	return Decision{
		Action:  Rest,
		Posture: Retrying,
		Ready: Ready{False, v1alpha2.ReasonRunnerUnreachable, "nothing proves that the runner's process has ended, and its pod is gone or overdue (" +
			f.Pod.Where + "): nothing is unlocked and no other run begins. Ways out: bring the node back; taint it " +
			"node.kubernetes.io/out-of-service when the machine is off; or, when you are sure that the process has ended, " +
			"annotate the TerraformRun with " + v1alpha2.ProcessEndedAnnotation + "=<how you know>"},
		RequeueAfter: lookAgain,
	}
}

func deletePod(f *Facts) Decision {
	d := Decision{Action: DeletePod}
	if f.Pod.Leaving {
		d.RequeueAfter = lookAgain
	}
	return d
}

// waitForPod says why the pod does not start. The kubelet and the scheduler go on trying; each change of the pod wakes
// the object, so nothing has to be repeated here.
func waitForPod(f *Facts) Decision {
	return Decision{
		Action:   Rest,
		Posture:  Retrying,
		Ready:    Ready{False, v1alpha2.ReasonRunnerPending, f.Pod.Stuck},
		Progress: "waiting for the runner pod",
	}
}
