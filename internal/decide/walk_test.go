package decide

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The walk: every combination of facts is a world. In each one Next is asked, the answer is carried out in a small model
// of the cluster (in every way that it can end), and the worlds that come of it are walked too, until nothing more
// happens by itself. At every step the properties below must hold, and no walk may come back to where it was.

// world is a combination of facts, each a small number, so that it has an index.
type world struct {
	deletion  uint8 // 0 no, 1 keep the resources, 2 destroy them
	suspended uint8
	blocker   uint8 // 0 none, 1 a field is not implemented, 2 approvePlan is invalid
	mode      uint8 // 0 manual, 1 auto, 2 plan only, 3 auto and plan only
	resources uint8 // may there be any
	requested uint8
	source    uint8 // 0 SourceReady; SourceMissing for all that is not: 1 without a keepsake, 2 with one
	planned   uint8 // 0 never, 1 for another target, 2 for this one
	applied   uint8 // likewise
	plan      uint8 // 0 none, 1 of another target, 2 of this one; 3 of this one, approved; 4, 5 likewise, by drift; 6 of another target, approved
	last      uint8 // 0 none; 1 plan, 2 apply succeeded; 3 plan, 4 apply failed here; 5 failed at another target
	due       uint8 // the interval has passed
	retry     uint8 // the next try is due
	runPod    uint8 // index into runPods
}

var radix = [...]int{3, 2, 3, 4, 2, 2, 3, 3, 3, 7, 6, 2, 2, 0}

// runPod is a combination of run and pod that can be met.
type runPod struct {
	run       RunState
	op        Operation
	other     bool // the run's target is another one
	cancelled bool
	pod       PodState
	ofRun     bool
	stuck     bool
}

var runPods = makeRunPods()

func makeRunPods() []runPod {
	var all []runPod
	for _, run := range []RunState{RunNone, RunReserved} {
		for _, pod := range []PodState{PodNone, PodPending, PodRunning, PodEnded} {
			all = append(all, runPod{run: run, pod: pod})
		}
	}
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
	return []*uint8{&w.deletion, &w.suspended, &w.blocker, &w.mode, &w.resources, &w.requested, &w.source, &w.planned,
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
	for i := len(digits) - 1; i >= 0; i-- {
		*digits[i] = uint8(n % base(i))
		n /= base(i)
	}
	return w
}

func worlds() int {
	n := 1
	for i := range radix {
		n *= base(i)
	}
	return n
}

var targets = [...]string{"", "other", "here"}

func (w world) facts() Facts {
	r := runPods[w.runPod]
	f := Facts{
		Finalizer: true, Deleting: w.deletion > 0, DestroyOnDeletion: w.deletion == 2, Suspended: w.suspended == 1,
		Auto: w.mode&1 != 0, PlanOnly: w.mode&2 != 0, MayHaveResources: w.resources == 1, Requested: w.requested == 1,
		Source: Source{State: SourceState(min(w.source, 1))}, Kept: w.source == 2, Target: "here", Planned: targets[w.planned], Applied: targets[w.applied],
		PlanIn: time.Duration(1-int(w.due)) * time.Hour, RetryIn: time.Duration(1-int(w.retry)) * time.Minute,
		Run: Run{State: r.run, Operation: r.op, Target: "here", Cancelled: r.cancelled}, Pod: Pod{State: r.pod, OfRun: r.ofRun},
	}
	if r.other {
		f.Run.Target = "other"
	}
	if r.stuck {
		f.Pod.Stuck = "no such image"
	}
	if f.Source.State != SourceReady && !f.FromKeepsake() {
		f.Target = ""
	}
	switch w.blocker {
	case 1:
		f.Unsupported = "spec.cloud"
	case 2:
		f.InvalidApprove = "what?"
	}
	w.planAndLast(&f)
	return f
}

func (w world) planAndLast(f *Facts) {
	switch w.plan {
	case 1, 6:
		f.Plan = Plan{ID: "plan-1", Target: "other", Approved: w.plan == 6}
	case 2, 3, 4, 5:
		f.Plan = Plan{ID: "plan-2", Target: "here", Approved: w.plan%2 == 1, Drift: w.plan >= 4}
	}
	switch w.last {
	case 2:
		f.Last = Last{Operation: OpApply, Target: "here"}
	case 3, 4:
		f.Last = Last{Failed: true, Operation: Operation(w.last - 3), Target: "here"}
	case 5:
		f.Last = Last{Failed: true, Target: "other"}
	}
}

// targetOfPlan is, for each value of plan, the value that planned has then; 0: any.
var targetOfPlan = [...]uint8{0, 1, 2, 2, 2, 2, 1}

// legal says whether the status can hold this combination at all.
func (w world) legal() bool {
	if w.source == 2 && w.deletion != 2 {
		return false // a keepsake is for a destroy; else it is as if there were none
	}
	of := targetOfPlan[w.plan]
	return of == 0 || of == w.planned
}

// after gives the worlds that may come of a decision.
func (w world) after(d Decision) []world {
	r := runPods[w.runPod]
	with := func(n runPod) world { v := w; v.runPod = indexOfRunPod(n); return v }
	switch d.Action {
	case Rest:
		if r.run == RunOrdered || r.run == RunClaimed {
			return w.progress(r)
		}
		return nil
	case Reserve:
		return []world{with(runPod{run: RunReserved})}
	case Start: // or: the controller dies between run and pod
		n := runPod{run: RunOrdered, op: d.Order.Operation, pod: PodPending, ofRun: true}
		return []world{with(n), with(runPod{run: RunOrdered, op: n.op})}
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
		r.pod, r.ofRun, r.stuck = PodNone, false, false
		return []world{with(r)}
	case AddFinalizer, RemoveFinalizer:
		return nil
	}
	panic("no such action")
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
	case r.pod == PodRunning && r.run == RunOrdered:
		r.run = RunClaimed
		return []world{with(r)}
	case r.pod == PodRunning:
		died := r
		died.pod = PodEnded
		return append(w.succeeded(r), w.finished(r), with(died))
	}
	return nil
}

