package runner

import (
	"fmt"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// maxPlanJSON bounds a plan for webhooks, packed, in bytes. It is a part of the run's status.
const maxPlanJSON = 256 << 10

// planForWebhooks is the plan as the controller sends it to webhooks; nil when none of them takes it. The controller reads no
// Secrets of tenants, so that it gets a plan without what is sensitive or comes from Secrets, by the run's status.
func planForWebhooks(spec *v1alpha2.TerraformSpec, made *tfjson.Plan, hide func(string) string) ([]byte, error) {
	if !spec.SendsPlan() {
		return nil, nil
	}
	packed, err := plan.Public(made, hide, maxPlanJSON)
	if err != nil {
		return nil, fmt.Errorf("the plan for spec.webhooks: %w", err)
	}
	return packed, nil
}
