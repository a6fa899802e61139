package runner

import (
	"context"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// storeReadable stores the plan in the form that spec.storeReadablePlan asks for. A text is for readers of ConfigMaps, so
// that values of Secrets are hidden in it, also where the module does not call them sensitive. JSON is in a Secret, and whole.
func (p *planner) storeReadable(ctx context.Context) error {
	var content []byte
	var err error
	format := p.spec.StoreReadablePlan
	switch format {
	case planstore.FormatJSON:
		content, err = p.tool.engine.ShowPlanJSON(ctx, planFile)
	case planstore.FormatHuman:
		var text string
		text, err = p.tool.engine.ShowPlanText(ctx, planFile)
		content = []byte(p.secrets.text(text))
	default:
		return nil
	}
	if err != nil {
		return p.engineFailure(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	readable := planstore.Readable{ID: p.stored.ID, Format: format, Content: content}
	if err := planstore.SaveReadable(ctx, p.cfg.Client, p.owner, p.spec.GetWorkspace(), readable); err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, fmt.Errorf("spec.storeReadablePlan: %w", err))
	}
	return nil
}

// pruneReadable removes readable plans that stand for none, or that nobody asks for any more.
func (p *planner) pruneReadable(ctx context.Context) {
	format := p.spec.StoreReadablePlan
	if p.stored != nil && (format == planstore.FormatJSON || format == planstore.FormatHuman) {
		return // the last one has taken the place of those before
	}
	if err := planstore.PruneReadable(ctx, p.cfg.Client, p.owner); err != nil {
		p.log.Info("could not remove old readable plans", "error", err.Error())
	}
}
