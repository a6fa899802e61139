package decide

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// The walk: every combination of facts is a world. In each one Next is asked, the answer is carried out in a small model
// of the cluster (in every way that it can end), and the worlds that come of it are walked too, until nothing more
// happens by itself. At every step the properties below must hold, and no walk may come back to where it was.

// world is a combination of facts, each a small number, so that it has an index.
type world struct {
	deletion  uint8 // 0 no, 1 keep the resources, 2 destroy them; 3 no, but spec.destroy; 4 destroy them, but abandoned
	blocker   uint8 // 0 none, 1 suspended, 2 the kind of source is not supported, 3 approvePlan is invalid, 4 a dependency, 5 dependants, 6 retry limit, 7 queue, 8 the source is missing, 9 likewise, but there is a keepsake
	mode      uint8 // 0 manual, 1 auto, 2 plan only, 3 plan only and forced, 4 safe, 5 disable
	resources uint8 // may there be any
	requested uint8
	planned   uint8 // 0 never, 1 for another target, 2 for this one
	applied   uint8 // this target was applied last
	plan      uint8 // 0 none, 1 of another target, 2 likewise and approved, 3 of this one and rejected; 4 and more of this one, see heldPlan
	last      uint8 // 0 none; 1 plan, 2 apply succeeded; 3 plan, 4 apply failed here; 5 failed at another target; 6 unhealthy; 7 a session, 8 a session that failed
	due       uint8 // the interval has passed
	retry     uint8 // the next try is due
	runPod    uint8 // index into runPods
}

var radix = [...]int{5, 10, 6, 2, 2, 3, 2, 13, 9, 2, 2, 0}

// fixed is the number of leading facts that no step changes: worlds that differ there do not meet.
const fixed = 3

// runPod is a combination of run and pod that can be met.
type runPod struct {
	run       RunState
	op        Operation
	other     bool // the run's target is another one
	cancelled bool
	unloved   bool
	pod       PodState
	ofRun     bool
	stuck     bool
	overdue   bool
	kept      bool // a pod that waits may wait on
	handed    bool // the run was given to the pod of its plan
	session   bool // the run is one
	glass     bool // a session is wanted
}

var runPods = makeRunPods()

func makeRunPods() []runPod {
	var all []runPod
	for _, run := range []RunState{RunNone, RunReserved} {
		for _, pod := range []PodState{PodNone, PodPending, PodRunning, PodEnded} {
			all = append(all, runPod{run: run, pod: pod})
		}
		all = append(all, runPod{run: run, pod: PodWaiting}, runPod{run: run, pod: PodWaiting, kept: true})
	}
	for _, r := range slices.Clone(all) {
		r.glass = true
		all = append(all, r)
	}
	all = append(all, runPod{pod: PodRunning, overdue: true}, runPod{pod: PodRunning, overdue: true, glass: true})
	all = append(all, sessionPods()...)
	for _, run := range []RunState{RunOrdered, RunClaimed} {
		for i := range 8 {
			r := runPod{run: run, op: Operation(i & 1), other: i&2 != 0, cancelled: i&4 != 0}
			all = append(all, r)
			r.ofRun = true
			for _, pod := range []PodState{PodPending, PodRunning, PodEnded} {
				r.pod = pod
				all = append(all, r)
			}
			stuck, foreign := r, r
			stuck.pod, stuck.stuck = PodPending, true
			foreign.pod, foreign.ofRun = PodRunning, false
			all = append(all, stuck, foreign)
			if run == RunOrdered {
				foreign.pod = PodEnded
				all = append(all, foreign)
			}
			if run == RunOrdered && r.op == OpApply && !r.other && !r.cancelled {
				h := r
				h.handed = true
				for _, pod := range []PodState{PodRunning, PodEnded} {
					h.pod = pod
					all = append(all, h)
				}
				all = append(all, runPod{run: run, op: r.op, handed: true})
			}
			if r.pod = PodRunning; !r.cancelled {
				silent := r
				silent.overdue = true
				all = append(all, silent)
			}
			if !r.other {
				r.unloved = true
				all = append(all, r)
			}
		}
	}
	return all
}

func indexOfRunPod(r runPod) uint8 {
	for i := range runPods {
		if runPods[i] == r {
			return uint8(i)
		}
	}
	panic(fmt.Sprintf("the model leads to a combination that is not walked: %+v", r))
}

func (w *world) digits() []*uint8 {
	return []*uint8{&w.deletion, &w.blocker, &w.mode, &w.resources, &w.requested, &w.planned,
		&w.applied, &w.plan, &w.last, &w.due, &w.retry, &w.runPod}
}

func base(i int) int {
	if radix[i] == 0 {
		return len(runPods)
	}
	return radix[i]
}

