package main

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// parsed are the options that a command line and an environment come to.
func parsed(t *testing.T, env map[string]string, args ...string) (*options, error) {
	t.Helper()
	o := &options{}
	fs := pflag.NewFlagSet("terraform-controller", pflag.ContinueOnError)
	o.bind(fs)
	NewWithT(t).Expect(fs.Parse(args)).To(Succeed())
	if _, set := env["RUNTIME_NAMESPACE"]; !set && env != nil {
		env["RUNTIME_NAMESPACE"] = "flux-system"
	}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	return o, o.complete(fs, lookup)
}

func TestOptions_DefaultsAreTheIncumbents(t *testing.T) {
	compat.Shows(t, "use.controller-operation", "flag.--metrics-addr", "flag.--events-addr", "flag.--health-addr",
		"flag.--concurrent", "flag.--http-retry", "flag.--graceful-shutdown-timeout",
		"flag.--enable-leader-election and what belongs to it",
	)
	g := NewWithT(t)
	o, err := parsed(t, map[string]string{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.warnings).To(BeEmpty())
	g.Expect([]string{o.metricsAddr, o.healthAddr, o.eventsAddr}).To(Equal([]string{":8080", ":9440", ""}))
	g.Expect([]int{o.concurrent, o.httpRetry, o.historyChanged, o.historyUnchanged}).To(Equal([]int{4, 9, 10, 1}))
	g.Expect(o.gracefulShutdown.String()).To(Equal("4m0s"))
	g.Expect(o.leaderElection.Enable).To(BeFalse())
	g.Expect(o.allowCrossNamespaceRefs).To(BeFalse())
	g.Expect(o.manageRunnerRBAC).To(BeTrue())
	g.Expect(o.artifactAdvAddr).To(Equal("terraform-controller.flux-system.svc:9443"))
	g.Expect(o.artifactHosts()).To(Equal([]string{
		"terraform-controller.flux-system.svc", "terraform-controller.flux-system.svc.cluster.local",
	}))
	g.Expect(o.runner.Image).To(Equal(defaultRunnerRepository + ":" + version))
	g.Expect(o.runner.InstallImage).To(Equal(o.runner.Image))
}

func TestOptions_AcceptsEveryFlagOfTheFieldAndSaysWhichHaveNoEffect(t *testing.T) {
	compat.Shows(t, "use.ipv6", "flag.--requeue-dependency", "flag.--watch-all-namespaces", "flag.--ca-cert-validity-duration",
		"flag.--cert-validity-duration", "flag.--cert-rotation-check-frequency", "flag.--runner-creation-timeout",
		"flag.--runner-rpc-timeout", "flag.--runner-grpc-max-message-size", "flag.--cluster-domain",
		"flag.--use-pod-subdomain-resolution", "flag.--use-priority-queue", "flag.--quota-retry-enabled, -delay, -jitter-factor",
		"flag.--kube-api-qps, --kube-api-burst", "flag.--log-level, --log-encoding",
	)
	g := NewWithT(t)
	o, err := parsed(t, map[string]string{"INSECURE_LOCAL_RUNNER": "1"},
		// The incumbent's, all of them.
		"--metrics-addr=:1", "--events-addr=http://x", "--health-addr=:2", "--concurrent", "24",
		"--requeue-dependency=30s", "--watch-all-namespaces", "--http-retry=9", "--ca-cert-validity-duration=168h",
		"--cert-rotation-check-frequency", "30m", "--cert-validity-duration=6h", "--runner-grpc-port=30000",
		"--runner-creation-timeout=5m", "--runner-rpc-timeout=30m", "--runner-grpc-max-message-size=4",
		"--allow-break-the-glass", "--cluster-domain=corp.local", "--use-pod-subdomain-resolution=true",
		"--use-priority-queue=true", "--graceful-shutdown-timeout=240s", "--quota-retry-enabled=false",
		"--quota-retry-delay=5s", "--quota-retry-jitter-factor=0.4", "--allow-cross-namespace-refs=false",
		"--kube-api-qps=50", "--kube-api-burst=100", "--log-level=info", "--log-encoding=json",
		"--enable-leader-election", "--leader-election-release-on-cancel", "--leader-election-lease-duration=35s",
		"--leader-election-renew-deadline=30s", "--leader-election-retry-period=5s",
		// Flux's.
		"--watch-label-selector=shard=1", "--watch-configs-label-selector=x=y", "--interval-jitter-percentage=10",
		"--min-retry-delay=1s", "--max-retry-delay=1m", "--feature-gates=DirectSourceFetch=true,ExternalArtifact=true",
		"--no-cross-namespace-refs", "--default-service-account=x", "--insecure-kubeconfig-exec",
		"--insecure-kubeconfig-tls", "--token-cache-max-size=1", "--token-cache-max-duration=1h", "--override-manager=x",
		// Ours.
		"--concurrent-runs=10", "--runner-image=r:1", "--runner-idle-timeout=5m", "--approval-ttl=24h",
		"--manage-runner-rbac=false", "--history-changed=3", "--history-unchanged=2", "--artifact-addr=:1443",
		"--artifact-adv-addr=10.0.0.7:443", "--engine-downloads=false", "--break-the-glass-limit=30m",
	)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.concurrent).To(Equal(24))
	g.Expect(o.allowBreakTheGlass).To(BeTrue())
	g.Expect(o.breakTheGlassLimit).To(Equal(30 * time.Minute))
	g.Expect(o.artifactHosts()).To(ContainElements("10.0.0.7", "terraform-controller.flux-system.svc.corp.local"))
	for _, f := range ignoredFlags {
		g.Expect(o.warnings).To(ContainElement(HavePrefix("--"+f.name+" has no effect: ")), "warned of once it is given")
	}
	g.Expect(o.warnings).To(ContainElement(ContainSubstring("INSECURE_LOCAL_RUNNER has no effect")))
	g.Expect(o.warnings).To(ContainElement(ContainSubstring("DirectSourceFetch has no effect")))
	g.Expect(o.externalArtifacts).To(BeTrue(), "the gate that is in use")
	g.Expect(o.warnings).To(HaveLen(len(ignoredFlags) + 2))
}

