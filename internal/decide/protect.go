package decide

import (
	"slices"
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// maxProtected is the number of addresses that are named when a plan is held for them.
const maxProtected = 10

// notKnown stands for addresses that a plan's run does not tell.
const notKnown = "it is not known whether it does not"

// Protected names what a plan ends of what spec.approval.protect names, or moves to where that does not name it; "" when there
// is nothing. A plan that does not tell all that it ends, or is gone (nil), is held.
func Protected(protect []string, made *v1alpha2.RunPlan) string {
	if len(protect) == 0 {
		return ""
	}
	if made == nil {
		return notKnown
	}
	var ended []string
	for _, address := range made.Destructive {
		if slices.ContainsFunc(protect, func(entry string) bool { return covers(entry, address) }) {
			ended = append(ended, address)
		}
	}
	for _, m := range made.Moves {
		if slices.ContainsFunc(protect, func(entry string) bool { return covers(entry, m.From) && !covers(entry, m.To) }) {
			ended = append(ended, m.From+" (it would be "+m.To+")")
		}
	}
	switch {
	case len(ended) > 0:
		return strings.Join(ended[:min(len(ended), maxProtected)], ", ")
	case len(made.Destructive) >= v1alpha2.MaxDestructive, len(made.Moves) >= v1alpha2.MaxDestructive, !made.Safe && len(made.Destructive) == 0:
		return notKnown
	}
	return ""
}

// covers says whether an entry of spec.approval.protect names an address, or the module or resource that it is in. The
// address of a deposed object is followed by its key.
func covers(entry, address string) bool {
	if beginning, ok := strings.CutSuffix(entry, "*"); ok {
		return strings.HasPrefix(address, beginning)
	}
	rest, ok := strings.CutPrefix(address, entry)
	return ok && entry != "" && (rest == "" || strings.ContainsAny(rest[:1], ".[ "))
}
