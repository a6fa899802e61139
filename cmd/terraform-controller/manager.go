package main

import (
	"fmt"

	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/pprof"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// leaderElectionID is the incumbent's, so that old and new exclude each other during a swap in one namespace.
const leaderElectionID = "1953de50.contrib.fluxcd.io"

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(infrav1.AddToScheme(scheme))
	utilruntime.Must(sourcev1.AddToScheme(scheme))
	return scheme
}

func (o *options) managerOptions(log logr.Logger) (ctrl.Options, error) {
	selector, err := controller.GetWatchSelector(o.watch)
	if err != nil {
		return ctrl.Options{}, fmt.Errorf("--watch-label-selector: %w", err)
	}
	id := leaderElectionID
	if o.watch.LabelSelector != "" {
		id = leaderelection.GenerateID(id, o.watch.LabelSelector)
	}
	return ctrl.Options{
		Scheme:                        newScheme(),
		Logger:                        log,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr, ExtraHandlers: pprof.GetHandlers()},
		HealthProbeBindAddress:        o.healthAddr,
		LeaderElection:                o.leaderElection.Enable,
		LeaderElectionID:              id,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: o.leaderElection.ReleaseOnCancel,
		LeaseDuration:                 &o.leaderElection.LeaseDuration,
		RenewDeadline:                 &o.leaderElection.RenewDeadline,
		RetryPeriod:                   &o.leaderElection.RetryPeriod,
		GracefulShutdownTimeout:       &o.gracefulShutdown,
		Controller: config.Controller{
			RecoverPanic:            ptr.To(true),
			UsePriorityQueue:        &o.usePriorityQueue,
			MaxConcurrentReconciles: o.concurrent,
		},
		Client: client.Options{Cache: &client.CacheOptions{
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}},
		}},
		Cache: o.cacheOptions(selector),
	}, nil
}

// cacheOptions keep in memory what is ours, and of that what decisions need.
func (o *options) cacheOptions(shard labels.Selector) cache.Options {
	opts := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&infrav1.Terraform{}:    {Label: shard},
			&infrav1.TerraformRun{}: {Transform: stripFinishedRun},
			// The incumbent's pods have this label too: during a swap they have to be seen.
			&corev1.Pod{}: {Label: labels.SelectorFromSet(labels.Set{infrav1.NameLabel: infrav1.NameValue})},
			&rbacv1.RoleBinding{}: {
				Field: fields.OneTermEqualSelector("metadata.name", infrav1.RunnerReportRole),
			},
		},
	}
	if !o.watch.AllNamespaces {
		opts.DefaultNamespaces = map[string]cache.Config{o.namespace: {}}
	}
	return opts
}

// stripFinishedRun keeps of a finished run what its result and the history need: whoever wants its plan or its spec
// has to read it without the cache. spec.terraform.destroy stays, as it says what the run was.
func stripFinishedRun(obj any) (any, error) {
	run, ok := obj.(*infrav1.TerraformRun)
	if !ok {
		return obj, nil // a tombstone
	}
	run.ManagedFields = nil
	if !run.Finished() {
		return run, nil
	}
	run.Spec.Terraform = infrav1.TerraformSpec{Destroy: run.Spec.Terraform.Destroy}
	if run.Status.Plan != nil {
		if !plan.Lists(run.Status.Plan) {
			run.Status.Plan.Content = "" // so that nothing fits it
		}
		run.Status.Plan.Rendered, run.Status.Plan.Changes, run.Status.Plan.JSON = "", nil, nil
	}
	return run, nil
}
