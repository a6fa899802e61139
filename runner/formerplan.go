package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	tfjson "github.com/hashicorp/terraform-json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// formerPlan looks into a plan that the incumbent has stored and that was approved. It is never applied: what is in it is what
// a person has agreed to.
type formerPlan struct {
	reader client.Reader
	owner  *v1alpha2.Terraform
	engine *engine.Engine
	// secret is told what the plan holds of secrets.
	secret func(...string)
	// seal gives the changes, with digests under the object's own key.
	seal func(context.Context, *tfjson.Plan, []byte) (*plan.Changes, error)
}

// read gives the changes of the plan, or why its approval does not count. An error is the API server's, or the machine's.
func (f formerPlan) read(ctx context.Context, id string) (*v1alpha2.FormerPlan, error) {
	found := &v1alpha2.FormerPlan{ID: id}
	file, err := planstore.LoadFormer(ctx, f.reader, f.owner, f.owner.Spec.GetWorkspace(), id)
	if unfit, ok := errors.AsType[*planstore.Error](err); ok {
		found.Refused = unfit.Message
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	shown, err := f.show(ctx, file)
	if failed, ok := errors.AsType[*engine.Error](err); ok && ctx.Err() == nil {
		own := f.engine.Binary().Identity
		found.Refused = fmt.Sprintf("%s %s can't read its plan file: %s", own.Name, own.Version, engineMessage(failed))
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	f.secret(plan.Secrets(shown)...)
	return found, f.compare(ctx, found, shown, file)
}

// compare takes over the changes of the plan, if it is one of the engine that runs here.
func (f formerPlan) compare(ctx context.Context, found *v1alpha2.FormerPlan, shown *tfjson.Plan, file []byte) error {
	if own := f.engine.Binary().Identity; shown.TerraformVersion != own.Version {
		found.Refused = fmt.Sprintf("it was made with version %s of the engine, the runner has %s %s", shown.TerraformVersion, own.Name, own.Version)
		return nil
	}
	changes, err := f.seal(ctx, shown, file)
	if err != nil {
		return fmt.Errorf("read plan %s: %w", found.ID, err)
	}
	for _, c := range planChanges(changes) {
		found.Changes = append(found.Changes, c.Digest)
	}
	if len(found.Changes) == 0 {
		found.Refused = fmt.Sprintf("it holds no change, or more than %d", maxChanges)
	}
	return nil
}

// show lets the engine read the file, outside of the working directory, whose new files would travel with a plan.
func (f formerPlan) show(ctx context.Context, file []byte) (*tfjson.Plan, error) {
	dir, err := os.MkdirTemp("", "former-plan-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the former plan: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, planFile)
	if err := os.WriteFile(name, file, 0o600); err != nil {
		return nil, fmt.Errorf("write the former plan: %w", err)
	}
	return f.engine.ShowPlan(ctx, name)
}

// readFormerPlan looks, where that is ordered, into the plan that was approved before.
func (p *planner) readFormerPlan(ctx context.Context) error {
	id := p.run.Spec.FormerPlan
	if id == "" {
		return nil
	}
	former := formerPlan{reader: p.cfg.Client, owner: p.owner, engine: p.tool.engine, secret: p.secrets.add, seal: p.sealedFormer}
	found, err := former.read(ctx, id)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, fmt.Errorf("the plan that was approved before: %w", err))
	}
	found.Refused = plan.Truncate(p.secrets.text(found.Refused), maxMessage)
	p.report.set(func(s *v1alpha2.TerraformRunStatus) { s.FormerPlan = found })
	return nil
}
