package runner

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// ErrRefused says that a run is not to be done by this pod: it is done, it is another pod's, or it is not the active run
// of a living Terraform object (one restored from a backup, say).
var ErrRefused = errors.New("run refused")

// claim makes the run this pod's own, once: of two pods that try, one loses, as the status is written under the
// resourceVersion that was read. When ctx ends nothing is begun, but what is begun is brought to an end: a claim that
// may have been written has to be followed by a result.
func claim(ctx context.Context, cfg Config, name string) (*job, error) {
	var run *v1alpha2.TerraformRun
	var owner *v1alpha2.Terraform
	tried := false
	err := retry(context.WithoutCancel(ctx), apiPatience, func(inner context.Context) (err error) {
		if !tried && ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrRefused, errTerminated)
		}
		run, owner, err = read(inner, &cfg, name)
		if err != nil {
			return err
		}
		if tried && isOurs(run, &cfg) {
			// The answer to our own write was lost.
			return nil
		}
		if err := claimable(run, owner); err != nil {
			return err
		}
		tried = true
		return writeClaim(inner, &cfg, run)
	})
	if err != nil {
		err = egress{namespace: cfg.Namespace, to: "the API server"}.explain(err)
		return nil, fmt.Errorf("claim run %s/%s: %w", cfg.Namespace, name, err)
	}
	live := owner.Spec.Cloud
	owner.Spec = run.Spec.Terraform
	return newJob(&assignment{
		access: cloudAccess{live: live},
		cfg:    cfg,
		log:    cfg.Log.WithValues("run", name, "terraform", owner.Name, "operation", run.Spec.Operation),
		run:    run,
		spec:   &owner.Spec,
		owner:  owner,
		report: newReporter(&cfg, run),
	}), nil
}

// read gets the run and the Terraform object that owns it, nil when there is none of that name.
func read(ctx context.Context, cfg *Config, name string) (*v1alpha2.TerraformRun, *v1alpha2.Terraform, error) {
	run := &v1alpha2.TerraformRun{}
	if err := cfg.Client.Get(ctx, client.ObjectKey{Namespace: cfg.Namespace, Name: name}, run); err != nil {
		return nil, nil, fmt.Errorf("read run: %w", err)
	}
	ref := metav1.GetControllerOf(run)
	if ref == nil || ref.Kind != v1alpha2.TerraformKind {
		return run, nil, nil
	}
	owner := &v1alpha2.Terraform{}
	if err := cfg.Client.Get(ctx, client.ObjectKey{Namespace: cfg.Namespace, Name: ref.Name}, owner); err != nil {
		if apierrors.IsNotFound(err) {
			return run, nil, nil
		}
		return nil, nil, fmt.Errorf("read Terraform %s: %w", ref.Name, err)
	}
	if owner.UID != ref.UID {
		return run, nil, nil
	}
	return run, owner, nil
}

// claimable says why a run is not to be done. The error is an ErrRefused.
func claimable(run *v1alpha2.TerraformRun, owner *v1alpha2.Terraform) error {
	switch {
	case run.Finished():
		return fmt.Errorf("%w: it is over, its phase is %s", ErrRefused, run.Status.Phase)
	case run.Status.Runner != nil:
		return fmt.Errorf("%w: pod %s has claimed it", ErrRefused, run.Status.Runner.PodUID)
	case owner == nil:
		return fmt.Errorf("%w: the Terraform object that it was made for does not exist", ErrRefused)
	case owner.Status.ActiveRun == nil:
		return fmt.Errorf("%w: Terraform %s has no active run", ErrRefused, owner.Name)
	case owner.Status.ActiveRun.Name != run.Name:
		return fmt.Errorf("%w: the active run of Terraform %s is %s", ErrRefused, owner.Name, owner.Status.ActiveRun.Name)
	}
	return nil
}

func isOurs(run *v1alpha2.TerraformRun, cfg *Config) bool {
	return run.Status.Runner != nil && run.Status.Runner.PodUID == cfg.Runner.PodUID
}

func writeClaim(ctx context.Context, cfg *Config, run *v1alpha2.TerraformRun) error {
	before := run.DeepCopy()
	now := metav1.NewTime(cfg.Now())
	identity := cfg.Runner
	run.Status.Phase = v1alpha2.RunRunning
	run.Status.Step = v1alpha2.StepClaim
	run.Status.Runner = &identity
	run.Status.StartedAt = &now
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := cfg.Client.Status().Patch(ctx, run, patch, fieldOwner); err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	return nil
}
