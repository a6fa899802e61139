package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/backups"
)

// backupPatience is how long an apply waits for the API server to take a version of the state.
const backupPatience = 10 * time.Second

// versions keeps the state around an apply (spec.stateBackups). That it can't is no failure of the apply, but it is said: who
// has no backup is still better off with what was approved than with nothing.
type versions struct {
	client  client.Client
	owner   *v1alpha2.Terraform
	report  *reporter
	log     logr.Logger
	redact  func(string) string
	backend *backend.Settings
	// read gives the state as it is now.
	read func(context.Context) ([]byte, error)

	// applying: before was called.
	applying bool
	// kept are the versions that there are, if listed.
	kept   []backups.Version
	listed bool
}

// stateVersions are those of the run's state.
func (c *custodian) stateVersions() *versions {
	if c.versions == nil {
		c.versions = &versions{
			client: c.cfg.Client, owner: c.owner, report: c.report, log: c.log, redact: c.secrets.text,
			backend: c.dir.backend, read: c.content,
		}
	}
	return c.versions
}

// before keeps the state that the guard has let through, unless the last apply has: then that costs one look.
func (v *versions) before(ctx context.Context, found *v1alpha2.StateStatus) {
	v.applying = true
	if err := v.list(ctx); err != nil {
		v.failed("before", err)
		return
	}
	if found == nil || v.most() == 0 || v.has(found) {
		return
	}
	content, err := v.read(ctx)
	if err == nil && content != nil {
		err = v.keep(ctx, content)
	}
	if err != nil {
		v.failed("before", err)
	}
}

// after keeps the state as the apply has left it, and removes the oldest ones then: that what comes back is the newest, it
// must not be the next apply that keeps it. With an object whose resources were destroyed all versions of that state go.
func (v *versions) after(ctx context.Context, content []byte) {
	if v.gone(content) {
		v.pruneGone(ctx, content)
		return
	}
	if !v.applying {
		return
	}
	if v.most() > 0 && content != nil {
		if err := v.keep(ctx, content); err != nil {
			v.failed("after", err)
			return
		}
	}
	if v.listed {
		v.prune(ctx, v.kept, v.most())
		v.release(ctx, content)
	}
}

// release lets the versions go with the object, when spec.destroy has left nothing.
func (v *versions) release(ctx context.Context, content []byte) {
	if !v.owner.Spec.Destroy || content == nil || !backups.Empty(content) {
		return
	}
	state, err := backend.Identify(content)
	if err == nil {
		err = backups.Own(ctx, v.client, v.owner, v.kept, state.Lineage)
	}
	if err != nil {
		v.log.Info("versions of the state stay when the object goes", "error", err.Error())
	}
}

// gone: the object is being deleted, all was destroyed before, and nobody has told the guard to take the state for empty.
func (v *versions) gone(content []byte) bool {
	return v.owner.DeletionTimestamp != nil && v.owner.Spec.Destroy && content != nil && backups.Empty(content) &&
		v.report.status().StateOverridden == ""
}

// pruneGone leaves versions of other states: that this one is empty does not say that their resources are gone.
func (v *versions) pruneGone(ctx context.Context, content []byte) {
	state, err := backend.Identify(content)
	if err == nil {
		err = v.list(ctx)
	}
	if err != nil {
		v.log.Info("could not find the versions of a state that is gone", "error", err.Error())
		return
	}
	v.prune(ctx, backups.OfLineage(v.kept, state.Lineage), 0)
}

func (v *versions) most() int { return v.owner.Spec.GetStateBackups() }

func (v *versions) list(ctx context.Context) error {
	err := retry(ctx, backupPatience, func(ctx context.Context) (err error) {
		v.kept, err = backups.List(ctx, v.client, v.owner)
		return forGood(err)
	})
	v.listed = err == nil
	return err
}

func (v *versions) keep(ctx context.Context, content []byte) error {
	state, err := backend.Identify(content)
	if err != nil || backups.Empty(content) || v.has(state) {
		return err
	}
	kept := &backups.State{Workspace: v.backend.Workspace, ID: *state, Content: content}
	if v.backend.Kubernetes {
		kept.Secret = v.backend.Namespace + "/" + v.backend.StateSecret
	}
	return retry(ctx, backupPatience, func(ctx context.Context) error {
		saved, err := backups.Save(ctx, v.client, v.owner, kept)
		if err != nil {
			return forGood(err)
		}
		v.kept = backups.With(v.kept, saved)
		v.tell(func(b *v1alpha2.RunStateBackup) { b.Name, b.Serial = saved.Name, saved.Serial })
		return nil
	})
}

// forGood: a right that is missing at an apply does not come while it waits.
func forGood(err error) error {
	if apierrors.IsForbidden(err) {
		return &lasting{err}
	}
	return err
}

// has says whether the state is kept as it is.
func (v *versions) has(state *v1alpha2.StateStatus) bool {
	for i := range v.kept {
		if v.kept[i].Is(state) {
			v.tell(func(b *v1alpha2.RunStateBackup) { b.Name, b.Serial = v.kept[i].Name, v.kept[i].Serial })
			return true
		}
	}
	return false
}

func (v *versions) prune(ctx context.Context, of []backups.Version, keep int) {
	if err := backups.Prune(ctx, v.client, v.owner, of, keep); err != nil {
		v.log.Info("could not remove old versions of the state", "error", err.Error())
	}
}

// failed says in the run, and so in an event, which version is missing.
func (v *versions) failed(when string, err error) {
	text := v.redact(err.Error())
	v.log.Info("the state is not kept", "when", when+" the apply", "error", text)
	v.tell(func(b *v1alpha2.RunStateBackup) {
		b.Message = fmt.Sprintf("The state %s the apply is not kept (spec.stateBackups): %s", when, text)
	})
}

func (v *versions) tell(change func(*v1alpha2.RunStateBackup)) {
	v.report.set(func(s *v1alpha2.TerraformRunStatus) {
		if s.StateBackup == nil {
			s.StateBackup = &v1alpha2.RunStateBackup{}
		}
		change(s.StateBackup)
	})
}
