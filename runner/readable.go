package runner

import (
	"context"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// storeReadable stores the plan in the form that spec.storeReadablePlan asks for. A text is for readers of ConfigMaps, so
// that values of Secrets are hidden in it, also where the module does not call them sensitive. JSON is in a Secret, and whole.
func (j *job) storeReadable(ctx context.Context) error {
	var content []byte
	var err error
	format := j.spec.StoreReadablePlan
	switch format {
	case planstore.FormatJSON:
		content, err = j.engine.ShowPlanJSON(ctx, planFile)
	case planstore.FormatHuman:
		var text string
		text, err = j.engine.ShowPlanText(ctx, planFile)
		content = []byte(j.secrets.text(text))
	default:
		return nil
	}
	if err != nil {
		return j.engineFailure(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	readable := planstore.Readable{ID: j.stored.ID, Format: format, Content: content}
	if err := planstore.SaveReadable(ctx, j.cfg.Client, j.owner, j.spec.GetWorkspace(), readable); err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, fmt.Errorf("spec.storeReadablePlan: %w", err))
	}
	return nil
}

// pruneReadable removes readable plans that stand for none, or that nobody asks for any more.
func (j *job) pruneReadable(ctx context.Context) {
	format := j.spec.StoreReadablePlan
	if j.stored != nil && (format == planstore.FormatJSON || format == planstore.FormatHuman) {
		return // the last one has taken the place of those before
	}
	if err := planstore.PruneReadable(ctx, j.cfg.Client, j.owner); err != nil {
		j.log.Info("could not remove old readable plans", "error", err.Error())
	}
}
