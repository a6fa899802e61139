package v1alpha2

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	defaultRetryInterval   = 15 * time.Second
	defaultMaxRetry        = 24 * time.Hour
	maxLabelValue          = 63
	maxObjectName          = 253
	labelHashDigits        = 16
	defaultTerminationTime = 30 * time.Second
	defaultStateBackups    = 5
)

// GetConditions returns the conditions (fluxcd/pkg conditions.Getter).
func (t *Terraform) GetConditions() []metav1.Condition { return t.Status.Conditions }

// SetConditions replaces the conditions (fluxcd/pkg conditions.Setter).
func (t *Terraform) SetConditions(c []metav1.Condition) { t.Status.Conditions = c }

// GetRetryInterval is the time between a failure and the next try.
func (t *Terraform) GetRetryInterval() time.Duration {
	if t.Spec.RetryInterval == nil || t.Spec.RetryInterval.Duration <= 0 {
		return defaultRetryInterval
	}
	return t.Spec.RetryInterval.Duration
}

// GetMaxRetryInterval is the longest time between a failure and the next try under ExponentialBackoff.
func (t *Terraform) GetMaxRetryInterval() time.Duration {
	if t.Spec.MaxRetryInterval == nil || t.Spec.MaxRetryInterval.Duration <= 0 {
		return defaultMaxRetry
	}
	return t.Spec.MaxRetryInterval.Duration
}

// GetLastHandledReconcileRequest is the last value of reconcile.fluxcd.io/requestedAt that was answered (fluxcd/pkg
// meta.ObjectWithAnnotationRequests).
func (t *Terraform) GetLastHandledReconcileRequest() string {
	return t.Status.GetLastHandledReconcileRequest()
}

// DependencyNamespace is the namespace of an object that this one depends on.
func (t *Terraform) DependencyNamespace(d DependencyReference) string {
	if d.Namespace != "" {
		return d.Namespace
	}
	return t.Namespace
}

// SourceNamespace is the namespace of the source.
func (t *Terraform) SourceNamespace() string {
	if t.Spec.SourceRef.Namespace != "" {
		return t.Spec.SourceRef.Namespace
	}
	return t.Namespace
}

// GetServiceAccountName is the account of the runner pod.
func (s *TerraformSpec) GetServiceAccountName() string {
	if s.ServiceAccountName == "" {
		return DefaultServiceAccount
	}
	return s.ServiceAccountName
}

// GetWorkspace is the workspace of the state.
func (s *TerraformSpec) GetWorkspace() string {
	if s.Workspace == "" {
		return "default"
	}
	return s.Workspace
}

// GetUpgradeOnInit says whether init may take newer provider versions; the default is yes.
func (s *TerraformSpec) GetUpgradeOnInit() bool {
	return s.UpgradeOnInit == nil || *s.UpgradeOnInit
}

// GetStateBackups is the number of versions of the state to be kept.
func (s *TerraformSpec) GetStateBackups() int {
	if s.StateBackups == nil {
		return defaultStateBackups
	}
	return int(*s.StateBackups)
}

// GetTerminationGrace is the time a runner has after SIGTERM.
func (s *TerraformSpec) GetTerminationGrace() time.Duration {
	if s.RunnerTerminationGracePeriodSeconds == nil {
		return defaultTerminationTime
	}
	return time.Duration(*s.RunnerTerminationGracePeriodSeconds) * time.Second
}

// Finished says that the run has ended, one way or another.
func (r *TerraformRun) Finished() bool {
	switch r.Status.Phase {
	case RunSucceeded, RunFailed, RunCancelled:
		return true
	case RunPending, RunRunning:
		return false
	}
	return false
}

// SafeLabelValue makes a label value of any name: unchanged up to 63 bytes, else its first 46 bytes, a dash and
// the first 16 hex digits of its sha256, as the incumbent labels plan Secrets.
func SafeLabelValue(s string) string {
	if len(s) <= maxLabelValue {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:maxLabelValue-labelHashDigits-1] + "-" + hex.EncodeToString(sum[:])[:labelHashDigits]
}

// SafeObjectName is prefix, name and suffix. Where that is longer than an object's name may be, the name is cut, and 16 hex
// digits of its sha256 tell it from others.
func SafeObjectName(prefix, name, suffix string) string {
	return SafeName(maxObjectName, prefix, name, suffix)
}

// SafeName is like SafeObjectName, for what may not be as long: limit counts bytes.
func SafeName(limit int, prefix, name, suffix string) string {
	if room := limit - len(prefix) - len(suffix); len(name) > room {
		sum := sha256.Sum256([]byte(name))
		name = strings.TrimRight(name[:room-labelHashDigits-1], "-.") + "-" + hex.EncodeToString(sum[:])[:labelHashDigits]
	}
	return prefix + name + suffix
}
