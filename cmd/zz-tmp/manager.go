package main

import (
	"fmt"

	fluxclient "github.com/fluxcd/pkg/runtime/client"
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
)

// leaderElectionID is the incumbent's, so that both exclude each other during a swap in one namespace.
const leaderElectionID = "1953de50.contrib.fluxcd.io"

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(sourcev1.AddToScheme(scheme))
	utilruntime.Must(infrav1.AddToScheme(scheme))
	return scheme
}

func newManager(o *options, log logr.Logger) (ctrl.Manager, error) {
	cacheOptions, err := cacheOptions(o)
	if err != nil {
		return nil, err
	}
	id := leaderElectionID
	if o.watch.LabelSelector != "" {
		id = leaderelection.GenerateID(id, o.watch.LabelSelector)
	}
	mgr, err := ctrl.NewManager(fluxclient.GetConfigOrDie(o.client), ctrl.Options{
		Scheme:                        newScheme(),
		Logger:                        log,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr, ExtraHandlers: pprof.GetHandlers()},
		HealthProbeBindAddress:        o.healthAddr,
		LeaderElection:                o.election.Enable,
		LeaderElectionReleaseOnCancel: o.election.ReleaseOnCancel,
		LeaseDuration:                 &o.election.LeaseDuration,
		RenewDeadline:                 &o.election.RenewDeadline,
		RetryPeriod:                   &o.election.RetryPeriod,
		LeaderElectionID:              id,
		LeaderElectionNamespace:       o.namespace,
		GracefulShutdownTimeout:       &o.gracefulShutdownTimeout,
		Cache:                         cacheOptions,
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}}}},
		Controller:                    config.Controller{RecoverPanic: ptr.To(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	return mgr, nil
}

// cacheOptions keep in memory only what is ours, and of that only what decisions need.
func cacheOptions(o *options) (cache.Options, error) {
	watched, err := controller.GetWatchSelector(o.watch)
	if err != nil {
		return cache.Options{}, fmt.Errorf("read --watch-label-selector: %w", err)
	}
	opts := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&infrav1.Terraform{}:    {Label: watched},
			&infrav1.TerraformRun{}: {Transform: slimRun},
			&corev1.Pod{}:           {Label: labels.SelectorFromSet(labels.Set{infrav1.NameLabel: infrav1.NameValue})},
			&rbacv1.RoleBinding{}:   {Field: fields.OneTermEqualSelector("metadata.name", infrav1.RunnerReportRole)},
		},
	}
	if ns := o.watchNamespace(); ns != "" {
		opts.DefaultNamespaces = map[string]cache.Config{ns: {}}
	}
	return opts, nil
}

// slimRun drops what no decision looks at: the frozen spec but for what Settle asks of it, and the plan's text.
func slimRun(obj any) (any, error) {
	run, ok := obj.(*infrav1.TerraformRun)
	if !ok {
		return obj, nil
	}
	run.ManagedFields = nil
	if run.Finished() {
		run.Spec.Terraform = infrav1.TerraformSpec{Destroy: run.Spec.Terraform.Destroy}
	}
	if run.Status.Plan != nil {
		run.Status.Plan.Rendered = ""
	}
	return run, nil
}
