package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// freshFile is the plan that is made before an apply. It is compared with the stored one, and never applied.
const freshFile = "tfplan.fresh"

// confirm does what spec.refreshBeforeApply asks for: it refreshes, and plans once more. An engine applies a saved plan
// without a refresh; so if the resources are not what they were when the plan was made, and another plan would be made of
// them now, the stored one is not applied. A plan that only looks different each time, as with plantimestamp(), is.
func (a *applier) confirm(ctx context.Context, stored *tfjson.Plan, changes *plan.Changes) error {
	if !a.spec.RefreshBeforeApply {
		return nil
	}
	options, err := a.planner.options()
	if err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	options.Out, options.VarFiles = freshFile, nil // the variables have the stored plan's values
	if err := a.state.overLock(ctx, func() error { _, err := a.tool.engine.Plan(ctx, options); return err }); err != nil {
		return a.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	fresh, err := a.tool.engine.ShowPlan(ctx, freshFile)
	if err != nil {
		return a.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	a.secrets.add(plan.Secrets(fresh)...)
	now, err := a.planner.sealed(ctx, fresh)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	moved, err := resourcesDiffer(stored, fresh)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	if moved && now.Content() != changes.Content() {
		return fail(v1alpha2.ReasonPlanNotApplicable, fmt.Errorf(
			"spec.refreshBeforeApply: the resources have changed since plan %s was made (%s): planned now, it would be %s",
			a.planner.stored.ID, changes.Summary(), now.Summary()))
	}
	a.log.Info("the plan was confirmed by a refresh", "plan", a.planner.stored.ID, "resourcesChanged", moved)
	return nil
}

// resourcesDiffer compares the managed resources that two plans were made of, as the refresh has found them.
func resourcesDiffer(a, b *tfjson.Plan) (bool, error) {
	was, err := managed(a)
	if err != nil {
		return false, err
	}
	is, err := managed(b)
	return !maps.Equal(was, is), err
}

// managed are the attributes, as JSON, of the managed resources that a plan was made of.
func managed(made *tfjson.Plan) (map[string]string, error) {
	found := map[string]string{}
	if made.PriorState == nil || made.PriorState.Values == nil {
		return found, nil
	}
	modules := []*tfjson.StateModule{made.PriorState.Values.RootModule}
	for len(modules) > 0 {
		m := modules[0]
		modules = modules[1:]
		if m == nil {
			continue
		}
		modules = append(modules, m.ChildModules...)
		for _, r := range m.Resources {
			if r.Mode != tfjson.ManagedResourceMode {
				continue
			}
			attributes, err := json.Marshal(r.AttributeValues)
			if err != nil {
				return nil, errors.New("attributes of " + r.Address + " can't be encoded")
			}
			found[r.Address+"/"+r.DeposedKey] = string(attributes)
		}
	}
	return found, nil
}
