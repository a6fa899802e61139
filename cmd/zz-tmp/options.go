package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fluxcd/pkg/runtime/acl"
	fluxclient "github.com/fluxcd/pkg/runtime/client"
	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
)

const (
	defaultRunnerImage = "ghcr.io/terraform-controller/terraform-runner:" + defaultImageTag
	defaultImageTag    = "latest"
	defaultArtifactAdv = "terraform-controller.%s.svc:9443"
	defaultNamespace   = "flux-system"
)

// options are the flags and the environment; nothing deeper than main reads either.
type options struct {
	metricsAddr, healthAddr, eventsAddr string
	concurrent, concurrentRuns          int
	httpRetry                           int

	allowCrossNamespaceRefs             bool
	gracefulShutdownTimeout             time.Duration
	runnerImage                         string
	runnerIdleTimeout, approvalTTL      time.Duration
	manageRunnerRBAC                    bool
	historyChanged, historyUnchanged    int
	artifactAddr, artifactAdvAddr       string

	client      fluxclient.Options
	log         logger.Options
	election    leaderelection.Options
	rateLimiter controller.RateLimiterOptions
	watch       controller.WatchOptions
	jitter      jitter.IntervalOptions
	acl         acl.Options

	namespace  string
	sourceHost string
	proxyEnv   []corev1.EnvVar
	flags      *pflag.FlagSet
}

// ignoredFlags are accepted, so that the incumbent's Deployment goes on, and mean nothing here.
var ignoredFlags = []struct{ name, value, why string }{
	{"requeue-dependency", "30s", "dependencies wake their dependants"},
	{"ca-cert-validity-duration", "168h0m0s", "runners do not listen, so there are no certificates for them"},
	{"cert-validity-duration", "", "runners do not listen, so there are no certificates for them"},
	{"cert-rotation-check-frequency", "30m0s", "runners do not listen, so there are no certificates for them"},
	{"runner-grpc-port", "30000", "runners do not listen"},
	{"runner-creation-timeout", "2m0s", "no worker waits for a pod"},
	{"runner-rpc-timeout", "30m0s", "use spec.timeouts"},
	{"runner-grpc-max-message-size", "4", "artifacts are streamed"},
	{"allow-break-the-glass", "false", "spec.breakTheGlass is not implemented in this version"},
	{"cluster-domain", "cluster.local", "the controller does not connect to runners"},
	{"use-pod-subdomain-resolution", "false", "the controller does not connect to runners"},
	{"use-priority-queue", "true", "the priority queue is always on"},
	{"quota-retry-enabled", "false", "a refused pod is always tried again"},
	{"quota-retry-delay", "5s", "spec.retryInterval says when"},
	{"quota-retry-jitter-factor", "0.4", "spec.retryInterval says when"},
	{"feature-gates", "", "there are none in this version"},
	{"default-service-account", "", "spec.serviceAccountName defaults to tf-runner"},
	{"concurrent-runs", "10", "runs are not limited in this version"},
	{"runner-idle-timeout", "10m0s", "runner pods are not kept warm in this version"},
	{"approval-ttl", "24h0m0s", "approvals count for one exact plan in this version"},
}

func parseOptions(args []string) (*options, error) {
	o := &options{flags: pflag.NewFlagSet("terraform-controller", pflag.ContinueOnError)}
	o.readEnvironment()
	o.bind(o.flags)
	if err := o.flags.Parse(args); err != nil {
		return nil, fmt.Errorf("parse flags: %w", err)
	}
	if o.acl.NoCrossNamespaceRefs && o.allowCrossNamespaceRefs {
		return nil, fmt.Errorf("parse flags: --no-cross-namespace-refs and --allow-cross-namespace-refs exclude each other")
	}
	return o, nil
}

func (o *options) readEnvironment() {
	o.namespace = defaultNamespace
	if ns := os.Getenv(controller.EnvRuntimeNamespace); ns != "" {
		o.namespace = ns
	}
	o.sourceHost = os.Getenv(controller.EnvSourceLocalhost)
	o.runnerImage = defaultRunnerImage
	if image := os.Getenv("RUNNER_POD_IMAGE"); image != "" {
		o.runnerImage = image
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value := os.Getenv(name); value != "" {
			o.proxyEnv = append(o.proxyEnv, corev1.EnvVar{Name: name, Value: value})
		}
	}
}

func (o *options) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.metricsAddr, "metrics-addr", ":8080", "The address of the metrics endpoint; 0 switches it off.")
	fs.StringVar(&o.healthAddr, "health-addr", ":9440", "The address of the health endpoint.")
	fs.StringVar(&o.eventsAddr, "events-addr", "", "The address of the events receiver (notification-controller).")
	fs.IntVar(&o.concurrent, "concurrent", 4, "The number of concurrent reconciles.")
	fs.IntVar(&o.httpRetry, "http-retry", 9, "The number of retries when an artifact is fetched.")
	fs.BoolVar(&o.allowCrossNamespaceRefs, "allow-cross-namespace-refs", false, "Allow references to objects of other namespaces.")
	fs.DurationVar(&o.gracefulShutdownTimeout, "graceful-shutdown-timeout", 4*time.Minute, "The time that reconciles have to end at a shutdown.")
	fs.StringVar(&o.runnerImage, "runner-image", o.runnerImage, "The image of runner pods whose object names none.")
	fs.BoolVar(&o.manageRunnerRBAC, "manage-runner-rbac", true, "Keep the RoleBinding terraform-runner-report in namespaces with objects.")
	fs.IntVar(&o.historyChanged, "history-changed", 10, "The number of finished runs to keep that changed something or failed.")
	fs.IntVar(&o.historyUnchanged, "history-unchanged", 1, "The number of finished runs to keep that found nothing.")
	fs.StringVar(&o.artifactAddr, "artifact-addr", ":9443", "The address of the endpoint from which runners fetch their artifact.")
	fs.StringVar(&o.artifactAdvAddr, "artifact-adv-addr", fmt.Sprintf(defaultArtifactAdv, o.namespace), "The host and port by which runners reach that endpoint.")
	o.client.BindFlags(fs)
	o.log.BindFlags(fs)
	o.election.BindFlags(fs)
	o.rateLimiter.BindFlags(fs)
	o.watch.BindFlags(fs)
	o.jitter.BindFlags(fs)
	o.acl.BindFlags(fs)
	for _, f := range ignoredFlags {
		fs.String(f.name, f.value, "Accepted and ignored: "+f.why+".")
		if f.value == "true" || f.value == "false" {
			fs.Lookup(f.name).NoOptDefVal = "true"
		}
	}
}

// warnings are about flags that are set and mean nothing.
func (o *options) warnings() []string {
	var warnings []string
	for _, f := range ignoredFlags {
		if o.flags.Changed(f.name) {
			warnings = append(warnings, fmt.Sprintf("flag --%s is ignored: %s", f.name, f.why))
		}
	}
	return warnings
}

// watchNamespace is the only namespace to watch; "" for all.
func (o *options) watchNamespace() string {
	if o.watch.AllNamespaces {
		return ""
	}
	return o.namespace
}

// artifactHosts are the names for the certificate of the artifact endpoint.
func (o *options) artifactHosts() []string {
	host, _, found := strings.Cut(o.artifactAdvAddr, ":")
	if !found || host == "" {
		host = o.artifactAdvAddr
	}
	return []string{host}
}
