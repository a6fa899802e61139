package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	utilwait "k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
)

const (
	// sourceIndex finds the objects of a source by "<kind>/<namespace>/<name>".
	sourceIndex = ".metadata.source"

	// kindsEvery is the time between two looks for kinds of sources that the cluster does not have.
	kindsEvery = 15 * time.Second
)

func (r *TerraformReconciler) sourcePolicy() source.Policy {
	return source.Policy{CrossNamespace: r.AllowCrossNamespaceRefs, ExternalArtifacts: r.ExternalArtifacts}
}

func indexSource(obj client.Object) []string {
	tf, ok := obj.(*infrav1.Terraform)
	if !ok {
		return nil
	}
	return []string{tf.Spec.SourceRef.Kind + "/" + tf.SourceNamespace() + "/" + tf.Spec.SourceRef.Name}
}

func (r *TerraformReconciler) objectsOf(kind string) handler.MapFunc {
	return func(ctx context.Context, src client.Object) []reconcile.Request {
		var list infrav1.TerraformList
		key := kind + "/" + src.GetNamespace() + "/" + src.GetName()
		if err := r.Client.List(ctx, &list, client.MatchingFields{sourceIndex: key}); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list the objects of a source", "source", key)
			return nil
		}
		requests := make([]reconcile.Request, 0, len(list.Items))
		for i := range list.Items {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}})
		}
		return requests
	}
}

// sourceWatches are the watches of sources. A kind that the cluster does not have, because Flux is older or not there yet,
// keeps no other from being watched; it is when it comes.
type sourceWatches struct {
	reconciler *TerraformReconciler
	mapper     apimeta.RESTMapper
	cache      cache.Cache
	controller ctrlcontroller.Controller
	// missing kinds.
	missing []string
}

// watchSources watches the kinds of sources that there are, and sees to the others when the manager runs.
func (r *TerraformReconciler) watchSources(mgr ctrl.Manager, c ctrlcontroller.Controller) error {
	w := &sourceWatches{reconciler: r, mapper: mgr.GetRESTMapper(), cache: mgr.GetCache(), controller: c, missing: r.sourcePolicy().Kinds()}
	if err := w.watch(); err != nil {
		return err
	}
	if len(w.missing) == 0 {
		return nil
	}
	mgr.GetLogger().Info("the cluster does not have all kinds of sources: install Flux's source-controller, or a newer one",
		"missing", strings.Join(w.missing, ", "), "of", sourcev1.GroupVersion.String())
	if err := mgr.Add(w); err != nil {
		return fmt.Errorf("add the watches of sources: %w", err)
	}
	return nil
}

// Start looks for missing kinds until there are none or ctx ends.
func (w *sourceWatches) Start(ctx context.Context) error {
	// The only error is that of ctx, and to be stopped is none.
	_ = utilwait.PollUntilContextCancel(ctx, kindsEvery, false, func(ctx context.Context) (bool, error) {
		if err := w.watch(); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "look for missing kinds of sources")
		}
		return len(w.missing) == 0, nil
	})
	return nil
}

// watch begins to watch those of the missing kinds that the cluster has.
func (w *sourceWatches) watch() error {
	for _, kind := range slices.Clone(w.missing) {
		gvk := sourcev1.GroupVersion.WithKind(kind)
		_, err := w.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if apimeta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up kind %s: %w", kind, err)
		}
		wake := handler.EnqueueRequestsFromMapFunc(w.reconciler.objectsOf(kind))
		if err := w.controller.Watch(ctrlsource.Kind[client.Object](w.cache, source.NewObject(kind), wake, artifactChanged())); err != nil {
			return fmt.Errorf("watch kind %s: %w", kind, err)
		}
		w.missing = slices.DeleteFunc(w.missing, func(k string) bool { return k == kind })
	}
	return nil
}

// artifactChanged lets a source's creation, deletion, new artifact and, while it has none, its own trouble through.
func artifactChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(sourcev1.Source)
		is, isSource := e.ObjectNew.(sourcev1.Source)
		if !ok || !isSource {
			return false
		}
		if is.GetArtifact() == nil {
			return true
		}
		return was.GetArtifact() == nil || was.GetArtifact().Revision != is.GetArtifact().Revision || was.GetArtifact().Digest != is.GetArtifact().Digest
	}}
}