func (w world) index() int {
	n := 0
	for i, d := range w.digits() {
		n = n*base(i) + int(*d)
	}
	return n
}

func worldAt(n int) world {
	var w world
	digits := w.digits()
	for i, digit := range slices.Backward(digits) {
		*digit = uint8(n % base(i))
		n /= base(i)
	}
	return w
}

// next is the world whose index is one higher.
func (w *world) next() {
	digits := w.digits()
	for i, digit := range slices.Backward(digits) {
		if *digit++; int(*digit) < base(i) {
			return
		}
		*digit = 0
	}
}

func worlds() int {
	n := 1
	for i := range radix {
		n *= base(i)
	}
	return n
}

// The values of world.plan for a plan of this target: one that waits for a person, and what it may be besides.
const (
	heldPlan = iota + 4
	approvedPlan
	driftPlan
	approvedDrift
	safePlan
	volatilePlan
	protectedPlan
	unaskedPlan // approved; webhooks have not been asked
	shutPlan    // approved; webhooks do not agree, and are to be asked again when the next try is due
)

var targets = [...]string{"", "other", "here"}

func (w world) facts() Facts {
	r := runPods[w.runPod]
	abandoned := w.deletion == 4
	destroys := w.deletion == 2 || abandoned
	f := Facts{
		Finalizer: true, Deleting: w.deletion == 1 || destroys, DestroyOnDeletion: destroys, Abandoned: abandoned, Destroy: w.deletion == 3,
		Auto: w.mode == 1, PlanOnly: w.mode == 2 || w.mode == 3, Force: w.mode == 3, AutoSafe: w.mode == 4, Disabled: w.mode == 5,
		MayHaveResources: w.resources == 1, Requested: w.requested == 1,
		Target: "here", Planned: targets[w.planned],
		PlanIn: time.Duration(1-int(w.due)) * time.Hour, RetryIn: time.Duration(1-int(w.retry)) * time.Minute,
		Destroyed: destroys && w.applied == 1,
		Run:       Run{State: r.run, Operation: r.op, Target: "here", Destroy: destroys && !r.other, Cancelled: r.cancelled, Unloved: r.unloved, HandedOver: r.handed},
		Pod:       Pod{State: r.pod, OfRun: r.ofRun, Overdue: r.overdue}, KeepPod: r.kept,
	}
	if r.other {
		f.Run.Target = "other"
	}
	if f.Run.Session = r.session; r.session && r.run == RunClaimed && r.pod == PodRunning {
		f.Run.Door = "come in"
	}
	if r.glass {
		f.Glass = GlassBroken
	}
	if r.stuck {
		f.Pod.Stuck = "no such image"
	}
	w.block(&f)
	w.planAndLast(&f)
	return f
}

func (w world) block(f *Facts) {
	switch w.blocker {
	case 1:
		f.Suspended = true
	case 2:
		f.Unsupported = "HelmChart"
	case 3:
		f.InvalidApprove = "what?"
	case 4:
		f.Dependency = Dependency{State: DependencyWaits}
	case 5:
		f.Dependants = "a, b"
	case 6:
		f.Exhausted = true
	case 7:
		f.Queue.Full = true
	case 8:
		f.Source.State, f.Target = SourceMissing, ""
	case 9:
		f.Source.State, f.Kept = SourceMissing, true
	}
}

func (w world) planAndLast(f *Facts) {
	switch w.plan {
	case 0:
	case 1, 2:
		f.Plan = Plan{ID: "plan-1", Target: "other", Approved: w.plan == 2}
	case 3:
		f.Plan = Plan{ID: "plan-2", Target: "here", Approved: true, Safe: true, Rejected: true}
	default:
		f.Plan = Plan{ID: "plan-2", Target: "here", Approved: w.plan == approvedPlan || w.plan == approvedDrift || w.plan >= unaskedPlan,
			Drift: w.plan == driftPlan || w.plan == approvedDrift, Safe: w.plan == safePlan, Volatile: w.plan == volatilePlan}
		switch w.plan {
		case protectedPlan:
			f.Plan.Protected = "a.b"
		case unaskedPlan:
			f.Plan.Gate = GateUnasked
		case shutPlan:
			f.Plan.Gate, f.Plan.AskIn = GateShut, f.RetryIn
		}
	}
	switch w.last {
	case 2:
		f.Last = Last{Operation: OpApply, Target: "here"}
	case 3, 4:
		f.Last = Last{Failed: true, Operation: Operation(w.last - 3), Target: "here"}
	case 5:
		f.Last = Last{Failed: true, Target: "other"}
	case 6:
		f.Last = Last{Failed: true, Unhealthy: true, Target: "here", Reason: v1alpha2.ReasonHealthChecksFailed}
	case 7, 8:
		f.Last = Last{Session: true, Failed: w.last == 8, Target: "here"}
	}
}

