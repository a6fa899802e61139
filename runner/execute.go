package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/health"
)

// Execute does the run of that name. It returns nil when the result is reported, be it a failure, and when the run is
// gone, so that there is nobody to report to. An error means that the run was not this pod's to do (ErrRefused), or that
// the result could not be reported.
//
// After a plan, the apply of what it has stored is done in the same place, if it is ordered within Config.Idle.
//
// When ctx ends (SIGTERM) the engine gets one interrupt and Config.Grace to end. What it has done is still reported.
func Execute(ctx context.Context, cfg Config, name string) error {
	environment := cfg.track()
	j, err := claim(ctx, cfg, name)
	if err != nil {
		return err
	}
	defer j.dir.dropAccess()
	if err := j.execute(ctx); err != nil {
		return err
	}
	apply := j.awaitApply(ctx)
	if apply == "" {
		return nil
	}
	if err := environment.restore(); err != nil {
		return err
	}
	next, err := claim(ctx, cfg, apply)
	if err != nil {
		return err
	}
	next.takeOver(j)
	return next.execute(ctx)
}

func (j *job) execute(ctx context.Context) error {
	ctx, stop := j.listen(ctx)
	defer stop()
	return j.finish(ctx, j.work(ctx))
}

// step is one part of a run.
type step struct {
	name v1alpha2.RunStep
	do   func(context.Context) error
}

// steps are the path of a run (design 4). Nothing touches the state before the guard has looked at it.
func (j *job) steps() []step {
	if j.run.Spec.Session != nil {
		return j.sessionSteps()
	}
	if j.made != nil {
		return []step{
			{v1alpha2.StepWorkspace, j.goOn}, // where the plan was made
			{v1alpha2.StepGuard, j.state.guard},
			{v1alpha2.StepGuard, j.state.guardPulled},
			{v1alpha2.StepLoadPlan, j.applier.load}, // of the engine that goes on
			{v1alpha2.StepApply, j.applier.apply},
			{v1alpha2.StepOutputs, j.results.outputs},
		}
	}
	if j.run.Spec.Operation == v1alpha2.OperationApply {
		return []step{
			{v1alpha2.StepFetch, j.dir.fetch},         // the exact artifact, and the module in it
			{v1alpha2.StepWorkspace, j.dir.workspace}, // the backend; for variables the plan's values count
			{v1alpha2.StepGuard, j.state.guard},       // is it the state that the last run left?
			{v1alpha2.StepLoadPlan, j.applier.load},   // the approved plan, or none
			{v1alpha2.StepLoadPlan, j.findEngine},     // the one that has made the plan
			{v1alpha2.StepInit, j.state.initialise},   // with the providers of the plan
			{v1alpha2.StepApply, j.applier.apply},
			{v1alpha2.StepOutputs, j.results.outputs},
		}
	}
	return []step{
		{v1alpha2.StepFetch, j.dir.fetch},
		{v1alpha2.StepWorkspace, j.dir.workspace}, // backend and variables
		{v1alpha2.StepWorkspace, j.findEngine},
		{v1alpha2.StepGuard, j.state.guard},
		{v1alpha2.StepInit, j.state.initialise},
		{v1alpha2.StepInit, j.state.recover}, // what an apply could not write
		{v1alpha2.StepPlan, j.planner.plan},
		{v1alpha2.StepStorePlan, j.planner.store}, // if there is something to apply
		{v1alpha2.StepOutputs, j.results.outputs}, // if not
	}
}

func (j *job) findEngine(ctx context.Context) error { return j.tool.find(ctx, j.planner.stored) }

// work does the steps. Its error is a *failure.
func (j *job) work(ctx context.Context) error {
	j.tidyUp(ctx)
	first := step{v1alpha2.StepClaim, j.hidePodSecrets} // nothing is started before
	if err := j.walk(ctx, append([]step{first}, j.steps()...)); err != nil {
		return err
	}
	return j.walk(ctx, j.results.checks())
}

func (j *job) walk(ctx context.Context, steps []step) error {
	for _, s := range steps {
		j.report.step(ctx, s.name)
		if err := j.take(ctx, s); err != nil {
			return j.explain(s.name, err)
		}
	}
	return nil
}

// take does one step within its time.
func (j *job) take(ctx context.Context, s step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	allowed := j.allowed(s.name)
	ctx, cancel := context.WithTimeoutCause(ctx, allowed, &deadlineError{step: s.name, allowed: allowed})
	defer cancel()
	start := j.cfg.Now()
	err := s.do(ctx)
	j.log.Info("step ended", "step", s.name, "ok", err == nil, "took", j.cfg.Now().Sub(start).Round(time.Millisecond).String())
	if err != nil && ctx.Err() != nil {
		return &stopped{cause: context.Cause(ctx), err: err}
	}
	return err
}

// allowed is the time that a step may take. Health checks have timeouts of their own.
func (j *job) allowed(name v1alpha2.RunStep) time.Duration {
	longest := limit(j.spec.Timeouts, name)
	if s := j.run.Spec.Session; s != nil && name == v1alpha2.StepSession {
		return s.Limit.Duration + limit(j.spec.Timeouts, v1alpha2.StepInit) + stepTime
	}
	if name == v1alpha2.StepHealthChecks {
		for i := range j.spec.HealthChecks {
			longest = max(longest, stepTime+health.Timeout(&j.spec.HealthChecks[i]))
		}
	}
	return longest
}

// deadlineError says that a step took too long.
type deadlineError struct {
	step    v1alpha2.RunStep
	allowed time.Duration
}

func (e *deadlineError) Error() string {
	return fmt.Sprintf("step %s took longer than %s", e.step, e.allowed)
}

// stopped is the error of a step that was stopped, with the reason why.
type stopped struct{ cause, err error }

func (s *stopped) Error() string { return s.cause.Error() + ": " + s.err.Error() }

func (s *stopped) Unwrap() []error { return []error{s.cause, s.err} }
