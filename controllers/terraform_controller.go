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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

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
	// ExternalArtifacts lets objects use sources of kind ExternalArtifact.
	ExternalArtifacts bool
	// AllowBreakTheGlass lets people have a session in a runner pod, for BreakTheGlassLimit at most.
	AllowBreakTheGlass bool
	BreakTheGlassLimit time.Duration
	// ManageRunnerRBAC keeps the RoleBinding that lets runners report.
	ManageRunnerRBAC bool
	// ApprovalTTL is how long an approval covers later plans.
	ApprovalTTL time.Duration
	// HistoryChanged and HistoryUnchanged are how many finished runs are kept: those that changed something, as many that
	// failed before, and those that found nothing.
	HistoryChanged, HistoryUnchanged int
	// ConcurrentRuns is how many objects may have an active run at the same time; 0: any number.
	ConcurrentRuns int

	// Webhooks asks those of spec.webhooks.
	Webhooks *WebhookReconciler

	grants grants
}

// Reconcile does one step for one object.
func (r *TerraformReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	start := r.Clock()
	before := &infrav1.Terraform{}
	if err := r.Client.Get(ctx, req.NamespacedName, before); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, r.releaseOrphan(ctx, req)
		}
		return ctrl.Result{}, fmt.Errorf("get object: %w", err)
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

// releaseOrphan lets the runner pod of an object go that is gone, because somebody has taken the finalizer off it, once the
// pod's process has ended.
func (r *TerraformReconciler) releaseOrphan(ctx context.Context, req ctrl.Request) error {
	pod := &corev1.Pod{}
	name := PodName(&infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name}})
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: req.Namespace, Name: name}, pod); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !processEnded(pod) && !phaseOver(pod) {
		return nil
	}
	changed := pod.DeepCopy()
	if !controllerutil.RemoveFinalizer(changed, infrav1.RunnerFinalizer) {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, client.MergeFrom(pod), client.FieldOwner(infrav1.FieldManager)))
}

// runnerOf says whether a pod is a runner of ours or of the incumbent.
func runnerOf(obj client.Object) bool {
	_, isPod := obj.(*corev1.Pod)
	return isPod && obj.GetLabels()[infrav1.NameLabel] == infrav1.NameValue
}
