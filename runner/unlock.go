package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/lock"
)

// unlocker knows which lock a run may release: the one of the ID that it was ordered to, and those of pods whose processes
// have provably ended. Any other lock stays.
type unlocker struct {
	client client.Client
	run    *v1alpha2.TerraformRun
	// own is the hostname of this pod, where all processes that could hold a lock have ended; "" where that is not known.
	own string
	// asked is when the command began that met the lock. Some backends show in the holder's place what the command would have
	// written of itself: that is not older.
	asked time.Time
	log   logr.Logger
}

func (c *custodian) unlocker() unlocker {
	return unlocker{client: c.cfg.Client, run: c.run, log: c.log}
}

// may says whether the lock may be released. A lock's "Who" is user@hostname, as both engines write it.
func (u unlocker) may(ctx context.Context, info *v1alpha2.LockInfo) (bool, error) {
	if info == nil || info.ID == "" {
		return false, nil
	}
	host := hostOf(info.Who)
	if host != "" && host == u.own {
		created, known := lockTime(info.Created)
		return known && created.Before(u.asked), nil
	}
	order := u.run.Spec.Unlock
	if order == nil {
		return false, nil
	}
	if host != "" && (slices.Contains(order.Hostnames, host) || takenBy(order.FormerRunner, host, info)) {
		return true, nil
	}
	if order.ID != info.ID {
		return false, nil
	}
	atWork, err := u.runAtWork(ctx, host)
	if atWork != "" {
		u.log.Info("no lock was released", "id", info.ID, "why", "its holder is at work", "run", atWork)
	}
	return err == nil && atWork == "", err
}

// takenBy says that a lock is of this runner of the incumbent: of its hostname, which its other pods have too, and of its
// lifetime. The kubelet's times are whole seconds.
func takenBy(former *v1alpha2.FormerRunner, host string, info *v1alpha2.LockInfo) bool {
	if former == nil || former.Hostname != host {
		return false
	}
	created, known := lockTime(info.Created)
	return known && !created.Before(former.StartedAt.Time) && created.Before(former.EndedAt.Add(time.Second))
}

// runAtWork is the name of the run of this namespace that may hold the lock, "" for none. An order does not release it: two
// objects may share a state.
func (u unlocker) runAtWork(ctx context.Context, host string) (string, error) {
	var runs v1alpha2.TerraformRunList
	if err := u.client.List(ctx, &runs, client.InNamespace(u.run.Namespace)); err != nil {
		return "", fmt.Errorf("list runs, to see whether one holds the lock: %w", err)
	}
	return u.holder(runs.Items, host), nil
}

// holder is the run that works on that host, or, where the backend tells no host, another one with the same backend.
func (u unlocker) holder(runs []v1alpha2.TerraformRun, host string) string {
	for i := range runs {
		run := &runs[i]
		holds := run.Spec.Hostname == host || host == "" && run.Spec.Backend == u.run.Spec.Backend
		if holds && run.Name != u.run.Name && run.Status.Runner != nil && !run.Finished() {
			return run.Name
		}
	}
	return ""
}

// unlock releases the lock in the Lease of the kubernetes backend, if that is ordered. A free one is free: then the engine
// will see.
func (c *custodian) unlock(ctx context.Context) error {
	if c.run.Spec.Unlock == nil {
		return nil
	}
	info, err := lock.Read(ctx, c.cfg.Client, c.dir.backend.Namespace, c.dir.backend.LockLease)
	if err != nil {
		return err
	}
	if may, err := c.unlocker().may(ctx, info); err != nil || !may {
		return err
	}
	err = lock.Release(ctx, c.cfg.Client, c.dir.backend.Namespace, c.dir.backend.LockLease, info.ID)
	if _, other := errors.AsType[*lock.HeldByOtherError](err); other || errors.Is(err, lock.ErrNotHeld) {
		c.log.Info("no lock was released", "id", info.ID, "why", err.Error())
		return nil
	}
	if err == nil {
		c.unlocked(info)
	}
	return err
}

func (c *custodian) unlocked(info *v1alpha2.LockInfo) {
	if hostOf(info.Who) == c.run.Spec.Hostname {
		c.log.Info("the engine has left its lock, which is released", "id", info.ID)
		return
	}
	c.log.Info("lock released", "id", info.ID, "evidence", c.run.Spec.Unlock.Evidence)
	c.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Unlocked = info.ID })
}

// overLock does a command of the engine, and once more where it has met a lock that the run may release. Of a lock that is
// not in a Lease nobody knows before somebody runs into it. A command that got no lock has done nothing.
func (c *custodian) overLock(ctx context.Context, command func() error) error {
	asked := c.cfg.Now()
	err := command()
	info, locked := lockOf(err)
	if !locked || c.dir.backend.Kubernetes {
		return err
	}
	orders := c.unlocker()
	orders.own, orders.asked = c.run.Spec.Hostname, asked // its commands come one after the other, and the last has ended
	may, mayErr := orders.may(ctx, info)
	if mayErr != nil {
		return mayErr
	}
	if !may {
		return err
	}
	if unlockErr := c.tool.engine.ForceUnlock(ctx, info.ID); unlockErr != nil {
		c.log.Info("the lock could not be released", "id", info.ID, "error", c.secrets.text(unlockErr.Error()))
		return err
	}
	c.unlocked(info)
	return command()
}