// finished without success: the run is settled, its pod may be left.
func (w world) finished(r runPod) world {
	w.runPod = indexOfRunPod(runPod{pod: r.pod})
	w.retry = 0
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
	target := uint8(2)
	if r.other {
		target = 1
	}
	w.last = 1 + uint8(r.op)
	if r.op == OpApply {
		w.plan, w.applied, w.resources = 0, target, 1
		return []world{w}
	}
	w.planned, w.requested, w.due, w.plan = target, 0, 0, 0
	same, held := w, w
	same.applied = target
	held.plan = target
	if target == 2 && w.applied == 2 {
		held.plan = 4
	}
	return []world{same, held}
}

type property struct {
	name  string
	holds func(f Facts, d Decision) bool
}

func begins(d Decision) bool { return d.Action == Reserve || d.Action == Start }

func active(f Facts) bool { return f.Run.State == RunOrdered || f.Run.State == RunClaimed }

func implies(a, b bool) bool { return !a || b }

// properties that hold at every step, whatever the facts.
var properties = []property{
	{"an apply is of a stored plan, for the present target", func(f Facts, d Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply, f.Plan.ID != "" && f.Plan.Target == f.Target)
	}},
	{"an apply is approved: by mode, by a person, or by the deletion", func(f Facts, d Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply, f.Auto || f.Plan.Approved || f.Deleting && f.DestroyOnDeletion)
	}},
	{"plan only applies nothing but the destroy of a deletion", func(f Facts, d Decision) bool {
		return implies(begins(d) && d.Order.Operation == OpApply && f.PlanOnly, f.Deleting)
	}},
	{"nothing is destroyed that nobody asked for", func(f Facts, d Decision) bool {
		return implies(d.Order.Destroy, f.Deleting && f.DestroyOnDeletion && f.MayHaveResources)
	}},
	{"a deleted object begins nothing but a destroy", func(f Facts, d Decision) bool {
		return implies(begins(d) && f.Deleting, d.Order.Destroy)
	}},
	{"nothing begins while suspended", func(f Facts, d Decision) bool {
		return implies(f.Suspended, !begins(d) && d.Action != StartPod)
	}},
	{"nothing begins without an artifact, but a destroy from what was kept", func(f Facts, d Decision) bool {
		return implies(f.Source.State != SourceReady && begins(d), f.Kept && f.Deleting && d.Order.Destroy)
	}},
	{"nothing begins with a field that is not implemented, or an approvePlan that is not understood", func(f Facts, d Decision) bool {
		return implies(f.Unsupported != "" || f.InvalidApprove != "" && !f.Deleting, !begins(d))
	}},
	{"nothing begins while a run is active or its pod is left", func(f Facts, d Decision) bool {
		return implies(active(f) || f.Pod.State != PodNone, !begins(d))
	}},
	{"a run starts only after its reservation", func(f Facts, d Decision) bool {
		return (d.Action == Start) == (f.Run.State == RunReserved && begins(d))
	}},
	{"an apply that a runner has claimed is left to end", func(f Facts, d Decision) bool {
		return implies(f.Run.State == RunClaimed && f.Run.Operation == OpApply, d.Action != CancelRun && d.Action != AbandonRun)
	}},
	{"a run is cancelled once", func(f Facts, d Decision) bool {
		return implies(d.Action == CancelRun, active(f) && !f.Run.Cancelled)
	}},
	{"a run is given up only when no process works on it", func(f Facts, d Decision) bool {
		switch d.Action {
		case AbandonRun:
			return f.Run.State == RunOrdered && f.Pod.State != PodRunning
		case MarkLost:
			return f.Pod.State == PodEnded && f.Pod.OfRun
		}
		return true
	}},
	{"the pod of an active run stays", func(f Facts, d Decision) bool {
		return implies(d.Action == DeletePod && active(f), !f.Pod.OfRun)
	}},
	{"the finalizer goes when run and pod are gone and no resource is leaked", func(f Facts, d Decision) bool {
		kept := !f.DestroyOnDeletion || !f.MayHaveResources || f.Applied == f.Target && f.Target != ""
		return implies(d.Action == RemoveFinalizer, f.Deleting && !active(f) && f.Pod.State == PodNone && kept)
	}},
	{"a reservation is withdrawn only when there is one", func(f Facts, d Decision) bool {
		return implies(d.Action == Withdraw, f.Run.State == RunReserved) && d.Action != Drop
	}},
	{"nothing is said while only the world is looked at again", func(f Facts, d Decision) bool {
		return implies(d.Action == Reserve && f.Planned == f.Target, d.Ready.Status == Keep)
	}},
	{"Retrying and Stuck go with Ready False, and only they", func(_ Facts, d Decision) bool {
		return implies(d.Posture == Retrying || d.Posture == Stuck, d.Ready.Status == False) &&
			implies(d.Ready.Status == True, d.Posture == Resting) &&
			implies(d.Ready.Status == Unknown && d.Posture != Working, d.Ready.Reason == "TerraformPlannedWithChanges")
	}},
	{"an object that rests with a source and without a person's say looks again", func(f Facts, d Decision) bool {
		waits := d.Action == Rest && d.Posture == Resting && !f.Suspended && !active(f)
		return implies(waits, d.RequeueAfter > 0)
	}},
	{"a failure is not tried again before its time, unless somebody asks", func(f Facts, d Decision) bool {
		early := f.Last.Failed && f.Last.Target == f.Target && f.RetryIn > 0 && !f.Requested
		return implies(early, !begins(d))
	}},
	{"a plan that waits for a person is not applied", func(f Facts, d Decision) bool {
		return implies(!f.Auto && !f.Plan.Approved && !f.Deleting, d.Order.Operation != OpApply)
	}},
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
	seen  int
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
		if !p.holds(f, d) {
			k.t.Fatalf("does not hold: %s\nfacts: %+v\ndecision: %v %+v", p.name, f, d.Action, d)
		}
	}
	longest := uint8(0)
	for _, v := range w.after(d) {
		longest = max(longest, k.walk(v))
	}
	if longest >= maxPath {
		k.t.Fatalf("no rest within %d steps from %+v", maxPath, f)
	}
	k.depth[i] = longest + 1
	return k.depth[i]
}

// TestNext_EveryWorldComesToRest splits the worlds by their first fact, which no step changes.
func TestNext_EveryWorldComesToRest(t *testing.T) {
	start, total, longest := time.Now(), 0, uint8(0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	part := worlds() / base(0)
	depth := make([]uint8, worlds())
	for first := range base(0) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			k := walker{t: t, depth: depth}
			deepest := uint8(0)
			for i := first * part; i < (first+1)*part && !t.Failed(); i++ {
				if w := worldAt(i); w.legal() {
					deepest = max(deepest, k.walk(w))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total += k.seen
			longest = max(longest, deepest)
		})
	}
	wg.Wait()
	t.Logf("figure: walked %d worlds in %.1f s; the longest way to rest has %d steps", total, time.Since(start).Seconds(), longest)
}
