package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const targetDigits = 16

// Target identifies what a plan is made for: the source's revision and digest, the fields of the spec that shape a plan, and
// whether everything is to be destroyed. Approving, suspending or timing an object does not move it, so that a plan
// stays good while it is being approved.
func Target(spec *v1alpha2.TerraformSpec, revision string, destroy bool) (string, error) {
	shaping := Shaping(spec)
	shaping.Destroy = shaping.Destroy || destroy
	data, err := json.Marshal(shaping)
	if err != nil {
		return "", fmt.Errorf("encode the spec for its digest: %w", err)
	}
	sum := sha256.Sum256(append([]byte(revision+"\n"), data...))
	return hex.EncodeToString(sum[:])[:targetDigits], nil
}

// Shaping is the spec without what no plan depends on: what is left is what a plan is made for, and what its approval is for. What is
// done after a plan without changes (outputs, health checks) stays: a change of it is to be seen at once.
func Shaping(spec *v1alpha2.TerraformSpec) *v1alpha2.TerraformSpec {
	s := spec.DeepCopy()
	s.ApprovePlan, s.Force, s.PlanOnly, s.BreakTheGlass = "", false, false, false
	s.Interval.Duration, s.RetryInterval, s.MaxRetryInterval, s.RetryStrategy = 0, nil, nil, ""
	s.Suspend, s.Remediation, s.DependsOn = false, nil, nil
	s.DestroyResourcesOnDeletion, s.DisableDriftDetection = false, false
	s.AlwaysCleanupRunnerPod, s.RunnerTerminationGracePeriodSeconds = nil, nil
	s.Webhooks = shapingWebhooks(s)
	s.StoreReadablePlan, s.BranchPlanner, s.Enterprise = "", nil, nil
	s.TfState, s.Timeouts, s.Parallelism, s.RefreshBeforeApply = nil, nil, 0, false
	s.Approval, s.StateBackups = nil, nil
	s.Cloud = withoutToken(s.Cloud)
	return s
}

// shapingWebhooks is what a plan depends on of the webhooks: whether its run has to leave it for them.
func shapingWebhooks(s *v1alpha2.TerraformSpec) []v1alpha2.Webhook {
	if !s.SendsPlan() {
		return nil
	}
	return []v1alpha2.Webhook{{PayloadType: v1alpha2.PayloadPlanOnly}}
}

// withoutToken says which workspaces, and not who may use them: a token is changed now and then.
func withoutToken(c *v1alpha2.CloudSpec) *v1alpha2.CloudSpec {
	if c == nil {
		return nil
	}
	c = c.DeepCopy()
	c.Token, c.TokenSecretRef = "", nil
	return c
}

// Backend identifies where an object's state is kept, so that what is known of one state is not held against another.
func Backend(spec *v1alpha2.TerraformSpec) string {
	data, err := json.Marshal(struct {
		Backend   *v1alpha2.BackendConfigSpec        `json:"backend"`
		From      []v1alpha2.BackendConfigsReference `json:"from"`
		Cloud     *v1alpha2.CloudSpec                `json:"cloud"`
		Workspace string                             `json:"workspace"`
	}{spec.BackendConfig, spec.BackendConfigsFrom, withoutToken(spec.Cloud), spec.GetWorkspace()})
	if err != nil {
		return "" // plain strings and maps are always encoded
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:targetDigits]
}
