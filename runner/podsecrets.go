package runner

import (
	"context"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// podSecrets are what this pod was given of Secrets in its environment: the engine and all that it starts can say it. A Secret
// that this account may not read keeps no run from its work.
func podSecrets(ctx context.Context, cfg *Config, run *v1alpha2.TerraformRun) []string {
	pod := &run.Spec.Terraform.RunnerPodTemplate.Spec
	values, err := inputs.NewReader(cfg.Client, run.Namespace).Environment(ctx, pod, cfg.Getenv)
	if err != nil {
		cfg.Log.Info("values in the environment can't be hidden where the engine says them", "error", err.Error())
	}
	return values
}
