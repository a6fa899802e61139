// Package controllers is the edge to Kubernetes: it watches Terraform objects, their runs and runner pods, and carries
// out what package decide says. It holds no rules of its own.
//
//	Reconcile = observe (reads only) → decide.Next (pure) → act (one side effect) → report (one status patch)
package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/runtime/controller"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// TerraformReconciler reconciles Terraform objects. No method waits for a pod, an engine or a person.
type TerraformReconciler struct {
	// Client reads through the cache and writes.
	Client client.Client
	// APIReader reads without the cache, where a stale answer would do harm.
	APIReader client.Reader
	// Recorder of events; it must not block.
	Recorder record.EventRecorder
	// Metrics of Flux.
	Metrics controller.Metrics
	// Clock tells the time.
	Clock func() time.Time
	// Jitter spreads an interval, so that objects made together do not plan together.
	Jitter func(time.Duration) time.Duration

	// Runner is what all runner pods have in common.
	Runner RunnerConfig
	// AllowCrossNamespaceRefs lets objects use sources of other namespaces.
	AllowCrossNamespaceRefs bool
	// ManageRunnerRBAC keeps the RoleBinding that lets runners report.
	ManageRunnerRBAC bool
	// HistoryChanged and HistoryUnchanged are how many finished runs are kept: those that changed something or failed,
	// and those that found nothing.
	HistoryChanged, HistoryUnchanged int
	// ConcurrentRuns is how many objects may have an active run at the same time; 0: any number.
	ConcurrentRuns int

	grants grants
}

// Reconcile does one step for one object.
func (r *TerraformReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	start := r.Clock()
	before := &infrav1.Terraform{}
	if err := r.Client.Get(ctx, req.NamespacedName, before); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	tf := before.DeepCopy()
	seen, err := r.observe(ctx, tf)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observe: %w", err)
	}
	decision := decide.Next(seen.facts)
	ctrl.LoggerFrom(ctx).V(1).Info("decided", "rule", decision.Rule, "action", decision.Action.String(), "revision", seen.source.Revision)
	decision, err = r.act(ctx, tf, seen, decision)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("%s: %w", decision.Action, err)
	}
	result, err := r.report(ctx, before, tf, seen, decision)
	r.Metrics.RecordDuration(ctx, tf, start)
	return result, err
}

// runnerOf says whether a pod is a runner of ours or of the incumbent.
func runnerOf(obj client.Object) bool {
	_, isPod := obj.(*corev1.Pod)
	return isPod && obj.GetLabels()[infrav1.NameLabel] == infrav1.NameValue
}
