package engine

import (
	"slices"
	"sync"
)

// Progress follows an apply by its events, so that it can be said what has happened when it is stopped. Its addresses are as they
// are, unlike those of Event: two of them may be one when what is secret in them is hidden.
type Progress struct {
	mu      sync.Mutex
	order   []string
	objects map[string]*object
}

type object struct {
	// steps are how many actions the plan has for the object; a replacement has two.
	steps          int
	started, ended int
	failed         bool
}

// Observe takes in an event of the apply.
func (p *Progress) Observe(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Type {
	case EventPlannedChange:
		p.plan(e)
	case EventApplyStart:
		p.object(e.Address).started++
	case EventApplyComplete:
		p.object(e.Address).ended++
	case EventApplyErrored:
		o := p.object(e.Address)
		o.ended++
		o.failed = true
	default:
	}
}

func (p *Progress) plan(e Event) {
	switch e.Action {
	case "noop", "read":
	case "replace":
		p.object(e.Address).steps = 2
	default:
		p.object(e.Address)
	}
}

func (p *Progress) object(address string) *object {
	if o, ok := p.objects[address]; ok {
		return o
	}
	if p.objects == nil {
		p.objects = map[string]*object{}
	}
	o := &object{steps: 1}
	p.objects[address] = o
	p.order = append(p.order, address)
	return o
}

// Started says that the engine has begun to change something.
func (p *Progress) Started() bool {
	return len(p.list(func(o object) bool { return o.started > 0 })) > 0
}

// Done are the addresses of the objects that are as planned, sorted.
func (p *Progress) Done() []string {
	return p.list(func(o object) bool { return !o.failed && o.ended >= o.steps })
}

// InFlight are those that were begun and not ended, as far as the engine has said; of a replacement also when one half
// is done. The engine may have ended them after its last word.
func (p *Progress) InFlight() []string {
	return p.list(func(o object) bool { return !o.failed && o.started > 0 && o.ended < o.steps })
}

// Failed are those that the engine could not change as planned.
func (p *Progress) Failed() []string {
	return p.list(func(o object) bool { return o.failed })
}

// NotStarted are those that were planned and not begun.
func (p *Progress) NotStarted() []string {
	return p.list(func(o object) bool { return o.started == 0 })
}

func (p *Progress) list(which func(object) bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, address := range p.order {
		if which(*p.objects[address]) {
			found = append(found, address)
		}
	}
	slices.Sort(found)
	return found
}
