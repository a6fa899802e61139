package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	targetDigits     = 16
	maxRunNamePrefix = 40
	runSuffixDigits  = 8
)

// Target identifies what a plan is made for: the source's revision and digest, the fields of the spec that shape a plan, and
// whether everything is to be destroyed. Approving, suspending or timing an object does not move it, so that a plan
// stays good while it is being approved.
func Target(spec *infrav1.TerraformSpec, revision string, destroy bool) (string, error) {
	shaping := planShaping(spec)
	shaping.Destroy = shaping.Destroy || destroy
	data, err := json.Marshal(shaping)
	if err != nil {
		return "", fmt.Errorf("encode the spec for its digest: %w", err)
	}
	sum := sha256.Sum256(append([]byte(revision+"\n"), data...))
	return hex.EncodeToString(sum[:])[:targetDigits], nil
}

// planShaping is the spec without what no plan depends on. What is done after a plan without changes (outputs, health checks)
// stays: a change of it is to be seen at once.
func planShaping(spec *infrav1.TerraformSpec) *infrav1.TerraformSpec {
	s := spec.DeepCopy()
	s.ApprovePlan, s.Force, s.PlanOnly, s.BreakTheGlass = "", false, false, false
	s.Interval.Duration, s.RetryInterval, s.MaxRetryInterval, s.RetryStrategy = 0, nil, nil, ""
	s.Suspend, s.Remediation, s.DependsOn = false, nil, nil
	s.DestroyResourcesOnDeletion, s.DisableDriftDetection = false, false
	s.AlwaysCleanupRunnerPod, s.RunnerTerminationGracePeriodSeconds = nil, nil
	s.Webhooks = planForWebhooks(s)
	s.StoreReadablePlan, s.BranchPlanner, s.Enterprise = "", nil, nil
	s.TfState, s.Timeouts, s.Parallelism, s.RefreshBeforeApply = nil, nil, 0, false
	s.Approval, s.StateBackups = nil, nil
	s.Cloud = withoutToken(s.Cloud)
	return s
}

// withoutToken says which workspaces, and not who may use them: a token is changed now and then.
func withoutToken(c *infrav1.CloudSpec) *infrav1.CloudSpec {
	if c == nil {
		return nil
	}
	c = c.DeepCopy()
	c.Token, c.TokenSecretRef = "", nil
	return c
}

// backendOf identifies where an object's state is kept, so that what is known of one state is not held against another.
func backendOf(spec *infrav1.TerraformSpec) string {
	data, err := json.Marshal(struct {
		Backend   *infrav1.BackendConfigSpec        `json:"backend"`
		From      []infrav1.BackendConfigsReference `json:"from"`
		Cloud     *infrav1.CloudSpec                `json:"cloud"`
		Workspace string                            `json:"workspace"`
	}{spec.BackendConfig, spec.BackendConfigsFrom, withoutToken(spec.Cloud), spec.GetWorkspace()})
	if err != nil {
		return "" // plain strings and maps are always encoded
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:targetDigits]
}

// RunName is the name of the run with that sequence: the first 40 characters of the object's name and 8 hex digits of
// its UID and the sequence. Two controllers that begin the same run therefore make the same object.
func RunName(tf *infrav1.Terraform, sequence int64) string {
	prefix := tf.Name
	if len(prefix) > maxRunNamePrefix {
		prefix = strings.TrimRight(prefix[:maxRunNamePrefix], "-.")
	}
	return prefix + "-" + runSuffix(tf, sequence)
}

func runSuffix(tf *infrav1.Terraform, sequence int64) string {
	sum := sha256.Sum256([]byte(string(tf.UID) + "/" + strconv.FormatInt(sequence, 10)))
	return hex.EncodeToString(sum[:])[:runSuffixDigits]
}
