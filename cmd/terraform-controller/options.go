package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/fluxcd/pkg/runtime/acl"
	"github.com/fluxcd/pkg/runtime/client"
	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/features"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/controllers"
)

const (
	// defaultRunnerRepository holds the runner image of each release.
	defaultRunnerRepository = "ghcr.io/terraform-controller/terraform-runner"

	// serviceName is the Service of the artifact endpoint.
	serviceName = "terraform-controller"

	envRunnerImage = "RUNNER_POD_IMAGE"
	envDisableLogs = "DISABLE_TF_LOGS"
)

// options are the flags and the environment: nothing deeper reads either.
type options struct {
	metricsAddr, healthAddr, eventsAddr string
	concurrent, httpRetry               int
	gracefulShutdown, approvalTTL       time.Duration
	usePriorityQueue                    bool

	allowCrossNamespaceRefs bool
	egressAllowed           []string
	webhookCertificates     string
	clusterDomain           string

	artifactAddr, artifactAdvAddr    string
	runnerImage, runnerInstallImage  string
	manageRunnerRBAC                 bool
	historyChanged, historyUnchanged int
	concurrentRuns                   int
	allowBreakTheGlass               bool
	breakTheGlassLimit               time.Duration

	acl            acl.Options
	client         client.Options
	log            logger.Options
	leaderElection leaderelection.Options
	rateLimiter    controller.RateLimiterOptions
	watch          controller.WatchOptions
	intervalJitter jitter.IntervalOptions
	featureGates   features.FeatureGates

	// What follows is made by complete.

	// externalArtifacts is the feature gate of that name.
	externalArtifacts bool
	// namespace is the controller's own.
	namespace string
	// sourceHost replaces the host of artifacts' URLs.
	sourceHost string
	// runner is what all runner pods have in common, but for the artifact endpoint.
	runner controllers.RunnerConfig
	// warnings are for the log, as soon as there is one.
	warnings []string
}

func (o *options) bind(fs *pflag.FlagSet) {
	o.bindProcess(fs)
	o.bindRunner(fs)
	bindWithoutEffect(fs)
	o.acl.BindFlags(fs)
	o.client.BindFlags(fs)
	o.log.BindFlags(fs)
	o.leaderElection.BindFlags(fs)
	o.rateLimiter.BindFlags(fs)
	o.watch.BindFlags(fs)
	o.intervalJitter.BindFlags(fs)
	o.featureGates.BindFlags(fs)
}

func (o *options) bindProcess(fs *pflag.FlagSet) {
	fs.StringVar(&o.metricsAddr, "metrics-addr", ":8080", "The address the metric endpoint binds to; 0 switches it off.")
	fs.StringVar(&o.healthAddr, "health-addr", ":9440", "The address the health endpoint binds to.")
	fs.StringVar(&o.eventsAddr, "events-addr", "", "The address of the events receiver, notification-controller.")
	fs.IntVar(&o.concurrent, "concurrent", 4, "The number of concurrent reconciles. Runs do not occupy them.")
	fs.IntVar(&o.httpRetry, "http-retry", 9, "The maximum number of retries when an artifact is fetched.")
	fs.DurationVar(&o.gracefulShutdown, "graceful-shutdown-timeout", 4*time.Minute,
		"The time given to reconciles and artifact streams to finish before the process ends.")
	fs.BoolVar(&o.usePriorityQueue, "use-priority-queue", true,
		"Reconcile objects that have changed before those that are only looked at again.")
	fs.BoolVar(&o.allowCrossNamespaceRefs, "allow-cross-namespace-refs", false,
		"Let objects refer to sources and dependencies in other namespaces.")
	fs.StringSliceVar(&o.egressAllowed, "egress-allowed-cidrs", nil,
		"Networks that the controller may call for webhooks and artifacts although they are loopback, link-local, multicast or a metadata service.")
	fs.StringVar(&o.webhookCertificates, "webhook-certs-dir", "/etc/certs",
		"The folder with <host>/tls.crt, tls.key and ca.crt for calls of webhooks on that host; each is optional.")
	fs.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local",
		"The cluster's DNS domain; the artifact endpoint's certificate is valid for the Service's name in it.")
}

