package runner

import (
	"context"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// findEngine finds the engine. That runs nothing but version commands.
func (j *job) findEngine(ctx context.Context) error {
	binary, err := choice{spec: j.spec.Engine, planned: j.stored}.find(ctx, &j.cfg.Engines)
	if err != nil {
		return err
	}
	j.engine, err = engine.New(ctx, binary, j.module, j.engineOptions())
	if err != nil {
		return fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Engine = &binary.Identity })
	j.log.Info("engine found", "name", binary.Identity.Name, "version", binary.Identity.Version)
	return nil
}

func (j *job) engineOptions() engine.Options {
	return engine.Options{Grace: stepGrace, Kill: j.kill, Observe: j.observe, Log: j.log}
}

// observe takes in what the engine says while it works.
func (j *job) observe(e engine.Event) {
	j.progress.Observe(e)
	if j.cfg.Chatter.Quiet {
		return
	}
	level := 0
	switch e.Type {
	case engine.EventVersion, engine.EventApplyProgress, "refresh_start", "refresh_complete":
		level = 1
	default:
	}
	j.log.V(level).Info(j.secrets.text(e.String()), "from", "engine")
}

// initialise prepares backend, modules and providers, and selects the workspace. An apply takes the versions of its
// plan, and a keepsake has its own, whatever spec.upgradeOnInit says.
func (j *job) initialise(ctx context.Context) error {
	upgrade := j.run.Spec.Operation == v1alpha2.OperationPlan && j.spec.GetUpgradeOnInit() && j.kept == nil
	options := engine.InitOptions{Upgrade: upgrade, BackendConfig: j.backendConfig, Cloud: j.backend.Cloud != nil}
	if err := j.overLock(ctx, func() error { return j.engine.Init(ctx, options) }); err != nil {
		return j.engineFailure(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := j.persistent(); err != nil {
		return err
	}
	if err := j.overLock(ctx, func() error { return j.engine.SelectWorkspace(ctx, j.backend.Selected()) }); err != nil {
		return j.engineFailure(v1alpha2.ReasonSelectWorkspaceFailed, err)
	}
	return j.guardPulled(ctx)
}
