package decide

import "github.com/terraform-controller/terraform-controller/api/v1alpha2"

// DependencyState is what is known of the objects that this one depends on.
type DependencyState int

const (
	// DependenciesReady: none is in the way.
	DependenciesReady DependencyState = iota
	// DependencyWaits: one is not ready yet; its watch wakes this object.
	DependencyWaits
	// DependencyDenied: one is in a namespace that may not be used.
	DependencyDenied
	// DependencyInvalid: the expression that says when one is ready can't be used.
	DependencyInvalid
	// DependencyCycle: this object depends on itself, by way of others.
	DependencyCycle
)

// Dependency is the first of the objects in spec.dependsOn that is in the way.
type Dependency struct {
	State DependencyState
	// Message says what is wrong, naming the dependency.
	Message string
}

// reasonInvalidCEL is Flux's reason (fluxcd/pkg apis/meta) for an expression that can't be used.
const reasonInvalidCEL = "InvalidCELExpression"

// due says that a run would begin if nothing else was in the way.
func due(f *Facts) bool { return mayApply(f) || planDue(f) }

// dependantsLeft: the objects that depend on this one have to go first, whatever becomes of the resources.
func dependantsLeft(f *Facts) bool { return f.Deleting && f.Dependants != "" }

func dependencyWrong(f *Facts) bool {
	switch f.Dependency.State {
	case DependencyDenied, DependencyInvalid, DependencyCycle:
		return !f.Deleting
	case DependenciesReady, DependencyWaits:
	}
	return false
}

// dependencyWaits matters only when something is due: an object at rest is what it is, whatever becomes of the others.
func dependencyWaits(f *Facts) bool {
	return f.Dependency.State == DependencyWaits && !f.Deleting && due(f)
}

func waitForDependants(f *Facts) Decision {
	return Decision{Posture: Retrying, Progress: "waiting for dependants to go", Ready: Ready{False, v1alpha2.ReasonDeletionBlocked,
		"Deletion in progress, but blocked. Please delete " + f.Dependants + " to resume ..."}}
}

func stallDependency(f *Facts) Decision {
	reason := v1alpha2.ReasonDependencyNotReady
	switch f.Dependency.State {
	case DependencyDenied:
		reason = v1alpha2.ReasonAccessDenied
	case DependencyInvalid:
		reason = reasonInvalidCEL
	case DependenciesReady, DependencyWaits, DependencyCycle:
	}
	return Decision{Posture: Stuck, Ready: Ready{False, reason, f.Dependency.Message}}
}

// waitForDependency needs no timer: the dependency's watch wakes the object. A ready object that was only to be looked
// at again stays ready: no answer has changed.
func waitForDependency(f *Facts) Decision {
	if f.Ready && f.Planned == f.Target && !f.Requested {
		return Decision{Posture: Resting}
	}
	return Decision{Posture: Retrying, Progress: "waiting for dependencies",
		Ready: Ready{False, v1alpha2.ReasonDependencyNotReady, f.Dependency.Message}}
}
