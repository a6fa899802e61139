package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

const (
	// grantAge is how long the cache may take to show a reservation.
	grantAge = 10 * time.Second
	// queueAge is the wait after which an object goes before all that wait for less, so that none starves.
	queueAge = 10 * time.Minute
	// queueLook is a second look, should an event have been lost.
	queueLook = 30 * time.Second
)

// grants are the places that this process has given away and that the cache may not show yet. The zero value is ready.
type grants struct {
	mu sync.Mutex
	at map[types.UID]time.Time
}

// take gives a place to an object, unless those that are active and those that were given away a moment ago fill all.
func (g *grants) take(uid types.UID, active map[types.UID]bool, limit int, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := len(active)
	for other, at := range g.at {
		switch {
		case active[other] || now.Sub(at) > grantAge:
			delete(g.at, other)
		case other != uid:
			taken++
		}
	}
	if taken >= limit {
		return false
	}
	if g.at == nil {
		g.at = map[types.UID]time.Time{}
	}
	g.at[uid] = now
	return true
}

// giveBack is for an object whose run has ended.
func (g *grants) giveBack(uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.at, uid)
}

// ticket of an object in the queue.
type ticket struct {
	uid       types.UID
	namespace string
	name      string
	class     infrav1.QueueClass
	since     time.Time
	round     int
}

// observeQueue asks for a place only when a run would begin. What others do is known from the cache; two objects that
// ask at the same time come to the same order. A run whose pod does not start, or whose runner is out of reach, has no
// place: it would keep it for ever. When it goes on after all, there is one more than the limit for a while. A session waits for its
// turn, and takes no place.
func (r *TerraformReconciler) observeQueue(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	d := decide.Next(o.facts)
	if r.ConcurrentRuns <= 0 || d.Action != decide.Reserve {
		return nil
	}
	var list infrav1.TerraformList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the objects with runs: %w", err)
	}
	own := ticket{uid: tf.UID, namespace: tf.Namespace, name: tf.Name, class: d.Order.Class(), since: o.now}
	if place := tf.Status.Queue; place != nil {
		own.since = place.Since.Time
	}
	active, line := places(list.Items, tf.UID)
	line = order(append(line, own), perNamespace(list.Items, active), o.now)
	ahead := slices.IndexFunc(line, func(t ticket) bool { return t.uid == own.uid })
	full := ahead >= r.ConcurrentRuns-len(active) || !d.Order.Session && !r.grants.take(tf.UID, active, r.ConcurrentRuns, o.now)
	o.facts.Queue = decide.Queue{Full: full, Since: own.since.UTC().Format(time.RFC3339)}
	o.queue = &infrav1.QueuePlace{Class: own.class, Since: metav1.NewTime(own.since)}
	return nil
}

// places are the objects that have one, and the line of those that wait, without the object itself.
func places(all []infrav1.Terraform, self types.UID) (active map[types.UID]bool, line []ticket) {
	active = map[types.UID]bool{}
	for i := range all {
		tf := &all[i]
		switch {
		case tf.UID == self:
		case tf.Status.ActiveRun != nil:
			if hasPlace(tf) {
				active[tf.UID] = true
			}
		case tf.Status.Queue != nil:
			line = append(line, ticket{uid: tf.UID, namespace: tf.Namespace, name: tf.Name,
				class: tf.Status.Queue.Class, since: tf.Status.Queue.Since.Time})
		}
	}
	return active, line
}

func perNamespace(all []infrav1.Terraform, active map[types.UID]bool) map[string]int {
	count := map[string]int{}
	for i := range all {
		if active[all[i].UID] {
			count[all[i].Namespace]++
		}
	}
	return count
}

// order puts the line in order: those that have waited too long, then by class; within a class the namespaces take
// turns, one with few runs before one with many; within a namespace whoever waits longest.
func order(line []ticket, running map[string]int, now time.Time) []ticket {
	urgency := []infrav1.QueueClass{infrav1.QueueApproved, infrav1.QueueTarget, infrav1.QueueRetry, infrav1.QueueDrift}
	rank := func(t ticket) int {
		if now.Sub(t.since) > queueAge {
			return -1
		}
		return slices.Index(urgency, t.class)
	}
	slices.SortFunc(line, func(a, b ticket) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.since.Compare(b.since), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	for i := range line {
		if rank(line[i]) >= 0 {
			line[i].round = running[line[i].namespace]
			running[line[i].namespace]++
		}
	}
	slices.SortStableFunc(line, func(a, b ticket) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.round, b.round))
	})
	return line
}

// placeFreed: a run has ended, has got into trouble, or an object has left the queue without a run.
func placeFreed(was, is *infrav1.Terraform) bool {
	left := was.Status.Queue != nil && is.Status.Queue == nil
	return (hasPlace(was) || left) && !hasPlace(is)
}

// hasPlace: a run is active, other than a session: that lasts as long as a person likes.
func hasPlace(tf *infrav1.Terraform) bool {
	active := tf.Status.ActiveRun
	return active != nil && !active.Session && !troubled(tf)
}

// wakeQueued wakes those that are next in the queue.
func (r *TerraformReconciler) wakeQueued(ctx context.Context, q requestQueue) {
	if r.ConcurrentRuns <= 0 {
		return
	}
	var list infrav1.TerraformList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "wake the queue")
		return
	}
	active, line := places(list.Items, "")
	line = order(line, perNamespace(list.Items, active), r.Clock())
	free := min(len(line), max(r.ConcurrentRuns-len(active), 0))
	for _, t := range line[:free] {
		q.Add(ctrl.Request{NamespacedName: client.ObjectKey{Namespace: t.namespace, Name: t.name}})
	}
}

// setQueue keeps the place of an object while it waits, and says so in Reconciling.
func setQueue(tf *infrav1.Terraform, o *observation, d decide.Decision) {
	if d.Posture != decide.Queued {
		tf.Status.Queue = nil
		return
	}
	tf.Status.Queue = o.queue
	conditions.Delete(tf, meta.StalledCondition)
	setCondition(tf, meta.ReconcilingCondition, metav1.ConditionTrue, infrav1.ReasonQueued, d.Progress, o.now)
}
