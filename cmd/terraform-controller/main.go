// terraform-controller reconciles Terraform objects: it decides which run is due and starts a runner pod for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/pkg/runtime/client"
	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/fluxcd/pkg/runtime/metrics"
	"github.com/fluxcd/pkg/runtime/probes"
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/controllers"
	"github.com/terraform-controller/terraform-controller/internal/egress"
	"github.com/terraform-controller/terraform-controller/internal/webhook"
)

// version is set by the linker.
var version = "v0.0.0-dev"

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-controller:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:           "terraform-controller",
		Short:         "Plans and applies the Terraform objects of a cluster, each in a pod of its own",
		Args:          cobra.NoArgs,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			return run(ctrl.SetupSignalHandler(), o)
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

func run(ctx context.Context, o *options) error {
	log := logger.NewLogger(o.log)
	logger.SetLogger(log)
	ctx = logf.IntoContext(ctx, log)
	for _, warning := range o.warnings {
		log.Info("warning: " + warning)
	}
	if err := o.intervalJitter.SetGlobalJitter(nil); err != nil {
		return fmt.Errorf("--interval-jitter-percentage: %w", err)
	}
	managerOptions, err := o.managerOptions(log)
	if err != nil {
		return err
	}
	config := client.GetConfigOrDie(o.client)
	guard, err := egress.New(o.egressAllowed, config.Host)
	if err != nil {
		return fmt.Errorf("--egress-allowed-cidrs: %w", err)
	}
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return fmt.Errorf("create the manager: %w", err)
	}
	probes.SetupChecks(mgr, log)
	certificate, err := serveArtifacts(ctx, mgr, o, guard)
	if err != nil {
		return err
	}
	webhooks := &controllers.WebhookReconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Clock: time.Now,
		Caller: &webhook.Caller{Guard: guard, Certificates: o.webhookCertificates, Timeout: webhook.DefaultTimeout},
	}
	if err := setupReconciler(ctx, mgr, o, webhooks, certificate.CA()); err != nil {
		return err
	}
	log.Info("starting", "version", version, "namespace", o.namespace)
	if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run the manager: %w", err)
	}
	return nil
}

// serveArtifacts adds the artifact endpoint. Its certificate is loaded before anything starts: pods are given its CA.
func serveArtifacts(ctx context.Context, mgr ctrl.Manager, o *options, guard *egress.Guard) (*controllers.ServingCertificate, error) {
	certificate := &controllers.ServingCertificate{
		Client: mgr.GetClient(), Namespace: o.namespace, Hosts: o.artifactHosts(), Now: time.Now,
	}
	if err := certificate.Ensure(ctx); err != nil {
		return nil, err
	}
	handler := controllers.NewArtifactHandler(controllers.ArtifactOptions{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), SourceHost: o.sourceHost, Retries: o.httpRetry, Guard: guard,
	})
	server, err := controllers.NewArtifactServer(ctx, o.artifactAddr, certificate, handler)
	if err != nil {
		return nil, fmt.Errorf("--artifact-addr %s: %w", o.artifactAddr, err)
	}
	return certificate, errors.Join(
		mgr.Add(certificate), mgr.Add(server), mgr.AddReadyzCheck("certificate", certificate.Ready))
}

func setupReconciler(ctx context.Context, mgr ctrl.Manager, o *options, webhooks *controllers.WebhookReconciler, ca []byte) error {
	recorder, err := controllers.NewEventRecorder(mgr, logf.FromContext(ctx), o.eventsAddr)
	if err != nil {
		return fmt.Errorf("--events-addr: %w", err)
	}
	runner := o.runner
	runner.ArtifactURL, runner.ArtifactCA = "https://"+o.artifactAdvAddr, ca
	reconciler := &controllers.TerraformReconciler{
		Client:                  mgr.GetClient(),
		APIReader:               mgr.GetAPIReader(),
		Recorder:                recorder,
		Metrics:                 controller.NewMetrics(mgr, metrics.MustMakeRecorder(), infrav1.Finalizer),
		Clock:                   time.Now,
		Jitter:                  jitter.JitteredIntervalDuration,
		Runner:                  runner,
		AllowCrossNamespaceRefs: o.allowCrossNamespaceRefs,
		ExternalArtifacts:       o.externalArtifacts,
		ManageRunnerRBAC:        o.manageRunnerRBAC,
		ApprovalTTL:             o.approvalTTL,
		HistoryChanged:          o.historyChanged,
		HistoryUnchanged:        o.historyUnchanged,
		ConcurrentRuns:          o.concurrentRuns,
		Webhooks:                webhooks,
		AllowBreakTheGlass:      o.allowBreakTheGlass,
		BreakTheGlassLimit:      o.breakTheGlassLimit,
	}
	if err := webhooks.SetupWithManager(mgr); err != nil {
		return err
	}
	err = reconciler.SetupWithManager(ctx, mgr, controllers.SetupOptions{
		Concurrent: o.concurrent, RateLimiter: o.rateLimiter,
	})
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return nil
}
