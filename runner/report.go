package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const fieldOwner = client.FieldOwner(v1alpha2.FieldManager)

// reporter writes the status of the run. While the run goes on that is done now and then, and may fail; at its turning
// points it is done for certain.
type reporter struct {
	cfg *Config
	log logr.Logger

	mu sync.Mutex
	// written is the run as the API server has it, next the status as it is to be.
	written *v1alpha2.TerraformRun
	next    v1alpha2.TerraformRunStatus
	last    time.Time
	timer   *time.Timer
}

func newReporter(cfg *Config, run *v1alpha2.TerraformRun) *reporter {
	return &reporter{cfg: cfg, log: cfg.Log, written: run.DeepCopy(), next: *run.Status.DeepCopy(), last: cfg.Now()}
}

// set changes the status that will be reported.
func (r *reporter) set(change func(*v1alpha2.TerraformRunStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.next)
}

// status is a copy of what will be reported.
func (r *reporter) status() *v1alpha2.TerraformRunStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next.DeepCopy()
}

// step reports where the run is, at most once in reportEvery: what comes sooner is reported together.
func (r *reporter) step(ctx context.Context, step v1alpha2.RunStep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next.Step = step
	if r.timer != nil {
		return
	}
	r.timer = time.AfterFunc(reportEvery-min(r.cfg.Now().Sub(r.last), reportEvery), func() { r.tell(ctx) })
}

func (r *reporter) tell(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil || ctx.Err() != nil {
		return
	}
	r.timer = nil
	ctx, cancel := context.WithTimeout(ctx, reportEvery)
	defer cancel()
	if err := r.write(ctx, client.MergeFrom(r.written)); err != nil {
		r.log.Info("could not report the step", "step", r.next.Step, "error", err.Error())
	}
}

// commit writes the status and returns when it is written. It fails when the run is not ours any more (ErrRefused), or
// when it could not be written within apiPatience.
func (r *reporter) commit(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	return retry(ctx, apiPatience, func(ctx context.Context) error {
		now := &v1alpha2.TerraformRun{}
		if err := r.cfg.Client.Get(ctx, client.ObjectKeyFromObject(r.written), now); err != nil {
			return fmt.Errorf("read run: %w", err)
		}
		if now.UID != r.written.UID || !isOurs(now, r.cfg) {
			return fmt.Errorf("%w: it was taken from this pod", ErrRefused)
		}
		if now.Finished() && !now.Status.FinishedAt.Equal(r.next.FinishedAt) {
			return fmt.Errorf("%w: it was declared to be over, because of this pod's process", ErrRefused)
		}
		r.written = now
		return r.write(ctx, client.MergeFromWithOptions(now.DeepCopy(), client.MergeFromWithOptimisticLock{}))
	})
}

// write sends the difference between what was read and what is to be.
func (r *reporter) write(ctx context.Context, patch client.Patch) error {
	next := r.written.DeepCopy()
	next.Status = *r.next.DeepCopy()
	r.last = r.cfg.Now()
	if err := r.cfg.Client.Status().Patch(ctx, next, patch, fieldOwner); err != nil {
		return fmt.Errorf("write status of run: %w", err)
	}
	r.written = next
	return nil
}
