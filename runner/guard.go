package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/lock"
)

// guard looks at state and lock through the API, before the engine does anything: init would make a new, empty state
// where one is gone. What other backends hold is only known after init, see guardPulled.
func (j *job) guard(ctx context.Context) error {
	if !j.backend.Kubernetes {
		return nil
	}
	found, err := backend.ReadState(ctx, j.cfg.Client, j.backend)
	if _, unreadable := errors.AsType[*backend.StateError](err); unreadable {
		return fail(v1alpha2.ReasonStateGuard, err)
	}
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := j.accept(found); err != nil {
		return err
	}
	if err := j.unlock(ctx); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return j.readLock(ctx)
}

// accept refuses a state that is not what the last run left, unless a person has overridden exactly this refusal.
func (j *job) accept(found *v1alpha2.StateStatus) error {
	j.found = found
	err := backend.Guard(j.run.Spec.State, found)
	refused, ok := errors.AsType[*backend.GuardError](err)
	if !ok {
		j.trusted = err == nil
		return err
	}
	if refused.Token() == j.run.Spec.StateOverride {
		j.trusted = true
		j.log.Info("the state guard is overridden", "by", j.run.Spec.StateOverride, "refused", err.Error())
		j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.StateOverridden = err.Error() })
		return nil
	}
	return fail(v1alpha2.ReasonStateGuard, fmt.Errorf("%w. Nothing was done: put the state back, or, to go on with what is there, set the annotation %s: %s",
		err, v1alpha2.StateGuardOverrideAnnotation, refused.Token()))
}

// readLock records who holds the lock. That is no failure yet: the engine waits for it as long as it may.
func (j *job) readLock(ctx context.Context) error {
	info, err := lock.Read(ctx, j.cfg.Client, j.backend.Namespace, j.backend.LockLease)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Lock = info })
	return nil
}

// guardPulled is the guard for states that only the engine can read.
func (j *job) guardPulled(ctx context.Context) error {
	if j.backend.Kubernetes {
		return nil
	}
	found, err := j.readState(ctx)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return j.accept(found)
}

// readState is the state as it is now, nil when there is none.
func (j *job) readState(ctx context.Context) (*v1alpha2.StateStatus, error) {
	content, err := j.stateContent(ctx)
	if content == nil || err != nil {
		return nil, err
	}
	return backend.Identify(content)
}

// stateContent is the state itself, nil when there is none.
func (j *job) stateContent(ctx context.Context) ([]byte, error) {
	switch {
	case j.backend == nil:
		return nil, errors.New("the backend is not known yet")
	case j.backend.Kubernetes:
		return backend.ReadContent(ctx, j.cfg.Client, j.backend)
	case j.engine == nil:
		return nil, errors.New("the engine was not started")
	}
	content, err := j.engine.PullState(ctx)
	if err != nil {
		return nil, fmt.Errorf("pull the state: %w", err)
	}
	if len(content) == 0 {
		return nil, nil // state pull prints nothing where there is no state
	}
	if j.backend.Cloud != nil {
		if state, err := backend.Identify(content); err == nil && state.Lineage == "" {
			return nil, nil // or, with a cloud block, an empty one
		}
	}
	return content, nil
}
