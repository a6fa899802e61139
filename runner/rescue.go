package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/lock"
	"github.com/terraform-controller/terraform-controller/internal/rescue"
)

const (
	// rescuePatience is how long it is tried to keep a state that the backend does not take.
	rescuePatience = 10 * time.Minute
	// rescueHurry is how long each way to save a state is tried when the pod has been told to end.
	rescueHurry = 3 * time.Second
)

var errNotNewer = errors.New("it is not a later version of the state")

// rescue saves a state that the engine could not write: with the pod the only copy would be lost. It is written to the
// backend, if that takes it within apiPatience, else kept for the next plan. The failure of the run says which.
func (c *custodian) rescue(ctx context.Context) {
	content, err := readOptional(filepath.Join(c.dir.module, erroredState))
	if content == nil && err == nil {
		return
	}
	patience, longer := apiPatience, rescuePatience
	if ctx.Err() != nil {
		patience, longer = rescueHurry, rescueHurry
	}
	ctx = context.WithoutCancel(ctx)
	full := c.capacity().exceeded(content)
	if full != "" {
		err = errors.New(full)
	}
	if err == nil {
		pushing, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err = retry(pushing, patience, func(ctx context.Context) error { return c.pushNewer(ctx, content) })
	}
	if err == nil {
		c.rescued = "the state was saved at another try"
		return
	}
	c.log.Info("the state could not be pushed either", "error", c.secrets.text(err.Error()))
	c.rescued = c.keepState(ctx, content, longer)
	if full != "" {
		c.rescued += "; " + full
	}
}

// capacity of the run's backend.
func (c *custodian) capacity() capacity {
	return capacity{backend: c.dir.backend, engine: c.tool.engine.Binary().Identity, splits: c.tool.engine.SplitsState()}
}

// keepState stores a state that the backend does not take, and says where it is.
func (c *custodian) keepState(ctx context.Context, content []byte, patience time.Duration) string {
	id, err := backend.Identify(content)
	kept := &rescue.State{}
	if err == nil {
		kept = &rescue.State{Backend: c.run.Spec.Backend, Lineage: id.Lineage, Serial: id.Serial, Content: content}
		var unheard error // the pod is gone from the API, and its token with it: this process is not to stay for that
		err = retry(ctx, patience, func(ctx context.Context) error {
			err := rescue.Save(ctx, c.cfg.Client, c.owner, kept)
			if apierrors.IsUnauthorized(err) {
				unheard = err
				return nil
			}
			return err
		})
		err = errors.Join(err, unheard)
	}
	if err != nil {
		c.log.Info("the state could not be kept either", "error", c.secrets.text(err.Error()))
		return fmt.Sprintf("the state could not be saved: it is in %s in pod %s", filepath.Join(c.dir.module, erroredState), c.cfg.PodName)
	}
	return fmt.Sprintf("the state could not be written: it is kept in Secret %s, and the next plan writes it, if it follows the state of the backend",
		kept.Secret)
}

// pushNewer writes a state, which is in the module's folder, over an older one of the same lineage, or where there is none.
// That what it records is there already is success.
func (c *custodian) pushNewer(ctx context.Context, content []byte) error {
	kept, err := backend.Identify(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", erroredState, err)
	}
	found, err := c.read(ctx)
	if err != nil {
		return err
	}
	if found != nil && (kept.Lineage != found.Lineage || kept.Serial <= found.Serial) {
		if written, err := c.isWritten(ctx, content, kept, found); err != nil || written {
			return err
		}
		return fmt.Errorf("%w: it has lineage %s, serial %d; the backend has lineage %s, serial %d, and records something else",
			errNotNewer, kept.Lineage, kept.Serial, found.Lineage, found.Serial)
	}
	if err := c.releaseOwnLock(ctx); err != nil {
		return err
	}
	return c.overLock(ctx, func() error { return c.tool.engine.PushState(ctx, erroredState) })
}

// isWritten says that the backend has all that a state records, be it with a later serial: a push raises that. The engine is
// asked, because it decrypts.
func (c *custodian) isWritten(ctx context.Context, content []byte, kept, found *v1alpha2.StateStatus) (bool, error) {
	if kept.Lineage != found.Lineage {
		return false, nil
	}
	present, err := c.tool.engine.PullState(ctx)
	if err != nil {
		return false, fmt.Errorf("pull the state: %w", err)
	}
	return sameRecord(content, present)
}

// releaseOwnLock frees the lock that this run's engine has left behind: when it could not write the state, it mostly could
// not unlock it either. Its process has ended, and the lock's "Who" names this pod.
func (c *custodian) releaseOwnLock(ctx context.Context) error {
	if !c.dir.backend.Kubernetes {
		return nil
	}
	info, err := lock.Read(ctx, c.cfg.Client, c.dir.backend.Namespace, c.dir.backend.LockLease)
	if err != nil || info == nil || hostOf(info.Who) != c.run.Spec.Hostname {
		return err
	}
	c.log.Info("the engine has left its lock, which is released", "id", info.ID)
	return lock.Release(ctx, c.cfg.Client, c.dir.backend.Namespace, c.dir.backend.LockLease, info.ID)
}

// recover writes a state that an earlier apply could not, before anything is planned from an older one. One that does
// not follow the state of the backend stays where it is, and nothing is planned until a person has decided.
func (c *custodian) recover(ctx context.Context) error {
	kept, err := rescue.Load(ctx, c.cfg.Client, c.owner, c.run.Spec.Backend)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if kept == nil {
		return nil
	}
	log := c.log.WithValues("secret", kept.Secret, "lineage", kept.Lineage, "serial", kept.Serial)
	if kept.Backend != c.run.Spec.Backend {
		if refused := foreignState(kept.Secret, c.found); refused != "" {
			return fail(v1alpha2.ReasonStateGuard, errors.New(refused))
		}
		log.Info("a rescued state is of another backend or workspace, and stays")
		return nil
	}
	if err := c.dir.writeModuleFile(erroredState, kept.Content); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	defer os.Remove(filepath.Join(c.dir.module, erroredState))
	err = c.pushNewer(ctx, kept.Content)
	switch {
	case errors.Is(err, errNotNewer):
		return fail(v1alpha2.ReasonStateGuard, fmt.Errorf("a state that an apply could not write is kept in Secret %s, and does not follow the one of "+
			"the backend: %w. Nothing was done: push the kept state, or, to go on with what is there, delete that Secret",
			kept.Secret, err))
	case err != nil:
		f := c.engineFailure(v1alpha2.ReasonTFExecInitFailed, fmt.Errorf("write the rescued state: %w", err))
		if full := c.capacity().exceeded(kept.Content); full != "" {
			f.message += fmt.Sprintf("; the state stays in Secret %s; %s", kept.Secret, full)
		}
		return f
	}
	log.Info("the rescued state is written")
	err = retry(ctx, apiPatience, func(ctx context.Context) error { return rescue.Remove(ctx, c.cfg.Client, c.owner, kept) })
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err) // once the state has changed it would be in the way
	}
	return nil
}
