package controllers

import (
	"context"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// wakeNeighbours wakes the objects that wait for what has just happened to another one: its dependants when its
// readiness may have changed, its dependencies when it has gone or does not depend on them any more, and those in the
// queue when a place has become free.
func (r *TerraformReconciler) wakeNeighbours() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q requestQueue) {
			if tf, ok := e.Object.(*infrav1.Terraform); ok {
				r.wakeDependants(ctx, nil, tf, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q requestQueue) {
			was, ok := e.ObjectOld.(*infrav1.Terraform)
			is, isTerraform := e.ObjectNew.(*infrav1.Terraform)
			if !ok || !isTerraform {
				return
			}
			r.wakeDependants(ctx, was, is, q)
			if !equality.Semantic.DeepEqual(was.Spec.DependsOn, is.Spec.DependsOn) {
				wakeDependencies(was, q)
			}
			if placeFreed(was, is) {
				r.wakeQueued(ctx, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q requestQueue) {
			if tf, ok := e.Object.(*infrav1.Terraform); ok {
				r.wakeDependants(ctx, nil, tf, q)
				wakeDependencies(tf, q)
				r.wakeQueued(ctx, q)
			}
		},
	}
}

// wakeDependants wakes all when what every dependant looks at has changed; a dependant with an expression may look at
// anything.
func (r *TerraformReconciler) wakeDependants(ctx context.Context, was, is *infrav1.Terraform, q requestQueue) {
	list, err := r.listDependants(ctx, is)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "wake dependants")
		return
	}
	for i := range list {
		if was == nil || readinessChanged(was, is) || asksByExpression(&list[i], is) {
			q.Add(requestFor(&list[i]))
		}
	}
}

func readinessChanged(was, is *infrav1.Terraform) bool {
	ready := func(tf *infrav1.Terraform) any {
		return apimeta.FindStatusCondition(tf.Status.Conditions, meta.ReadyCondition)
	}
	output := func(tf *infrav1.Terraform) any {
		return apimeta.FindStatusCondition(tf.Status.Conditions, infrav1.ConditionOutput)
	}
	return was.Generation != is.Generation || was.Status.ObservedGeneration != is.Status.ObservedGeneration ||
		was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() ||
		was.Status.LastAppliedRevision != is.Status.LastAppliedRevision ||
		was.Status.LastPlannedRevision != is.Status.LastPlannedRevision ||
		!equality.Semantic.DeepEqual(ready(was), ready(is)) || !equality.Semantic.DeepEqual(output(was), output(is))
}

func asksByExpression(dependant, dep *infrav1.Terraform) bool {
	for _, d := range dependant.Spec.DependsOn {
		if d.ReadyExpr != "" && dependencyKey(dependant, d) == client.ObjectKeyFromObject(dep) {
			return true
		}
	}
	return false
}

func wakeDependencies(tf *infrav1.Terraform, q requestQueue) {
	for _, d := range tf.Spec.DependsOn {
		q.Add(reconcile.Request{NamespacedName: dependencyKey(tf, d)})
	}
}

func requestFor(tf *infrav1.Terraform) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(tf)}
}