func TestOptions_CrossNamespaceRefs(t *testing.T) {
	compat.Shows(t, "use.cross-namespace-references", "flag.--allow-cross-namespace-refs", "flag.--no-cross-namespace-refs")
	for _, c := range []struct {
		reason   string
		args     []string
		allowed  bool
		warnings int
	}{
		{"denied by default", nil, false, 0},
		{"the incumbent's switch", []string{"--allow-cross-namespace-refs"}, true, 0},
		{"Flux's switch", []string{"--no-cross-namespace-refs=false"}, true, 0},
		{"Flux's switch, the safe way", []string{"--no-cross-namespace-refs"}, false, 0},
		{"both say the same", []string{"--no-cross-namespace-refs=true", "--allow-cross-namespace-refs=false"}, false, 0},
		{"the incumbent's counts", []string{"--no-cross-namespace-refs", "--allow-cross-namespace-refs"}, true, 1},
	} {
		t.Run(c.reason, func(t *testing.T) {
			o, err := parsed(t, map[string]string{}, c.args...)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			NewWithT(t).Expect(o.allowCrossNamespaceRefs).To(Equal(c.allowed))
			NewWithT(t).Expect(o.warnings).To(HaveLen(c.warnings))
		})
	}
}

func TestOptions_RunnerImages(t *testing.T) {
	compat.Shows(t, "env.RUNNER_POD_IMAGE")
	release := defaultRunnerRepository + ":" + version
	for _, c := range []struct {
		reason, env    string
		args           []string
		image, install string
	}{
		{"the release's", "", nil, release, release},
		{"the incumbent's setting keeps its image, and gets our runner", "corp/tools:1", nil, "corp/tools:1", release},
		{"a mirror of the release's", "", []string{"--runner-image=corp/mirror:1"}, "corp/mirror:1", "corp/mirror:1"},
		{
			"the flag comes before the environment", "corp/tools:1", []string{"--runner-image=corp/mirror:1"},
			"corp/mirror:1", "corp/mirror:1",
		},
		{
			"tools and runner from two images", "", []string{"--runner-image=corp/tools:1", "--runner-install-image=corp/mirror:1"},
			"corp/tools:1", "corp/mirror:1",
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			o, err := parsed(t, map[string]string{"RUNNER_POD_IMAGE": c.env}, c.args...)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			NewWithT(t).Expect(o.runner.Image).To(Equal(c.image))
			NewWithT(t).Expect(o.runner.InstallImage).To(Equal(c.install))
		})
	}
}

func TestOptions_HandsProxiesToRunners(t *testing.T) {
	compat.Shows(t, "env.HTTP_PROXY, HTTPS_PROXY, NO_PROXY")
	o, err := parsed(t, map[string]string{"NO_PROXY": ".svc", "HTTPS_PROXY": "http://p:3128", "HTTP_PROXY": ""})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(o.runner.ProxyEnv).To(Equal([]corev1.EnvVar{
		{Name: "HTTPS_PROXY", Value: "http://p:3128"}, {Name: "NO_PROXY", Value: ".svc"},
	}))
}

func TestOptions_KnowsTheEnvironmentOfTheIncumbent(t *testing.T) {
	compat.Shows(t, "env.RUNTIME_NAMESPACE", "env.SOURCE_CONTROLLER_LOCALHOST", "env.INSECURE_LOCAL_RUNNER",
		"env.DISABLE_TF_K8S_BACKEND", "env.DISABLE_TF_LOGS",
	)
	g := NewWithT(t)
	o, err := parsed(t, map[string]string{
		"RUNTIME_NAMESPACE": "flux-system", "SOURCE_CONTROLLER_LOCALHOST": "localhost:8081", "DISABLE_TF_LOGS": "1",
		"INSECURE_LOCAL_RUNNER": "1", "DISABLE_TF_K8S_BACKEND": "1",
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.namespace).To(Equal("flux-system"))
	g.Expect(o.sourceHost).To(Equal("localhost:8081"))
	g.Expect(o.runner.LogEnv).To(Equal([]corev1.EnvVar{{Name: "DISABLE_TF_LOGS", Value: "1"}}), "it is the runners' log")
	g.Expect(o.warnings).To(Equal([]string{
		"the environment variable INSECURE_LOCAL_RUNNER has no effect", "the environment variable DISABLE_TF_K8S_BACKEND has no effect",
	}))
}

func TestOptions_RefusesWhatCannotWork(t *testing.T) {
	for reason, c := range map[string]struct {
		env  map[string]string
		args []string
		text string
	}{
		"no namespace":         {map[string]string{"RUNTIME_NAMESPACE": ""}, nil, "RUNTIME_NAMESPACE is not set"},
		"no port":              {map[string]string{}, []string{"--artifact-addr=9443"}, "--artifact-addr"},
		"advertised no port":   {map[string]string{}, []string{"--artifact-adv-addr=host"}, "--artifact-adv-addr"},
		"advertised no host":   {map[string]string{}, []string{"--artifact-adv-addr=:9443"}, "runners need a host"},
		"unknown feature gate": {map[string]string{}, []string{"--feature-gates=X=true"}, "--feature-gates"},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := parsed(t, c.env, c.args...)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.text)))
		})
	}
}
