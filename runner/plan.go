package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// plan makes a plan and reports it in a form without secrets.
func (p *planner) plan(ctx context.Context) error {
	before, err := snapshot(p.dir.root)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	delete(before, p.dir.rendered) // so that it travels with the plan
	options, err := p.options()
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	if err := p.state.overLock(ctx, func() error { _, err := p.tool.engine.Plan(ctx, options); return err }); err != nil {
		return p.engineFailure(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	made, err := p.tool.engine.ShowPlan(ctx, planFile)
	if err != nil {
		return p.engineFailure(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	p.secrets.add(plan.Secrets(made)...)
	changes, err := p.sealed(ctx, made)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	if changes.Empty() {
		p.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Plan = &v1alpha2.RunPlan{Short: changes.Summary().String()} })
		return nil
	}
	id := plan.ID(p.run.Spec.Source.Revision, changes.Content(), p.owner.UID, p.run.Spec.AppliesCompleted)
	p.stored, err = p.collect(id, made, before)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	if err := p.readFormerPlan(ctx); err != nil {
		return err
	}
	described := describe(p.stored, changes)
	described.Changes = planChanges(changes)
	rendered, _ := plan.Render(made, p.secrets.text, maxRendered)
	described.Rendered = plan.Truncate(p.secrets.text(rendered), maxRendered)
	if described.JSON, err = planForWebhooks(p.spec, made, p.secrets.text); err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, err)
	}
	if p.cfg.Chatter.Plan {
		p.log.Info("planned", "plan", described.Rendered)
	}
	p.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Plan = described })
	return nil
}

func (p *planner) options() (engine.PlanOptions, error) {
	files, err := p.dir.varFiles()
	return engine.PlanOptions{
		Out:         planFile,
		Destroy:     p.spec.Destroy,
		NoLock:      p.spec.Plan != nil && p.spec.Plan.Lock != nil && !*p.spec.Plan.Lock,
		LockTimeout: lockTimeout(p.spec),
		Targets:     p.spec.Targets,
		VarFiles:    files,
		Here:        p.dir.backend.Cloud != nil,
	}, err
}

// collect takes together what has to travel with a plan. Files that are too large to travel are left behind: most
// applies do not need them, and those that do say so.
func (p *planner) collect(id string, made *tfjson.Plan, before files) (*planstore.Plan, error) {
	file, err := os.ReadFile(filepath.Join(p.dir.module, planFile))
	if err != nil {
		return nil, fmt.Errorf("read the plan file: %w", err)
	}
	locks, err := readOptional(filepath.Join(p.dir.module, lockFile))
	if err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	variables, err := p.digestOfInputs(made)
	if err != nil {
		return nil, err
	}
	extra, err := packNew(p.dir.root, before)
	if errors.Is(err, errExtrasTooLarge) {
		p.log.Info("files that the plan has made do not travel with it; an apply that needs them will fail", "reason", err.Error())
	} else if err != nil {
		return nil, err
	}
	return &planstore.Plan{
		ID:             id,
		File:           file,
		LockFile:       locks,
		Engine:         p.tool.engine.Binary().Identity,
		ArtifactDigest: p.dir.digest,
		Variables:      variables,
		Extra:          extra,
	}, nil
}

// store stores the plan, unless the one that waits is the same. It counts from the moment that the run's status has
// its digest; plans of before are removed after that.
func (p *planner) store(ctx context.Context) error {
	if p.stored == nil {
		p.keeper.keepUnchanged(ctx)
		return nil
	}
	if known := p.recordState(ctx); known && p.keepsWaiting(ctx) {
		return p.storeReadable(ctx)
	}
	err := p.stored.Seal()
	if err == nil {
		err = planstore.Save(ctx, p.cfg.Client, p.owner, p.spec.GetWorkspace(), p.stored)
	}
	if err != nil {
		return fail(v1alpha2.ReasonTFExecPlanFailed, fmt.Errorf("store the plan: %w", err))
	}
	p.reportDigest()
	return p.storeReadable(ctx)
}

// reportDigest names the plan that is stored. It is known late, because it also covers the state that the plan was made of.
func (p *planner) reportDigest() {
	p.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Plan.Digest = p.stored.Digest })
}

// prune removes stored plans that nobody can apply any more. What is left over goes with the next plan, or with
// the object.
func (p *planner) prune(ctx context.Context) {
	keep := ""
	if p.stored != nil {
		keep = p.stored.Digest
	}
	if err := planstore.Prune(ctx, p.cfg.Client, p.owner, p.spec.GetWorkspace(), keep); err != nil {
		p.log.Info("could not remove old plans", "error", err.Error())
	}
	p.pruneReadable(ctx)
}
