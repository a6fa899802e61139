package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fluxcd/pkg/runtime/controller"
	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
)

// Reasons why a flag has no effect.
const (
	noRPC           = "runners are not called: they take their work from the API server"
	noMTLS          = "runners are not called, so there are no certificates in tenants' namespaces"
	noRemote        = "this controller works on its own cluster only"
	notThisYet      = "this version does not act on it"
	noImpersonation = "runner pods work as the account of their object; without one that is tf-runner"
)

// ignoredFlag is accepted, because Deployments of the incumbent or of Flux's controllers may have it.
type ignoredFlag struct {
	name   string
	isBool bool
	reason string
}

var ignoredFlags = []ignoredFlag{
	{"ca-cert-validity-duration", false, noMTLS},
	{"cert-validity-duration", false, noMTLS},
	{"cert-rotation-check-frequency", false, noMTLS},
	{"runner-grpc-port", false, noRPC},
	{"runner-grpc-max-message-size", false, noRPC},
	{"runner-rpc-timeout", false, noRPC + "; spec.timeouts limits the steps of a run"},
	{"runner-creation-timeout", false, "nothing waits for a pod; one that does not start is reported within seconds"},
	{"use-pod-subdomain-resolution", true, noRPC},
	{"requeue-dependency", false, "dependants are woken when their dependency is ready"},
	{"quota-retry-enabled", true, "a pod that a quota refuses is tried again after spec.retryInterval"},
	{"quota-retry-delay", false, "a pod that a quota refuses is tried again after spec.retryInterval"},
	{"quota-retry-jitter-factor", false, "a pod that a quota refuses is tried again after spec.retryInterval"},
	{"default-service-account", false, noImpersonation},
	{"insecure-kubeconfig-exec", true, noRemote},
	{"insecure-kubeconfig-tls", true, noRemote},
	{"token-cache-max-size", false, "the controller holds no cloud credentials"},
	{"token-cache-max-duration", false, "the controller holds no cloud credentials"},
	{"override-manager", false, "the controller applies no objects of users"},
}

// ignoredEnvironment are switches of the incumbent.
var ignoredEnvironment = []string{"INSECURE_LOCAL_RUNNER", "DISABLE_TF_K8S_BACKEND", "DISABLE_WEBHOOK_TLS_VERIFY"}

// anything is the value of a flag that is not looked at.
type anything struct{ kind string }

func (anything) String() string   { return "" }
func (anything) Set(string) error { return nil }
func (a anything) Type() string   { return a.kind }

func bindWithoutEffect(fs *pflag.FlagSet) {
	for _, f := range ignoredFlags {
		kind := "value"
		if f.isBool {
			kind = "bool"
		}
		fs.Var(anything{kind}, f.name, "Has no effect: "+f.reason+".")
		if f.isBool {
			fs.Lookup(f.name).NoOptDefVal = "true"
		}
	}
}

func warnOfFlags(fs *pflag.FlagSet) []string {
	var warnings []string
	for _, f := range ignoredFlags {
		if fs.Changed(f.name) {
			warnings = append(warnings, fmt.Sprintf("--%s has no effect: %s", f.name, f.reason))
		}
	}
	return warnings
}

func warnOfEnvironment(lookup func(string) (string, bool)) []string {
	var warnings []string
	for _, name := range ignoredEnvironment {
		if value, ok := lookup(name); ok && value != "" {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s has no effect", name))
		}
	}
	return warnings
}

// completeGates refuses gates that no controller of Flux knows, and warns of those that are not in use here.
func (o *options) completeGates() error {
	known := map[string]bool{
		controller.FeatureGateAdditiveCELDependencyCheck: false,
		controller.FeatureGateCacheSecretsAndConfigMaps:  false,
		controller.FeatureGateDirectSourceFetch:          false,
		controller.FeatureGateDisableConfigWatchers:      false,
		controller.FeatureGateExternalArtifact:           false,
	}
	if err := o.featureGates.WithLogger(logr.Discard()).SupportedFeatures(known); err != nil {
		return fmt.Errorf("--feature-gates: %w", err)
	}
	o.externalArtifacts = known[controller.FeatureGateExternalArtifact]
	for _, gate := range slices.Sorted(maps.Keys(known)) {
		if known[gate] && gate != controller.FeatureGateExternalArtifact {
			o.warnings = append(o.warnings, fmt.Sprintf("the feature gate %s has no effect: %s", gate, notThisYet))
		}
	}
	return nil
}
