package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// stateTime limits the last look at the state.
const stateTime = 30 * time.Second

// defaultReasons are for errors that have none of their own.
var defaultReasons = map[v1alpha2.RunStep]string{
	v1alpha2.StepFetch:     v1alpha2.ReasonArtifactFailed,
	v1alpha2.StepWorkspace: v1alpha2.ReasonTFExecInitFailed,
	v1alpha2.StepGuard:     v1alpha2.ReasonTFExecInitFailed,
	v1alpha2.StepInit:      v1alpha2.ReasonTFExecInitFailed,
	v1alpha2.StepPlan:      v1alpha2.ReasonTFExecPlanFailed,
	v1alpha2.StepStorePlan: v1alpha2.ReasonTFExecPlanFailed,
	v1alpha2.StepLoadPlan:  v1alpha2.ReasonTFExecApplyFailed,
	v1alpha2.StepApply:     v1alpha2.ReasonTFExecApplyFailed,
	v1alpha2.StepOutputs:   v1alpha2.ReasonTFExecOutputFailed,
	v1alpha2.StepSession:   v1alpha2.ReasonTFExecInitFailed,

	v1alpha2.StepHealthChecks: v1alpha2.ReasonHealthChecksFailed,
}

// explain makes the failure of a run of a step's error.
func (j *job) explain(step v1alpha2.RunStep, err error) *failure {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = fail(defaultReasons[step], err)
	}
	j.explainStop(step, f, err)
	if j.state.rescued != "" {
		f.message += "; " + j.state.rescued
	}
	return f
}

// explainStop puts, where a step was stopped, the reason to stop first, and what was done by then.
func (j *job) explainStop(step v1alpha2.RunStep, f *failure, err error) {
	asked, isCancelled := errors.AsType[*cancelled](err)
	late, isLate := errors.AsType[*deadlineError](err)
	switch {
	case isCancelled:
		f.phase, f.reason, f.message = v1alpha2.RunCancelled, v1alpha2.ReasonCancelled, asked.Error()
	case isLate:
		f.reason, f.message = v1alpha2.ReasonDeadlineExceeded, late.Error()
	case errors.Is(err, errTerminated):
		f.reason, f.message = v1alpha2.ReasonInterrupted, errTerminated.Error()
	default:
		return
	}
	f.message += "; " + j.standing(step)
	if errors.Is(err, engine.ErrKilled) {
		f.message += "; " + engine.ErrKilled.Error() + ": the state may lack what was in flight, and its lock may still be held"
	}
}

// standing says what a run that was stopped has done.
func (j *job) standing(step v1alpha2.RunStep) string {
	status := j.report.status()
	switch {
	case j.run.Spec.Session != nil:
		return "the shell in its pod ends with it"
	case j.run.Spec.Operation == v1alpha2.OperationPlan || status.ApplyStartedAt == nil:
		return "nothing was changed"
	case step == v1alpha2.StepOutputs:
		return "the apply was complete, its outputs were not handled"
	case step == v1alpha2.StepHealthChecks:
		return "the apply was complete, its health was not checked"
	}
	parts := []string{
		listed("done", j.tool.progress.Done()),
		listed("failed", j.tool.progress.Failed()),
		listed("in flight", j.tool.progress.InFlight()),
		listed("not started", j.tool.progress.NotStarted()),
	}
	var said []string
	for _, part := range parts {
		if part != "" {
			said = append(said, part)
		}
	}
	if len(said) == 0 {
		return "the engine has not said that it changed anything"
	}
	return strings.Join(said, "; ")
}

// finish reports the result, whatever has become of the context: the run's process may end only after that.
func (j *job) finish(ctx context.Context, workErr error) error {
	j.state.lookAt(ctx)
	ctx = context.WithoutCancel(ctx)
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { j.conclude(s, workErr) })
	err := j.report.commit(ctx)
	if apierrors.IsNotFound(err) {
		j.log.Info("the run is gone, nobody is told its result")
		return nil
	}
	if err != nil {
		return fmt.Errorf("report the result: %w", err)
	}
	j.keeper.prune(ctx)
	if workErr == nil && j.run.Spec.Operation == v1alpha2.OperationPlan && j.run.Spec.Session == nil {
		ctx, cancel := context.WithTimeout(ctx, stateTime)
		defer cancel()
		j.planner.prune(ctx)
	}
	return nil
}

// lookAt records the state as the run leaves it: the next run is to find it. One that the guard has not let through is
// not recorded. Not knowing it is no failure of the run.
func (c *custodian) lookAt(ctx context.Context) {
	if !c.trusted {
		return
	}
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateTime)
	defer cancel()
	content, err := c.content(looking)
	var state *v1alpha2.StateStatus
	if content != nil && err == nil {
		state, err = backend.Identify(content)
	}
	if err != nil {
		c.log.Info("the state after the run is not known", "error", c.secrets.text(err.Error()))
		return
	}
	c.report.set(func(s *v1alpha2.TerraformRunStatus) { s.State = state })
	keeping, done := hurried(ctx, stateTime)
	defer done()
	c.stateVersions().after(keeping, content)
}

// conclude fills in the end of a run.
func (j *job) conclude(s *v1alpha2.TerraformRunStatus, workErr error) {
	now := metav1.NewTime(j.cfg.Now()).Rfc3339Copy() // as it will be read again
	s.FinishedAt = &now
	f, failed := errors.AsType[*failure](workErr)
	if !failed {
		s.Phase = v1alpha2.RunSucceeded
		s.Lock = nil
		j.log.Info("run succeeded")
		return
	}
	s.Phase = f.phase
	s.Failure = &v1alpha2.RunFailure{
		Reason:      f.reason,
		Message:     plan.Truncate(j.secrets.text(f.message), maxMessage),
		Diagnostics: j.secrets.diagnostics(firstOf(f.diagnostics, engine.MaxDiagnostics)),
	}
	j.log.Info("run failed", "phase", s.Phase, "reason", s.Failure.Reason, "message", s.Failure.Message)
}
