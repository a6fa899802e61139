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
func (c *custodian) guard(ctx context.Context) error {
	if !c.dir.backend.Kubernetes {
		return nil
	}
	found, err := backend.ReadState(ctx, c.cfg.Client, c.dir.backend)
	if _, unreadable := errors.AsType[*backend.StateError](err); unreadable {
		return fail(v1alpha2.ReasonStateGuard, err)
	}
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := c.accept(found); err != nil {
		return err
	}
	if err := c.unlock(ctx); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return c.readLock(ctx)
}

// accept refuses a state that is not what the last run left, unless a person has overridden exactly this refusal.
func (c *custodian) accept(found *v1alpha2.StateStatus) error {
	c.found = found
	err := backend.Guard(c.run.Spec.State, found)
	refused, ok := errors.AsType[*backend.GuardError](err)
	if !ok {
		c.trusted = err == nil
		return err
	}
	if refused.Token() == c.run.Spec.StateOverride {
		c.trusted = true
		c.log.Info("the state guard is overridden", "by", c.run.Spec.StateOverride, "refused", err.Error())
		c.report.set(func(s *v1alpha2.TerraformRunStatus) { s.StateOverridden = err.Error() })
		return nil
	}
	return fail(v1alpha2.ReasonStateGuard, fmt.Errorf("%w. Nothing was done: put the state back, or, to go on with what is there, set the annotation %s: %s",
		err, v1alpha2.StateGuardOverrideAnnotation, refused.Token()))
}

// readLock records who holds the lock. That is no failure yet: the engine waits for it as long as it may.
func (c *custodian) readLock(ctx context.Context) error {
	info, err := lock.Read(ctx, c.cfg.Client, c.dir.backend.Namespace, c.dir.backend.LockLease)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	c.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Lock = info })
	return nil
}

// guardPulled is the guard for states that only the engine can read.
func (c *custodian) guardPulled(ctx context.Context) error {
	if c.dir.backend.Kubernetes {
		return nil
	}
	found, err := c.read(ctx)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return c.accept(found)
}

// read is the state as it is now, nil when there is none.
func (c *custodian) read(ctx context.Context) (*v1alpha2.StateStatus, error) {
	content, err := c.content(ctx)
	if content == nil || err != nil {
		return nil, err
	}
	return backend.Identify(content)
}

// content is the state itself, nil when there is none.
func (c *custodian) content(ctx context.Context) ([]byte, error) {
	switch {
	case c.dir.backend == nil:
		return nil, errors.New("the backend is not known yet")
	case c.dir.backend.Kubernetes:
		return backend.ReadContent(ctx, c.cfg.Client, c.dir.backend)
	case c.tool.engine == nil:
		return nil, errors.New("the engine was not started")
	}
	content, err := c.tool.engine.PullState(ctx)
	if err != nil {
		return nil, fmt.Errorf("pull the state: %w", err)
	}
	if len(content) == 0 {
		return nil, nil // state pull prints nothing where there is no state
	}
	if c.dir.backend.Cloud != nil {
		if state, err := backend.Identify(content); err == nil && state.Lineage == "" {
			return nil, nil // or, with a cloud block, an empty one
		}
	}
	return content, nil
}
