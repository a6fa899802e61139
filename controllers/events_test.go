package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/fluxcd/pkg/runtime/events"
	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const eventWait = 5 * time.Second

// gatedRecorder takes an event when its gate lets it, as a slow notification-controller does.
type gatedRecorder struct {
	record.EventRecorder
	gate chan struct{}
	mu   sync.Mutex
	seen []string
}

func (r *gatedRecorder) AnnotatedEventf(
	_ runtime.Object, _ map[string]string, _, _, format string, args ...any,
) {
	<-r.gate
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

func (r *gatedRecorder) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.seen...)
}

type queueFixture struct {
	*EventQueue
	remote *gatedRecorder
	direct *record.FakeRecorder
	stop   func()
	ended  chan struct{}
}

func startQueue(t *testing.T, length int, drain time.Duration) *queueFixture {
	t.Helper()
	f := &queueFixture{
		remote: &gatedRecorder{gate: make(chan struct{})},
		direct: record.NewFakeRecorder(100),
		ended:  make(chan struct{}),
	}
	f.EventQueue = NewEventQueue(EventQueueOptions{
		Direct: f.direct, Remote: f.remote, Scheme: eventScheme(t), Length: length, DrainLimit: drain,
		Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	go func() {
		defer close(f.ended)
		_ = f.Start(ctx)
	}()
	t.Cleanup(cancel)
	return f
}

func eventScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(infrav1.AddToScheme(scheme)).To(Succeed())
	return scheme
}

func (q *EventQueue) droppedCount(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	NewWithT(t).Expect(q.dropped.Write(&m)).To(Succeed())
	return m.GetCounter().GetValue()
}

func eventObject() *infrav1.Terraform {
	return &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{
		Namespace: "infra", Name: "networking", UID: "u1",
		Annotations: map[string]string{eventv1.Group + "/cluster": "prod"},
	}}
}

func TestEventQueue_NeverWaitsAndDropsTheOldest(t *testing.T) {
	compat.Shows(t, "flag.--events-addr")
	g := NewWithT(t)
	q := startQueue(t, 3, eventWait)
	q.Eventf(eventObject(), corev1.EventTypeNormal, "Planned", "event %d", 0)
	g.Eventually(func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.items) }, eventWait).
		Should(BeZero(), "event 0 is being sent")
	for i := 1; i <= 8; i++ {
		q.Eventf(eventObject(), corev1.EventTypeNormal, "Planned", "event %d", i)
	}
	g.Expect(q.droppedCount(t)).To(Equal(5.0))
	g.Expect(q.direct.Events).To(HaveLen(9), "Kubernetes events do not wait for notification-controller")
	close(q.remote.gate)
	g.Eventually(q.remote.messages, eventWait).Should(Equal([]string{"event 0", "event 6", "event 7", "event 8"}))
}

func TestEventQueue_SendsWhatIsLeftWhenItIsStopped(t *testing.T) {
	g := NewWithT(t)
	q := startQueue(t, 10, eventWait)
	for i := range 4 {
		q.Event(eventObject(), corev1.EventTypeNormal, "Planned", fmt.Sprint(i))
	}
	q.stop()
	close(q.remote.gate)
	g.Eventually(q.ended, eventWait).Should(BeClosed())
	g.Expect(q.remote.messages()).To(Equal([]string{"0", "1", "2", "3"}))
	g.Expect(q.droppedCount(t)).To(BeZero())
}

func TestEventQueue_StopsWithinItsLimit(t *testing.T) {
	g := NewWithT(t)
	q := startQueue(t, 10, 50*time.Millisecond)
	for range 4 {
		q.Event(eventObject(), corev1.EventTypeNormal, "Planned", "x")
	}
	g.Eventually(func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.items) }, eventWait).Should(Equal(3))
	q.stop()
	g.Eventually(q.ended, eventWait).Should(BeClosed())
	g.Expect(q.droppedCount(t)).To(Equal(3.0))
	close(q.remote.gate)
}

func TestEventQueue_TellsNotificationControllerAllItNeeds(t *testing.T) {
	compat.Shows(t, "event.reportingController", "use.receivers-and-alerts")
	g := NewWithT(t)
	bodies := make(chan eventv1.Event, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e eventv1.Event
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &e)
		bodies <- e
	}))
	t.Cleanup(server.Close)
	remote, err := events.NewRecorderForScheme(
		eventScheme(t), &record.FakeRecorder{}, testr.New(t), server.URL, ControllerName)
	g.Expect(err).NotTo(HaveOccurred())
	q := NewEventQueue(EventQueueOptions{
		Direct: &record.FakeRecorder{}, Remote: remote, Scheme: eventScheme(t), Length: 10, DrainLimit: eventWait,
		Registerer: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = q.Start(ctx) }()

	obj := eventObject()
	meta := map[string]string{eventv1.Group + "/revision": "main@sha1:0123"}
	q.AnnotatedEventf(obj, meta, corev1.EventTypeWarning, infrav1.ReasonTFExecPlanFailed, "%d%%", 100)
	obj.Name = "changed by its owner"
	meta["later"] = "x"

	var got eventv1.Event
	g.Eventually(bodies, eventWait).Should(Receive(&got))
	g.Expect(got.InvolvedObject.Kind).To(Equal("Terraform"))
	g.Expect(got.InvolvedObject.APIVersion).To(Equal(infrav1.GroupVersion.String()))
	g.Expect(got.InvolvedObject.Namespace + "/" + got.InvolvedObject.Name).To(Equal("infra/networking"))
	g.Expect(got.Message).To(Equal("100%"))
	g.Expect(got.Reason).To(Equal(infrav1.ReasonTFExecPlanFailed))
	g.Expect(got.Severity).To(Equal(eventv1.EventSeverityError))
	g.Expect(got.ReportingController).To(Equal("tf-controller"))
	g.Expect(got.Metadata).To(Equal(map[string]string{
		eventv1.Group + "/revision": "main@sha1:0123", eventv1.Group + "/cluster": "prod",
	}))
}
