package controllers

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/fluxcd/pkg/runtime/events"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// ControllerName is what events name as their reporting controller.
const ControllerName = "tf-controller"

const (
	eventQueueLength = 1000
	eventDrainLimit  = 10 * time.Second
)

var (
	_ record.EventRecorder           = (*EventQueue)(nil)
	_ manager.LeaderElectionRunnable = (*EventQueue)(nil)
	_ manager.Runnable               = (*EventQueue)(nil)
)

// EventQueue is an event recorder that never waits. Kubernetes events go out at once (client-go's recorder has a
// buffer of its own); what goes to notification-controller, one blocking HTTP request each, waits in a bounded
// queue. When the queue is full its oldest event is dropped and counted.
type EventQueue struct {
	direct, remote record.EventRecorder
	scheme         *runtime.Scheme
	length         int
	drainLimit     time.Duration
	dropped        prometheus.Counter

	mu       sync.Mutex
	wake     *sync.Cond
	items    []*eventItem
	stopping bool
}

// EventQueueOptions are the parts of an EventQueue.
type EventQueueOptions struct {
	// Direct gets each event at once; it must not block.
	Direct record.EventRecorder
	// Remote gets each event in its turn, one at a time; it may block. Nil: nobody.
	Remote record.EventRecorder
	// Scheme knows the kinds of the objects.
	Scheme *runtime.Scheme
	// Length of the queue in events.
	Length int
	// DrainLimit is how long a stop waits for the queue to empty.
	DrainLimit time.Duration
	// Registerer of the metric terraform_controller_events_dropped_total.
	Registerer prometheus.Registerer
}

// eventItem is an event on its way, with no more of its object than an event needs.
type eventItem struct {
	object                     runtime.Object
	annotations                map[string]string
	eventtype, reason, message string
}

// NewEventRecorder makes the recorder of a manager and adds it to it, for events in the Kubernetes API and, where
// addr (notification-controller's URL) is not empty, there too.
func NewEventRecorder(mgr ctrl.Manager, log logr.Logger, addr string) (*EventQueue, error) {
	opts := EventQueueOptions{
		Scheme: mgr.GetScheme(), Length: eventQueueLength, DrainLimit: eventDrainLimit, Registerer: metrics.Registry,
	}
	direct, err := events.NewRecorder(mgr, log, "", ControllerName)
	if err != nil {
		return nil, fmt.Errorf("create the event recorder: %w", err)
	}
	opts.Direct = direct
	if addr != "" {
		remote, err := events.NewRecorder(mgr, log, addr, ControllerName)
		if err != nil {
			return nil, fmt.Errorf("create the event recorder for %s: %w", addr, err)
		}
		// The Kubernetes event is out already.
		remote.EventRecorder = &record.FakeRecorder{}
		opts.Remote = remote
	}
	queue := NewEventQueue(opts)
	return queue, mgr.Add(queue)
}

// NewEventQueue makes a queue. Nothing leaves it for opts.Remote before Start.
func NewEventQueue(opts EventQueueOptions) *EventQueue {
	q := &EventQueue{
		direct: opts.Direct, remote: opts.Remote, scheme: opts.Scheme,
		length: opts.Length, drainLimit: opts.DrainLimit,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terraform_controller_events_dropped_total",
			Help: "Events that were not sent to notification-controller, because it is slower than they come.",
		}),
	}
	q.wake = sync.NewCond(&q.mu)
	opts.Registerer.MustRegister(q.dropped)
	return q
}

// Event records an event.
func (q *EventQueue) Event(object runtime.Object, eventtype, reason, message string) {
	q.AnnotatedEventf(object, nil, eventtype, reason, "%s", message)
}

// Eventf records an event.
func (q *EventQueue) Eventf(object runtime.Object, eventtype, reason, messageFmt string, args ...any) {
	q.AnnotatedEventf(object, nil, eventtype, reason, messageFmt, args...)
}

// AnnotatedEventf records an event with metadata. It does not keep object.
func (q *EventQueue) AnnotatedEventf(
	object runtime.Object, annotations map[string]string, eventtype, reason, messageFmt string, args ...any,
) {
	q.direct.AnnotatedEventf(object, annotations, eventtype, reason, messageFmt, args...)
	if q.remote == nil {
		return
	}
	item := q.snapshot(object)
	item.annotations = maps.Clone(annotations)
	item.eventtype, item.reason = eventtype, reason
	item.message = fmt.Sprintf(messageFmt, args...)
	q.push(item)
}

// snapshot keeps kind and metadata: the object itself may be large, and its owner goes on to change it.
func (q *EventQueue) snapshot(object runtime.Object) *eventItem {
	obj, ok := object.(client.Object)
	if !ok {
		return &eventItem{object: object.DeepCopyObject()}
	}
	gvk, err := apiutil.GVKForObject(object, q.scheme)
	if err != nil {
		return &eventItem{object: object.DeepCopyObject()}
	}
	partial := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(), Annotations: maps.Clone(obj.GetAnnotations()),
	}}
	partial.SetGroupVersionKind(gvk)
	return &eventItem{object: partial}
}

func (q *EventQueue) push(item *eventItem) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, item)
	if len(q.items) > q.length {
		q.items = q.items[1:]
		q.dropped.Inc()
	}
	q.wake.Signal()
}

// next waits for an event; nil means that the queue is stopping and empty.
func (q *EventQueue) next() *eventItem {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.stopping {
		q.wake.Wait()
	}
	if len(q.items) == 0 {
		return nil
	}
	item := q.items[0]
	q.items = q.items[1:]
	return item
}

// NeedLeaderElection is false, so that the queue is stopped after the reconcilers that fill it.
func (q *EventQueue) NeedLeaderElection() bool { return false }

// Start sends events until ctx ends, and then what is left, as long as the drain limit allows. What is left after
// that is counted as dropped. It never fails: events are no reason to stop a controller.
func (q *EventQueue) Start(ctx context.Context) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for item := q.next(); item != nil; item = q.next() {
			q.remote.AnnotatedEventf(item.object, item.annotations, item.eventtype, item.reason, "%s", item.message)
		}
	}()
	<-ctx.Done()
	q.stop()
	select {
	case <-drained:
	case <-time.After(q.drainLimit):
		logf.FromContext(ctx).Info("events are left that notification-controller did not take in time",
			"events", q.abandon())
	}
	return nil
}

func (q *EventQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopping = true
	q.wake.Broadcast()
}

func (q *EventQueue) abandon() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := len(q.items)
	q.items = nil
	q.dropped.Add(float64(left))
	return left
}
