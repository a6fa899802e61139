// Terraform-controller plans and applies Terraform objects from Flux sources.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/fluxcd/pkg/runtime/metrics"
	"github.com/fluxcd/pkg/runtime/probes"
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/controllers"
)

// version is set by the linker.
var version = "v0.0.0-dev"

func main() {
	o, err := parseOptions(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "terraform-controller:", err)
		os.Exit(2)
	}
	log := logger.NewLogger(o.log)
	logger.SetLogger(log)
	for _, warning := range o.warnings() {
		log.Info(warning)
	}
	if err := run(ctrl.SetupSignalHandler(), o, log); err != nil {
		log.Error(err, "terraform-controller stopped")
		os.Exit(1)
	}
}

// run wires everything and works until ctx ends.
func run(ctx context.Context, o *options, log logr.Logger) error {
	if err := o.jitter.SetGlobalJitter(nil); err != nil {
		return fmt.Errorf("set the interval's jitter: %w", err)
	}
	mgr, err := newManager(o, log)
	if err != nil {
		return err
	}
	probes.SetupChecks(mgr, log)
	certificate, err := serveArtifacts(ctx, mgr, o, log)
	if err != nil {
		return err
	}
	if err := reconcileTerraforms(ctx, mgr, o, log, certificate); err != nil {
		return err
	}
	log.Info("starting", "version", version)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the manager: %w", err)
	}
	return nil
}

// serveArtifacts sets up the endpoint from which runners fetch their artifact.
func serveArtifacts(ctx context.Context, mgr ctrl.Manager, o *options, log logr.Logger) (*controllers.ServingCertificate, error) {
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	certificate := &controllers.ServingCertificate{Client: direct, Namespace: o.namespace, Hosts: o.artifactHosts(), Now: time.Now}
	if err := certificate.Ensure(ctx); err != nil {
		return nil, err
	}
	handler := controllers.NewArtifactHandler(controllers.ArtifactOptions{
		Client: direct, Reader: mgr.GetAPIReader(), SourceHost: o.sourceHost, Retries: o.httpRetry,
	})
	server, err := controllers.NewArtifactServer(ctx, o.artifactAddr, certificate, handler)
	if err != nil {
		return nil, err
	}
	if err := mgr.AddReadyzCheck("artifacts", certificate.Ready); err != nil {
		return nil, fmt.Errorf("add the readiness check: %w", err)
	}
	if err := mgr.Add(certificate); err != nil {
		return nil, fmt.Errorf("add the certificate: %w", err)
	}
	if err := mgr.Add(server); err != nil {
		return nil, fmt.Errorf("add the artifact server: %w", err)
	}
	return certificate, nil
}

func reconcileTerraforms(ctx context.Context, mgr ctrl.Manager, o *options, log logr.Logger, certificate *controllers.ServingCertificate) error {
	recorder, err := controllers.NewEventRecorder(mgr, log, o.eventsAddr)
	if err != nil {
		return err
	}
	reconciler := &controllers.TerraformReconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder, Clock: time.Now,
		Metrics: controller.NewMetrics(mgr, metrics.MustMakeRecorder(), infrav1.Finalizer),
		Runner: controllers.RunnerConfig{
			Image: o.runnerImage, ArtifactURL: "https://" + o.artifactAdvAddr, ArtifactCA: certificate.CA(), ProxyEnv: o.proxyEnv,
		},
		AllowCrossNamespaceRefs: o.allowCrossNamespaceRefs,
		ManageRunnerRBAC:        o.manageRunnerRBAC,
		HistoryChanged:          o.historyChanged,
		HistoryUnchanged:        o.historyUnchanged,
		Jitter:                  jitter.JitteredIntervalDuration,
	}
	err = reconciler.SetupWithManager(ctx, mgr, controllers.SetupOptions{Concurrent: o.concurrent, RateLimiter: o.rateLimiter})
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return nil
}
