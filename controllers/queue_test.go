package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

var queueNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func inLine(name string, class infrav1.QueueClass, ago time.Duration) ticket {
	namespace, _, _ := cutName(name)
	return ticket{uid: types.UID(name), namespace: namespace, name: name, class: class, since: queueNow.Add(-ago)}
}

func cutName(name string) (namespace, rest string, ok bool) { return name[:1], name[1:], true }

func names(line []ticket) (got []string) {
	for _, t := range line {
		got = append(got, t.name)
	}
	return got
}

func TestOrder_OfTheQueue(t *testing.T) {
	const approved, target, retry, drift = infrav1.QueueApproved, infrav1.QueueTarget, infrav1.QueueRetry, infrav1.QueueDrift
	cases := map[string]struct {
		reason  string
		line    []ticket
		running map[string]int
		want    []string
	}{
		"class": {
			reason: "what a person has approved comes before what a person waits for, and a look at the world last",
			line: []ticket{
				inLine("a1", drift, time.Minute), inLine("a2", retry, time.Minute),
				inLine("a3", target, time.Minute), inLine("a4", approved, time.Second),
			},
			want: []string{"a4", "a3", "a2", "a1"},
		},
		"first come": {
			reason: "of one class and namespace, who waits longest",
			line:   []ticket{inLine("a1", target, time.Second), inLine("a2", target, time.Minute)},
			want:   []string{"a2", "a1"},
		},
		"namespaces take turns": {
			reason: "a namespace with many objects does not keep others out",
			line: []ticket{
				inLine("a1", target, 5*time.Minute), inLine("a2", target, 4*time.Minute), inLine("a3", target, 3*time.Minute),
				inLine("b1", target, time.Second),
			},
			want: []string{"a1", "b1", "a2", "a3"},
		},
		"namespaces with runs come later": {
			reason:  "what a namespace has already counts",
			line:    []ticket{inLine("a1", target, time.Minute), inLine("b1", target, time.Second)},
			running: map[string]int{"a": 2},
			want:    []string{"b1", "a1"},
		},
		"nobody starves": {
			reason: "who has waited long enough goes first, whatever it is for",
			line:   []ticket{inLine("a1", approved, time.Minute), inLine("a2", drift, 11*time.Minute)},
			want:   []string{"a2", "a1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.running == nil {
				tc.running = map[string]int{}
			}
			NewWithT(t).Expect(names(order(tc.line, tc.running, queueNow))).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestPlaces_AreNotKeptByRunsThatCanNotGoOn(t *testing.T) {
	g := NewWithT(t)
	object := func(name string, change func(*infrav1.Terraform)) infrav1.Terraform {
		tf := infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name)}}
		change(&tf)
		return tf
	}
	active := func(tf *infrav1.Terraform) { tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "x"} }
	taken, line := places([]infrav1.Terraform{
		object("works", active),
		object("pending", func(tf *infrav1.Terraform) {
			active(tf)
			tf.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: infrav1.ReasonRunnerPending}}
		}),
		object("waits", func(tf *infrav1.Terraform) { tf.Status.Queue = &infrav1.QueuePlace{Class: infrav1.QueueDrift} }),
		object("session", func(tf *infrav1.Terraform) { tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "x", Session: true} }),
		object("rests", func(*infrav1.Terraform) {}),
		object("self", active),
	}, "self")
	g.Expect(taken).To(Equal(map[types.UID]bool{"works": true}))
	g.Expect(names(line)).To(Equal([]string{"waits"}))
}

func TestApplyDecision_SaysOfTheActiveRunWhetherItIsASession(t *testing.T) {
	g := NewWithT(t)
	tf, o := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "net"}}, &observation{now: queueNow}
	session := decide.Order{Operation: decide.OpPlan, Session: true}
	applyDecision(tf, o, decide.Decision{Action: decide.Reserve, Order: session})
	g.Expect(tf.Status.ActiveRun.Session).To(BeTrue())
	g.Expect(hasPlace(tf)).To(BeFalse())
	reserved := tf.DeepCopy()
	applyDecision(tf, o, decide.Decision{Action: decide.Start, Order: decide.Order{Operation: decide.OpPlan}})
	g.Expect(hasPlace(tf)).To(BeTrue(), "something else is wanted by now")
	waited := tf.DeepCopy()
	waited.Status.ActiveRun, waited.Status.Queue = nil, &infrav1.QueuePlace{}
	g.Expect(placeFreed(waited, reserved)).To(BeTrue(), "it was next, and leaves the place to others")
	g.Expect(placeFreed(waited, tf)).To(BeFalse())
}

func TestGrants_CountUntilTheCacheShowsThem(t *testing.T) {
	g := NewWithT(t)
	var given grants
	none := map[types.UID]bool{}
	g.Expect(given.take("a", none, 2, queueNow)).To(BeTrue())
	g.Expect(given.take("b", none, 2, queueNow)).To(BeTrue())
	g.Expect(given.take("c", none, 2, queueNow)).To(BeFalse(), "both places are given away")
	g.Expect(given.take("a", none, 2, queueNow)).To(BeTrue(), "a place is one's own")
	g.Expect(given.take("c", map[types.UID]bool{"a": true}, 2, queueNow)).To(BeFalse(), "one that the cache shows counts once")
	given.giveBack("b")
	g.Expect(given.take("c", map[types.UID]bool{"a": true}, 2, queueNow)).To(BeTrue())
	g.Expect(given.take("d", none, 2, queueNow.Add(time.Minute))).To(BeTrue(), "one that never came to anything is forgotten")
}
