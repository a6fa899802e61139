package controllers

import (
	"context"
	"fmt"
	"slices"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/controller"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// controllerName names the queue and its metrics.
const controllerName = "terraform"

// SetupOptions of the controller.
type SetupOptions struct {
	// Concurrent is the number of workers.
	Concurrent int
	// RateLimiter options of the queue.
	RateLimiter controller.RateLimiterOptions
}

// SetupWithManager registers the reconciler and what wakes it: its objects, their runs and pods, and their sources.
func (r *TerraformReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, opts SetupOptions) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &infrav1.Terraform{}, sourceIndex, indexSource); err != nil {
		return fmt.Errorf("index objects by source: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &infrav1.Terraform{}, dependsOnIndex, indexDependsOn); err != nil {
		return fmt.Errorf("index objects by dependency: %w", err)
	}
	c, err := ctrl.NewControllerManagedBy(mgr).
		Named(controllerName).
		For(&infrav1.Terraform{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, ordersChanged(), stepTaken()))).
		Watches(&infrav1.Terraform{}, r.wakeNeighbours()).
		Owns(&infrav1.TerraformRun{}).
		Owns(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(runnerOf))).
		WithOptions(ctrlcontroller.Options{
			MaxConcurrentReconciles: opts.Concurrent,
			RateLimiter:             controller.GetRateLimiter(opts.RateLimiter),
		}).
		Build(r)
	if err != nil {
		return fmt.Errorf("build the controller: %w", err)
	}
	return r.watchSources(mgr, c)
}

// orders are the annotations through which people and tools ask for something.
var orders = []string{
	infrav1.ApprovePlanAnnotation, infrav1.ApprovedByAnnotation,
	meta.ReconcileRequestAnnotation, meta.ForceRequestAnnotation, infrav1.ResetRequestAnnotation,
	infrav1.RejectPlanAnnotation, infrav1.CancelRunAnnotation, infrav1.AbandonAnnotation,
	infrav1.StateGuardOverrideAnnotation, infrav1.BreakTheGlassAnnotation,
}

func ordersChanged() predicate.Predicate {
	return onUpdate(func(was, is *infrav1.Terraform) bool {
		return slices.ContainsFunc(orders, func(key string) bool { return was.Annotations[key] != is.Annotations[key] })
	})
}

// stepTaken wakes the object when the cache shows a step that the next one builds on: the finalizer, a reservation, the
// beginning of its deletion, the webhooks' verdict. A timer instead would find the cache behind.
func stepTaken() predicate.Predicate {
	return onUpdate(func(was, is *infrav1.Terraform) bool {
		return was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() ||
			len(was.Finalizers) != len(is.Finalizers) ||
			!ptr.Equal(was.Status.ActiveRun, is.Status.ActiveRun) ||
			!equality.Semantic.DeepEqual(was.Status.Webhooks, is.Status.Webhooks)
	})
}

func onUpdate(wakes func(was, is *infrav1.Terraform) bool) predicate.Predicate {
	none := predicate.NewPredicateFuncs(func(client.Object) bool { return false })
	return predicate.Funcs{
		CreateFunc: none.Create, DeleteFunc: none.Delete, GenericFunc: none.Generic,
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, ok := e.ObjectOld.(*infrav1.Terraform)
			is, isTerraform := e.ObjectNew.(*infrav1.Terraform)
			return ok && isTerraform && wakes(was, is)
		},
	}
}
