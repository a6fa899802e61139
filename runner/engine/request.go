package engine

import (
	"cmp"
	"fmt"

	"github.com/hashicorp/go-version"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Supported are the versions that this package can drive: 1.5 is the oldest Terraform it is meant for, OpenTofu
// begins with 1.6.
const Supported = ">= 1.5.0"

var supported = version.MustConstraints(version.NewConstraint(Supported))

// Request says which engine is wanted. The zero value is any that the runner image has.
type Request struct {
	// Name of the engine; "" is whichever is found, tofu before terraform.
	Name string
	// Version as a person wrote it; "" is any that is supported.
	Version string

	exact *version.Version
	rule  version.Constraints
}

// NewRequest reads spec.engine. The error names the field and what it may hold.
func NewRequest(spec *v1alpha2.EngineSpec) (Request, error) {
	if spec == nil {
		return Request{}, nil
	}
	r := Request{Name: cmp.Or(spec.Name, Tofu), Version: spec.Version}
	if spec.Version == "" {
		return r, nil
	}
	if v, err := version.NewSemver(spec.Version); err == nil {
		r.exact = v
		if !supported.Check(v.Core()) {
			return Request{}, fmt.Errorf("spec.engine.version: %s %s can't be driven by this controller, %s can", r.Name, spec.Version, Supported)
		}
		return r, nil
	}
	rule, err := version.NewConstraint(spec.Version)
	if err != nil {
		return Request{}, fmt.Errorf("spec.engine.version: %q is neither a version, like 1.12.6, nor a constraint, like ~> 1.12.0", spec.Version)
	}
	r.rule = rule
	return r, nil
}

// Exactly asks for the one engine that has made a plan.
func Exactly(engine v1alpha2.EngineIdentity) (Request, error) {
	return NewRequest(&v1alpha2.EngineSpec{Name: engine.Name, Version: engine.Version})
}

// ofImage: the engine of the image is taken as it is.
func (r Request) ofImage() bool { return r.Name == "" }

// names are the engines that answer to it, the better first.
func (r Request) names() []string {
	if r.ofImage() {
		return []string{Tofu, Terraform}
	}
	return []string{r.Name}
}

// allows says whether a version is one of those that are wanted. A pre-release is wanted when it is named; where nothing is named
// it counts as the version that it precedes.
func (r Request) allows(v *version.Version) bool {
	switch {
	case !supported.Check(v.Core()):
		return false
	case r.exact != nil:
		return v.Equal(r.exact)
	case r.rule != nil:
		return r.rule.Check(v)
	default:
		return true
	}
}

// String is the request for a message.
func (r Request) String() string {
	if r.Version == "" {
		return r.Name + " " + Supported
	}
	return r.Name + " " + r.Version
}
