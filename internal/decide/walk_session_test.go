package decide

// The worlds of sessions, see walk_test.go.

// sessionPods are those of sessions that are active.
func sessionPods() []runPod {
	var all []runPod
	for i := range 8 {
		r := runPod{run: RunOrdered, session: true, glass: i&1 != 0, cancelled: i&2 != 0}
		if i&4 != 0 {
			r.run = RunClaimed
		}
		all = append(all, r)
		foreign := r
		foreign.pod = PodRunning
		all = append(all, foreign)
		if foreign.pod = PodEnded; r.run == RunOrdered {
			all = append(all, foreign)
		}
		r.ofRun = true
		for _, pod := range []PodState{PodPending, PodRunning, PodEnded} {
			r.pod = pod
			all = append(all, r)
		}
		stuck, silent, unloved := r, r, r
		stuck.pod, stuck.stuck = PodPending, true
		silent.pod, silent.overdue = PodRunning, true
		unloved.pod, unloved.unloved = PodRunning, true
		all = append(all, stuck, silent, unloved)
	}
	return all
}

// sessions are in it, or one has just been.
func (w world) sessions() bool {
	r := runPods[w.runPod]
	return r.session || r.glass || w.last >= 7
}

// minds says that the rules about sessions look at this world in a way of its own: the modes differ only in what an apply needs, and a
// plan in whether it could be applied.
func (w world) minds() bool {
	return w.mode <= 1 && w.due == 0 && w.applied == 0 && (w.plan == 0 || w.plan == 1 || w.plan == approvedPlan)
}

// entered is a session with a pod of its own, without one yet, or with one in the way.
func (w world) entered(r runPod) []world {
	with := func(n runPod) world { v := w; v.runPod = indexOfRunPod(n); return v }
	n := runPod{run: RunOrdered, session: true, glass: r.glass}
	fresh, foreign := n, n
	foreign.pod, fresh.pod, fresh.ofRun = PodRunning, PodPending, true
	if r.pod != PodNone {
		return []world{with(foreign)}
	}
	return []world{with(fresh), with(n)}
}
