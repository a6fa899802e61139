package backend

import (
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// GuardError is a state that is not the one the last run left, nor a later version of it.
type GuardError struct {
	// Recorded is what the last run left.
	Recorded v1alpha2.StateStatus
	// Found is what is there now; nil: nothing.
	Found *v1alpha2.StateStatus
}

// Error says what is wrong, with the evidence.
func (e *GuardError) Error() string {
	recorded := fmt.Sprintf("the last run left lineage %s, serial %d, %d resources", e.Recorded.Lineage, e.Recorded.Serial, e.Recorded.Resources)
	switch {
	case e.Found == nil:
		return "the state is gone: " + recorded
	case e.Found.Lineage != e.Recorded.Lineage:
		return fmt.Sprintf("the state is another one: %s; now there is lineage %q, serial %d, %d resources", recorded, e.Found.Lineage, e.Found.Serial, e.Found.Resources)
	}
	return fmt.Sprintf("the state is older than it was: %s; now there is serial %d, %d resources", recorded, e.Found.Serial, e.Found.Resources)
}

// Guard compares the state with the recorded one, before the engine starts (init would make a new, empty state where
// one is gone). recorded nil, or without lineage, accepts everything; otherwise the state has to be there, with the
// same lineage and no lower serial, or Guard returns a *GuardError. Both have to be of the same backend and workspace.
func Guard(recorded, found *v1alpha2.StateStatus) error {
	if recorded == nil || recorded.Lineage == "" {
		return nil
	}
	if found == nil || found.Lineage != recorded.Lineage || found.Serial < recorded.Serial {
		return &GuardError{Recorded: *recorded, Found: found}
	}
	return nil
}
