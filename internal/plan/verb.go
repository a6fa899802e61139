package plan

import tfjson "github.com/hashicorp/terraform-json"

// verb is what a list of actions amounts to.
type verb int

const (
	// verbUnknown is a list of actions that this version does not know, an empty one too.
	verbUnknown verb = iota
	verbNone
	verbRead
	verbCreate
	verbUpdate
	// verbReplace destroys first, verbCreateFirst creates first.
	verbReplace
	verbCreateFirst
	verbDestroy
	verbForget
	// verbForgetCreate replaces an object and leaves the old one alive outside the state (lifecycle.destroy = false).
	verbForgetCreate
)

func verbOf(a tfjson.Actions) verb {
	switch {
	case a.DestroyBeforeCreate():
		return verbReplace
	case a.CreateBeforeDestroy():
		return verbCreateFirst
	case len(a) == 1:
		return singleVerb(a[0])
	case len(a) == 2 && (a[0] == tfjson.ActionForget && a[1] == tfjson.ActionCreate ||
		a[0] == tfjson.ActionCreate && a[1] == tfjson.ActionForget):
		return verbForgetCreate
	default:
		return verbUnknown
	}
}

func singleVerb(a tfjson.Action) verb {
	switch a {
	case tfjson.ActionNoop:
		return verbNone
	case tfjson.ActionRead:
		return verbRead
	case tfjson.ActionCreate:
		return verbCreate
	case tfjson.ActionUpdate:
		return verbUpdate
	case tfjson.ActionDelete:
		return verbDestroy
	case tfjson.ActionForget:
		return verbForget
	default:
		return verbUnknown
	}
}

// sign is the mark that stands before a change in a rendered plan.
func (v verb) sign() string {
	switch v {
	case verbCreate:
		return "+"
	case verbUpdate:
		return "~"
	case verbReplace:
		return "-/+"
	case verbCreateFirst:
		return "+/-"
	case verbDestroy:
		return "-"
	case verbForget:
		return "."
	case verbForgetCreate:
		return "./+"
	case verbRead:
		return "<="
	case verbNone:
		return "="
	case verbUnknown:
		return "?"
	}
	return "?"
}

// endsObject says that an object ends or leaves the state, so that what it was belongs to the change. An unknown
// list of actions is taken for such a one.
func (v verb) endsObject() bool {
	switch v {
	case verbNone, verbRead, verbCreate, verbUpdate:
		return false
	case verbReplace, verbCreateFirst, verbDestroy, verbForget, verbForgetCreate, verbUnknown:
		return true
	}
	return true
}