// targetOfPlan is, for each value of plan, the value that planned has then; 0: any.
var targetOfPlan = [...]uint8{0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}

// meet has, for each value of deletion, the blockers that are walked with it: those that the rules look at then.
var meet = [...]string{"01234678", "012358", "01235789", "08", "0158"}

// legal says whether the status can hold this combination at all, and whether its parts have to do with each other.
func (w world) legal() bool {
	of := targetOfPlan[w.plan]
	if w.sessions() && !w.minds() {
		return false
	}
	if w.last == 6 && (w.planned != 2 || w.plan != 0) {
		return false // what is unhealthy has been planned, and nothing is left to apply
	}
	return (of == 0 || of == w.planned) && strings.IndexByte(meet[w.deletion], '0'+w.blocker) >= 0
}

// after gives the worlds that may come of a decision.
func (w world) after(d *Decision) []world {
	r := runPods[w.runPod]
	with := func(n runPod) world { v := w; v.runPod = indexOfRunPod(n); return v }
	switch d.Action {
	case Rest:
		return w.rested(r)
	case Reserve: // or: a pod that waits has had enough
		all := []world{with(runPod{run: RunReserved, glass: r.glass})}
		if r.pod == PodWaiting {
			all = []world{with(runPod{run: RunReserved, pod: r.pod, kept: r.kept, glass: r.glass}), with(runPod{run: RunReserved, pod: PodEnded, glass: r.glass})}
		}
		return all
	case Start: // or: the controller dies between run and pod, or another pod is still there
		if d.Order.Session {
			return w.entered(r)
		}
		return w.started(r.pod, d.Order.Operation)
	case StartPod:
		r.pod, r.ofRun = PodPending, true
		return []world{with(r)}
	case CancelRun:
		r.cancelled = true
		return []world{with(r)}
	case AbandonRun, MarkLost:
		return []world{w.finished(r)}
	case Withdraw:
		return []world{with(runPod{run: RunOrdered, op: OpPlan, cancelled: true})}
	case Drop:
		panic("no rule drops a reservation")
	case DeletePod:
		r.pod, r.ofRun, r.stuck, r.overdue, r.kept = PodNone, false, false, false, false
		return []world{with(r)}
	case AskWebhooks:
		allowed, denied := w, w
		allowed.plan, denied.plan, denied.retry = approvedPlan, shutPlan, 0
		return []world{allowed, denied}
	case AddFinalizer, CleanFinalizers, RemoveFinalizer:
		return nil
	}
	panic("no such action")
}

// rested: what is under way goes on, and a pod does not wait for ever.
func (w world) rested(r runPod) []world {
	switch {
	case r.run == RunOrdered || r.run == RunClaimed:
		return w.progress(r)
	case r.pod == PodWaiting:
		w.runPod = indexOfRunPod(runPod{run: r.run, pod: PodEnded, glass: r.glass})
		return []world{w}
	}
	return nil
}

// started is the run with a pod of its own, with the pod of the plan, or with one that is still in the way.
func (w world) started(pod PodState, op Operation) []world {
	with := func(n runPod) world { v := w; v.runPod = indexOfRunPod(n); return v }
	n := runPod{run: RunOrdered, op: op}
	foreign := n
	foreign.pod = PodRunning
	fresh, adopted := foreign, foreign
	adopted.handed = true
	fresh.pod, fresh.ofRun, adopted.ofRun = PodPending, true, true
	switch pod {
	case PodNone:
		return []world{with(fresh), with(n)}
	case PodWaiting:
		if op == OpApply {
			return []world{with(adopted), with(foreign)}
		}
	default:
	}
	return []world{with(foreign)}
}

// progress is what runner and kubelet do while the controller rests.
func (w world) progress(r runPod) []world {
	with := func(n runPod) world { v := w; v.runPod = indexOfRunPod(n); return v }
	switch {
	case !r.ofRun || r.stuck:
		return nil
	case r.pod == PodPending && r.run == RunOrdered:
		stuck, claimed := r, r
		stuck.stuck = true
		claimed.pod, claimed.run = PodRunning, RunClaimed
		return []world{with(stuck), with(claimed)}
	case r.overdue: // until it is proven what has become of it
		r.overdue, r.pod = false, PodEnded
		return []world{with(r)}
	case r.pod == PodRunning && r.run == RunOrdered: // or: it is the pod of the plan, which ends without a claim
		claimed, spent := r, r
		claimed.run = RunClaimed
		claimed.handed, spent.pod, spent.unloved = false, PodEnded, false
		return []world{with(claimed), with(spent)}
	case r.pod == PodRunning:
		died := r
		died.pod, died.unloved = PodEnded, false
		return append(w.succeeded(r), w.finished(r), with(died))
	}
	return nil
}

