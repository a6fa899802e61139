package runner

import (
	"context"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// choice is the engine that a run has to work with: that of the spec, and for an apply the one that has made its plan.
type choice struct {
	spec    *v1alpha2.EngineSpec
	planned *planstore.Plan
}

// find finds the engine. An apply of a plan that was made with a chosen engine looks for exactly that one, in all places; one
// without takes what the image has, which is then the plan's or not. That the plan's engine can't be downloaded at the moment says nothing against the plan. Its error
// is a *failure.
func (c choice) find(ctx context.Context, places *engine.Places) (engine.Binary, error) {
	want, err := c.request()
	if err != nil {
		return engine.Binary{}, fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	binary, err := places.Find(ctx, want)
	if err != nil && c.planned != nil && c.spec != nil && engine.Nowhere(err) {
		return engine.Binary{}, fail(v1alpha2.ReasonPlanNotApplicable, fmt.Errorf("the plan was made with %s %s: %w",
			c.planned.Engine.Name, c.planned.Engine.Version, err))
	}
	if err != nil {
		return engine.Binary{}, fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	return binary, c.fits(binary.Identity)
}

func (c choice) request() (engine.Request, error) {
	if c.spec == nil || c.planned == nil {
		return engine.NewRequest(c.spec)
	}
	return engine.Exactly(c.planned.Engine)
}

// fits says why a plan can't be applied with that engine.
func (c choice) fits(own v1alpha2.EngineIdentity) error {
	if c.planned == nil || c.planned.Engine == own {
		return nil
	}
	return fail(v1alpha2.ReasonPlanNotApplicable, fmt.Errorf("the plan was made with %s %s, the runner's engine is %s %s",
		c.planned.Engine.Name, c.planned.Engine.Version, own.Name, own.Version))
}
