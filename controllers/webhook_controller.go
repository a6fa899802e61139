package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/webhook"
)

const (
	webhookControllerName = "webhooks"
	// webhookWorkers is how many objects' webhooks are asked at a time, and webhooksPerNamespace of one namespace, so that the
	// slow ones of one tenant keep nobody else waiting.
	webhookWorkers       = 8
	webhooksPerNamespace = 4
	webhookTurn          = time.Second
	// webhooksTime limits the calls for one object together.
	webhooksTime = time.Minute
)

// WebhookReconciler asks webhooks, in a queue and with workers of its own: a reconcile of an object never waits for them. When
// to ask is no business of its own; it is given orders. The verdict goes into the status, which wakes the object.
type WebhookReconciler struct {
	// Client writes the status.
	Client client.Client
	// APIReader reads without the cache: a verdict of a moment ago must be seen.
	APIReader client.Reader
	// Clock tells the time.
	Clock func() time.Time
	// Caller calls.
	Caller *webhook.Caller

	mu    sync.Mutex
	queue requestQueue
	early []client.ObjectKey
	busy  map[string]int
}

// SetupWithManager registers the workers.
func (r *WebhookReconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named(webhookControllerName).
		WatchesRawSource(ctrlsource.Func(r.attach)).
		WithOptions(ctrlcontroller.Options{MaxConcurrentReconciles: webhookWorkers}).
		Complete(r)
	return wrap(err, "build the controller of webhooks")
}

// attach gets the queue when the workers start.
func (r *WebhookReconciler) attach(_ context.Context, queue requestQueue) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = queue
	for _, key := range r.early {
		queue.Add(reconcile.Request{NamespacedName: key})
	}
	r.early = nil
	return nil
}

// Order has the webhooks of that object asked. An order that was given already is not given twice.
func (r *WebhookReconciler) Order(key client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue == nil {
		r.early = append(r.early, key)
		return
	}
	r.queue.Add(reconcile.Request{NamespacedName: key})
}

// Reconcile asks the webhooks of one object about its pending plan.
func (r *WebhookReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !r.begin(req.Namespace) {
		return ctrl.Result{RequeueAfter: webhookTurn}, nil
	}
	defer r.end(req.Namespace)
	tf := &infrav1.Terraform{}
	if err := r.APIReader.Get(ctx, req.NamespacedName, tf); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	digest := webhooksDigest(tf)
	if gate, _, in := decide.GateOf(&tf.Status, digest, askAgain(tf), r.Clock()); gate == decide.GateOpen || in > 0 {
		return ctrl.Result{}, nil // answered in the meantime
	}
	made, err := r.madePlan(ctx, tf)
	if err != nil {
		return ctrl.Result{}, err
	}
	asking, cancel := context.WithTimeout(ctx, webhooksTime)
	defer cancel()
	message := r.Caller.Ask(asking, webhook.Question{Object: tf, Plan: made})
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err() // it was we who have hung up
	}
	ctrl.LoggerFrom(ctx).Info("webhooks asked", "plan", tf.Status.Plan.Pending, "agree", message == "")
	return ctrl.Result{}, r.record(ctx, tf, &infrav1.WebhookVerdict{
		PlanID: tf.Status.Plan.Pending, Run: tf.Status.Plan.Run, Digest: digest,
		Allowed: message == "", Message: message, At: metav1.NewTime(r.Clock()),
	})
}

func (r *WebhookReconciler) begin(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[namespace] >= webhooksPerNamespace {
		return false
	}
	if r.busy == nil {
		r.busy = map[string]int{}
	}
	r.busy[namespace]++
	return true
}

func (r *WebhookReconciler) end(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[namespace]--; r.busy[namespace] == 0 {
		delete(r.busy, namespace)
	}
}

// madePlan is the pending plan as its run has left it for webhooks; nil when there is none.
func (r *WebhookReconciler) madePlan(ctx context.Context, tf *infrav1.Terraform) ([]byte, error) {
	if !tf.Spec.SendsPlan() {
		return nil, nil
	}
	run := &infrav1.TerraformRun{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: tf.Namespace, Name: tf.Status.Plan.Run}, run)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get run %s: %w", tf.Status.Plan.Run, err)
	}
	if !metav1.IsControlledBy(run, tf) || run.Status.Plan == nil || run.Status.Plan.ID != tf.Status.Plan.Pending || len(run.Status.Plan.JSON) == 0 {
		return nil, nil
	}
	made, err := plan.Unpack(run.Status.Plan.JSON)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the plan for webhooks can't be read", "run", run.Name, "error", err.Error())
		return nil, nil
	}
	return made, nil
}

// record writes the verdict, unless what was asked about is not what is pending any more.
func (r *WebhookReconciler) record(ctx context.Context, asked *infrav1.Terraform, verdict *infrav1.WebhookVerdict) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		live := &infrav1.Terraform{}
		if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(asked), live); err != nil {
			return err
		}
		if live.UID != asked.UID || live.Status.Plan.Pending != verdict.PlanID || webhooksDigest(live) != verdict.Digest {
			return nil
		}
		changed := live.DeepCopy()
		changed.Status.Webhooks = verdict
		patch := client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})
		return r.Client.Status().Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager))
	})
	return wrap(client.IgnoreNotFound(err), "record the verdict of webhooks")
}