// finished without success: the run is settled, its pod may be left.
func (w world) finished(r runPod) world {
	w.runPod = indexOfRunPod(runPod{pod: r.pod, overdue: r.overdue, glass: r.glass})
	w.retry = 0
	if r.session { // that could not be opened
		w.last, w.requested = 8, 0
		return w
	}
	w.last = 5
	if !r.other {
		w.last = 3 + uint8(r.op)
	}
	if r.op == OpPlan {
		w.requested = 0 // a failed plan is an answer too
		return w
	}
	w.resources, w.plan = 1, 0
	return w
}

func (w world) succeeded(r runPod) []world {
	w.runPod = indexOfRunPod(runPod{pod: PodEnded})
	if r.session {
		w.last, w.requested = 7, 0
		return []world{w}
	}
	target, here := uint8(2), uint8(1)
	if r.other {
		target, here = 1, 0
	}
	w.last = 1 + uint8(r.op)
	if r.op == OpApply {
		w.plan, w.applied, w.resources = 0, here, 1
		return w.orUnhealthy(here)
	}
	refreshed := w.plan >= heldPlan
	w.planned, w.requested, w.due, w.plan = target, 0, 0, 0
	same, held := w, w
	same.applied = here
	if target == 1 {
		held.plan = 1
		return []world{same, held}
	}
	safe, covered, protected, unasked := held, held, held, held
	held.plan, safe.plan, covered.plan, protected.plan, unasked.plan = heldPlan, safePlan, approvedPlan, protectedPlan, unaskedPlan
	if w.applied == 1 {
		held.plan, covered.plan = driftPlan, approvedDrift
	}
	stored := []world{held, safe, covered, protected, unasked}
	if refreshed {
		again := held
		again.plan = volatilePlan
		stored = append(stored, again)
	}
	all := same.orUnhealthy(here)
	for _, v := range stored {
		waits, keeps := v, v
		waits.runPod = indexOfRunPod(runPod{pod: PodWaiting})
		keeps.runPod = indexOfRunPod(runPod{pod: PodWaiting, kept: true})
		all = append(all, v, waits, keeps)
	}
	return all
}

// orUnhealthy: all is done, and health checks succeed, or fail.
func (w world) orUnhealthy(here uint8) []world {
	unhealthy := w
	unhealthy.last, unhealthy.retry = 6, 0
	if here == 0 {
		unhealthy.last = 5
	}
	return []world{w, unhealthy}
}

const (
	unseen  = 0
	onPath  = 255
	maxPath = 40
)

// walker walks worlds; depth has, for each index, 1 + the longest way to rest from there.
type walker struct {
	t     *testing.T
	depth []uint8

	seen    int
	longest uint8
}

func (k *walker) walk(w world) uint8 {
	i := w.index()
	switch k.depth[i] {
	case unseen:
	case onPath:
		k.t.Errorf("the walk comes back to %+v", w.facts())
		return 1
	default:
		return k.depth[i]
	}
	k.depth[i] = onPath
	k.seen++
	f := w.facts()
	d := Next(f)
	for _, p := range properties {
		if !p.holds(&f, &d) {
			k.t.Fatalf("does not hold: %s\nfacts: %+v\ndecision: %v %+v", p.name, f, d.Action, d)
		}
	}
	longest := uint8(0)
	for _, v := range w.after(&d) {
		longest = max(longest, k.walk(v))
	}
	if longest >= maxPath {
		k.t.Fatalf("no rest within %d steps from %+v", maxPath, f)
	}
	k.depth[i] = longest + 1
	return k.depth[i]
}

// TestNext_EveryWorldComesToRest walks the worlds in parts that never meet.
func TestNext_EveryWorldComesToRest(t *testing.T) {
	compat.Shows(t, "weak.19")
	start, parts := time.Now(), 1
	for i := range fixed {
		parts *= base(i)
	}
	depth := make([]uint8, worlds())
	next := make(chan int)
	walkers := make([]walker, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range walkers {
		k := &walkers[i]
		*k = walker{t: t, depth: depth}
		wg.Go(func() {
			for part := range next {
				k.walkAll(part*len(depth)/parts, (part+1)*len(depth)/parts)
			}
		})
	}
	for part := range parts {
		next <- part
	}
	close(next)
	wg.Wait()
	total, longest := 0, uint8(0)
	for i := range walkers {
		total += walkers[i].seen
		longest = max(longest, walkers[i].longest)
	}
	t.Logf("figure: walked %d worlds in %.1f s; the longest way to rest has %d steps", total, time.Since(start).Seconds(), longest)
}

func (k *walker) walkAll(from, to int) {
	w := worldAt(from)
	for i := from; i < to && !k.t.Failed(); i++ {
		if w.legal() {
			k.longest = max(k.longest, k.walk(w))
		}
		w.next()
	}
}
