package decide

import (
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Queue is what is known of the runs of other objects. The zero value: there is a place.
type Queue struct {
	// Full: all places are taken, or others are to have the free ones first.
	Full bool
	// Since is when this object's run became due, for a person.
	Since string
}

// Class says how urgent a run is.
func (o Order) Class() v1alpha2.QueueClass {
	switch o.Reason {
	case ReasonApproved, ReasonDeletion, ReasonForced, ReasonBreakTheGlass:
		return v1alpha2.QueueApproved
	case ReasonRetry:
		return v1alpha2.QueueRetry
	case ReasonInterval:
		return v1alpha2.QueueDrift
	}
	return v1alpha2.QueueTarget
}

// enqueue makes a decision to begin a run one to wait for a place. Ready stays: waiting is no answer.
func enqueue(f *Facts, d Decision) Decision {
	if d.Action != Reserve || !f.Queue.Full {
		return d
	}
	return Decision{
		Action: Rest, Posture: Queued, Order: d.Order, Rule: "all places are taken",
		Progress: fmt.Sprintf("%s (%s) waits for other runs to end, since %s", d.Order.Reason, d.Order.Class(), f.Queue.Since),
	}
}
