package runner

import (
	"context"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// find finds the engine, for an apply that of its plan. That runs nothing but version commands.
func (t *tool) find(ctx context.Context, planned *planstore.Plan) error {
	binary, err := choice{spec: t.spec.Engine, planned: planned}.find(ctx, &t.cfg.Engines)
	if err != nil {
		return err
	}
	t.engine, err = engine.New(ctx, binary, t.dir.module, t.options())
	if err != nil {
		return fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	t.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Engine = &binary.Identity })
	t.log.Info("engine found", "name", binary.Identity.Name, "version", binary.Identity.Version)
	return nil
}

func (t *tool) options() engine.Options {
	return engine.Options{Grace: stepGrace, Kill: t.kill, Hide: t.secrets.cutText, Observe: t.observe, Progress: &t.progress, Log: t.log}
}

// observe logs what the engine says while it works.
func (t *tool) observe(e engine.Event) {
	if t.cfg.Chatter.Quiet {
		return
	}
	level := 0
	switch e.Type {
	case engine.EventVersion, engine.EventApplyProgress, "refresh_start", "refresh_complete":
		level = 1
	default:
	}
	t.log.V(level).Info(e.String(), "from", "engine")
}

// initialise prepares backend, modules and providers, and selects the workspace. An apply takes the versions of its
// plan, and a keepsake has its own, whatever spec.upgradeOnInit says.
func (c *custodian) initialise(ctx context.Context) error {
	upgrade := c.run.Spec.Operation == v1alpha2.OperationPlan && c.spec.GetUpgradeOnInit() && c.dir.kept == nil
	options := engine.InitOptions{Upgrade: upgrade, BackendConfig: c.dir.backendConfig, Cloud: c.dir.backend.Cloud != nil}
	if err := c.overLock(ctx, func() error { return c.tool.engine.Init(ctx, options) }); err != nil {
		return c.engineFailure(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := c.persistent(); err != nil {
		return err
	}
	if err := c.overLock(ctx, func() error { return c.tool.engine.SelectWorkspace(ctx, c.dir.backend.Selected()) }); err != nil {
		return c.engineFailure(v1alpha2.ReasonSelectWorkspaceFailed, err)
	}
	return c.guardPulled(ctx)
}
