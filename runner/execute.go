package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
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
	defer j.dropAccess()
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

// job is one run that this pod has claimed. The fields of the second part are each set by the step that is named.
type job struct {
	cfg    Config
	log    logr.Logger
	run    *v1alpha2.TerraformRun
	spec   *v1alpha2.TerraformSpec
	report *reporter
	// owner is the Terraform object, with the spec of the run.
	owner   *v1alpha2.Terraform
	secrets redactor
	// kill ends when the engine has to be killed.
	kill context.Context
	// interrupt ends the context of all steps.
	interrupt context.CancelCauseFunc

	podSecrets    []string                 // hidePodSecrets: what the environment has of Secrets
	access        cloudAccess              // claim: to the service of spec.cloud
	trusted       bool                     // guard: the state is what the last run left
	made          *job                     // takeOver: the run that has made the plan, in this pod
	root          string                   // fetch: the folder of the artifact
	module        string                   // fetch: the folder of the module in it
	digest        string                   // fetch: of the artifact, or of the keepsake
	kept          *keepsake.Kept           // fetch: what is worked from in place of an artifact
	toKeep        *keepsake.Kept           // workspace, apply: the variables that a destroy will need
	backend       *backend.Settings        // workspace
	engine        *engine.Engine           // findEngine
	stored        *planstore.Plan          // plan and loadPlan
	progress      engine.Progress          // apply
	versions      *versions                // apply: of the state
	rescued       string                   // apply: what became of a state that the engine could not write
	values        map[string]outputs.Value // outputs
	fallback      *keepsake.Kept           // keptForDestroy: what is there in place of inputs that are gone
	provided      *inputs.Provided         // workspace
	backendConfig string                   // workspace: the file with more settings for init
	rendered      string                   // workspace: the file that was made of a template

	found *v1alpha2.StateStatus // guard: the state before the run
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
			{v1alpha2.StepGuard, j.guard},
			{v1alpha2.StepGuard, j.guardPulled},
			{v1alpha2.StepLoadPlan, j.loadPlan}, // of the engine that goes on
			{v1alpha2.StepApply, j.apply},
			{v1alpha2.StepOutputs, j.outputs},
		}
	}
	if j.run.Spec.Operation == v1alpha2.OperationApply {
		return []step{
			{v1alpha2.StepFetch, j.fetch},         // the exact artifact, and the module in it
			{v1alpha2.StepWorkspace, j.workspace}, // the backend; for variables the plan's values count
			{v1alpha2.StepGuard, j.guard},         // is it the state that the last run left?
			{v1alpha2.StepLoadPlan, j.loadPlan},   // the approved plan, or none
			{v1alpha2.StepLoadPlan, j.findEngine}, // the one that has made the plan
			{v1alpha2.StepInit, j.initialise},     // with the providers of the plan
			{v1alpha2.StepApply, j.apply},
			{v1alpha2.StepOutputs, j.outputs},
		}
	}
	return []step{
		{v1alpha2.StepFetch, j.fetch},
		{v1alpha2.StepWorkspace, j.workspace}, // backend and variables
		{v1alpha2.StepWorkspace, j.findEngine},
		{v1alpha2.StepGuard, j.guard},
		{v1alpha2.StepInit, j.initialise},
		{v1alpha2.StepInit, j.recoverState}, // what an apply could not write
		{v1alpha2.StepPlan, j.plan},
		{v1alpha2.StepStorePlan, j.storePlan}, // if there is something to apply
		{v1alpha2.StepOutputs, j.outputs},     // if not
	}
}

// work does the steps. Its error is a *failure.
func (j *job) work(ctx context.Context) error {
	j.tidyUp(ctx)
	first := step{v1alpha2.StepClaim, j.hidePodSecrets} // nothing is started before
	if err := j.walk(ctx, append([]step{first}, j.steps()...)); err != nil {
		return err
	}
	return j.walk(ctx, j.checks())
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
