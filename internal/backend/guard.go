package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Trouble is what is wrong with a state that the guard refuses.
type Trouble string

const (
	// Gone: there is no state.
	Gone Trouble = "gone"
	// Other: the state has another lineage.
	Other Trouble = "other"
	// Older: the state has a lower serial.
	Older Trouble = "older"
	// Collapsed: the state is a later one, and most of its resources are not in it any more.
	Collapsed Trouble = "collapsed"
)

const tokenDigits = 8

// GuardError is a state that is not the one the last run left, nor a later version of it that can be believed.
type GuardError struct {
	// Trouble with it.
	Trouble Trouble
	// Recorded is what the last run left.
	Recorded v1alpha2.StateStatus
	// Found is what is there now; nil: nothing.
	Found *v1alpha2.StateStatus
}

// Error says what is wrong, with the evidence.
func (e *GuardError) Error() string {
	recorded := fmt.Sprintf("the last run left lineage %s, serial %d, %d resources", e.Recorded.Lineage, e.Recorded.Serial, e.Recorded.Resources)
	switch e.Trouble {
	case Gone:
		return "the state is gone: " + recorded
	case Other:
		return fmt.Sprintf("the state is another one: %s; now there is lineage %q, serial %d, %d resources", recorded, e.Found.Lineage, e.Found.Serial, e.Found.Resources)
	case Older:
		return fmt.Sprintf("the state is older than it was: %s; now there is serial %d, %d resources", recorded, e.Found.Serial, e.Found.Resources)
	case Collapsed:
	}
	return fmt.Sprintf("the state has collapsed, and not by a run of this object: %s, %d bytes; now there is serial %d, %d resources, %d bytes",
		recorded, e.Recorded.Size, e.Found.Serial, e.Found.Resources, e.Found.Size)
}

// Token names this trouble and no other: <trouble>-<8 hex digits> of all that was expected and found. Who overrides the
// guard gives it back, so that what was once agreed to covers nothing that happens later.
func (e *GuardError) Token() string {
	found := v1alpha2.StateStatus{}
	if e.Found != nil {
		found = *e.Found
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%+v\n%+v", e.Trouble, e.Recorded, found))
	return string(e.Trouble) + "-" + hex.EncodeToString(sum[:])[:tokenDigits]
}

// Guard compares the state with the recorded one, before the engine starts (init would make a new, empty state where
// one is gone). recorded nil, or without lineage, accepts everything; otherwise the state has to be there, with the
// same lineage, no lower serial, and not collapsed, or Guard returns a *GuardError. Both have to be of the same backend
// and workspace.
func Guard(recorded, found *v1alpha2.StateStatus) error {
	if recorded == nil || recorded.Lineage == "" {
		return nil
	}
	var trouble Trouble
	switch {
	case found == nil:
		trouble = Gone
	case found.Lineage != recorded.Lineage:
		trouble = Other
	case found.Serial < recorded.Serial:
		trouble = Older
	case collapsed(recorded, found):
		trouble = Collapsed
	default:
		return nil
	}
	return &GuardError{Trouble: trouble, Recorded: *recorded, Found: found}
}

// collapsed: resources were recorded and none is left, or less than half of them in less than half of the bytes. A
// destroy of ours does not look like that: each run records the state as it leaves it, and when a run that may have
// written the state can't say how it left it, the record has neither resources nor size. An encrypted state does not
// tell its resources, but is no smaller than before.
func collapsed(recorded, found *v1alpha2.StateStatus) bool {
	switch {
	case recorded.Resources == 0 || found.Size >= recorded.Size:
		return false
	case found.Resources == 0:
		return true
	}
	return 2*found.Resources < recorded.Resources && 2*found.Size < recorded.Size
}
