package decide

import (
	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Glass says whether a person wants a session in the runner's pod, spec.breakTheGlass.
type Glass int

const (
	// GlassWhole: nobody wants one, or the session that was asked for is over.
	GlassWhole Glass = iota
	// GlassForbidden: somebody wants one, and this controller allows none.
	GlassForbidden
	// GlassBroken: somebody wants one.
	GlassBroken
)

// ReasonBreakTheGlass is why a run exists that is a session.
const ReasonBreakTheGlass = "BreakTheGlass"

// ReasonAfterSession is why a plan is made after one: nobody knows what a person has done.
const ReasonAfterSession = "SessionEnded"

// What Ready says of a session, in the incumbent's words where it had any.
const (
	sessionOpen      = "Breaking the glass ..."
	sessionPreparing = "Preparing the session"
)

// glassForbidden is no matter for a deletion.
func glassForbidden(f *Facts) bool { return f.Glass == GlassForbidden && !f.Deleting }

func stallGlassForbidden(*Facts) Decision {
	return Decision{Posture: Stuck, Ready: Ready{False, v1alpha2.ReasonBreakTheGlassNotAllowed,
		"Breaking the glass is not allowed: the controller runs without --allow-break-the-glass. Nothing is planned or applied meanwhile: " +
			"set spec.breakTheGlass to false, and remove the annotation " + v1alpha2.BreakTheGlassAnnotation + ", or have the flag set"}}
}

// glassBroken: a person goes first, whatever has failed before, but for a session that could not be opened a moment ago.
func glassBroken(f *Facts) bool {
	failed := f.Last.Session && f.Last.Failed && f.Last.Target == f.Target && f.RetryIn > 0 && !f.Requested
	return f.Glass == GlassBroken && !f.Deleting && !failed
}

func reserveSession(f *Facts) Decision {
	return Decision{
		Action: Reserve, Posture: Working, Progress: sessionPreparing,
		Ready: Ready{Unknown, reasonProgressing, sessionPreparing},
		Order: Order{Operation: OpPlan, Destroy: f.Destroy, Reason: ReasonBreakTheGlass, Session: true},
	}
}

func sessionActive(f *Facts) bool { return runActive(f) && f.Run.Session }

// watchSession says how to get in, once there is something to get into.
func watchSession(f *Facts) Decision {
	d := watchRun(f)
	d.Progress = sessionPreparing
	if f.Run.Door != "" {
		d.Progress, d.Ready = f.Run.Door, Ready{Unknown, reasonProgressing, sessionOpen}
	}
	return d
}

// sessionUnwanted: it is the person's, whatever becomes of source and spec in the meantime.
func sessionUnwanted(f *Facts) bool { return f.Deleting || f.Glass != GlassBroken }