func (o *options) bindRunner(fs *pflag.FlagSet) {
	fs.StringVar(&o.artifactAddr, "artifact-addr", ":9443", "The address the artifact endpoint, for runners, binds to.")
	fs.StringVar(&o.artifactAdvAddr, "artifact-adv-addr", "",
		"The host:port by which runners reach the artifact endpoint. Default: the Service "+serviceName+".")
	fs.StringVar(&o.runnerImage, "runner-image", defaultRunnerRepository+":"+version,
		"The image of runner pods whose object names none. Without this flag, "+envRunnerImage+" is taken where it is set.")
	fs.StringVar(&o.runnerInstallImage, "runner-install-image", "",
		"The image that pods with images of other repositories get the runner from. Default: --runner-image.")
	fs.BoolVar(&o.runner.EngineDownloads, "engine-downloads", true,
		"Let runners download the engine that spec.engine asks for, where it is neither in their image nor mounted. Signatures are verified.")
	fs.BoolVar(&o.manageRunnerRBAC, "manage-runner-rbac", true,
		"Keep a RoleBinding terraform-runner-report in each namespace with objects, so that runners can report.")
	fs.DurationVar(&o.runner.IdleTimeout, "runner-idle-timeout", 10*time.Minute,
		"How long a runner pod of an object with alwaysCleanupRunnerPod: false waits for the approval of its plan.")
	fs.DurationVar(&o.approvalTTL, "approval-ttl", 24*time.Hour, "How long an approval covers later plans that hold no other change.")
	fs.BoolVar(&o.allowBreakTheGlass, "allow-break-the-glass", false,
		"Let objects with spec.breakTheGlass keep a runner pod open for a person. Who may exec into it works with the runner's account.")
	fs.DurationVar(&o.breakTheGlassLimit, "break-the-glass-limit", time.Hour, "How long such a session may take.")
	fs.IntVar(&o.concurrentRuns, "concurrent-runs", 10,
		"The number of objects that may have a run at the same time; others wait. 0: no limit.")
	fs.IntVar(&o.historyChanged, "history-changed", 10, "The number of runs to keep that changed something or found something to change, and of those that failed before that.")
	fs.IntVar(&o.historyUnchanged, "history-unchanged", 1, "The number of runs to keep that found nothing to change.")
}

// complete adds what the environment says and checks what can be checked without a cluster.
func (o *options) complete(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	if o.namespace, _ = lookup(controller.EnvRuntimeNamespace); o.namespace == "" {
		return fmt.Errorf("%s is not set: it has to name the controller's own namespace", controller.EnvRuntimeNamespace)
	}
	o.sourceHost, _ = lookup(controller.EnvSourceLocalhost)
	o.warnings = append(warnOfFlags(fs), warnOfEnvironment(lookup)...)
	if err := o.completeGates(); err != nil {
		return err
	}
	o.completeCrossNamespace(fs)
	o.completeRunner(fs, lookup)
	return o.completeArtifacts()
}

// completeCrossNamespace knows the flags of the incumbent and of Flux: --no-cross-namespace-refs counts when it is
// given and the other is not.
func (o *options) completeCrossNamespace(fs *pflag.FlagSet) {
	const allow, forbid = "allow-cross-namespace-refs", "no-cross-namespace-refs"
	switch {
	case fs.Changed(forbid) && !fs.Changed(allow):
		o.allowCrossNamespaceRefs = !o.acl.NoCrossNamespaceRefs
	case fs.Changed(forbid) && o.allowCrossNamespaceRefs == o.acl.NoCrossNamespaceRefs:
		o.warnings = append(o.warnings, fmt.Sprintf("--%s and --%s contradict each other: --%s=%t counts",
			allow, forbid, allow, o.allowCrossNamespaceRefs))
	}
}

func (o *options) completeRunner(fs *pflag.FlagSet, lookup func(string) (string, bool)) {
	o.runner.Image, o.runner.InstallImage = o.runnerImage, o.runnerInstallImage
	if o.runner.InstallImage == "" {
		o.runner.InstallImage = o.runnerImage
	}
	if image, _ := lookup(envRunnerImage); image != "" && !fs.Changed("runner-image") {
		o.runner.Image = image
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, _ := lookup(name); value != "" {
			o.runner.ProxyEnv = append(o.runner.ProxyEnv, corev1.EnvVar{Name: name, Value: value})
		}
	}
	if value, _ := lookup(envDisableLogs); value != "" {
		o.runner.LogEnv = []corev1.EnvVar{{Name: envDisableLogs, Value: value}}
	}
}

func (o *options) completeArtifacts() error {
	_, port, err := net.SplitHostPort(o.artifactAddr)
	if err != nil {
		return fmt.Errorf("--artifact-addr: %w", err)
	}
	if o.artifactAdvAddr == "" {
		o.artifactAdvAddr = net.JoinHostPort(serviceName+"."+o.namespace+".svc", port)
	}
	host, _, err := net.SplitHostPort(o.artifactAdvAddr)
	if err != nil {
		return fmt.Errorf("--artifact-adv-addr: %w", err)
	}
	if host == "" {
		return errors.New("--artifact-adv-addr: runners need a host, not only a port")
	}
	return nil
}

// artifactHosts are the names that the endpoint's certificate is made for.
func (o *options) artifactHosts() []string {
	host, _, _ := net.SplitHostPort(o.artifactAdvAddr) // complete has checked it
	service := serviceName + "." + o.namespace + ".svc"
	hosts := []string{host, service, service + "." + o.clusterDomain}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
