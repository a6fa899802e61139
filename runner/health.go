package runner

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/health"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// maxCheckMessage bounds what is said of one check, in bytes.
const maxCheckMessage = 512

// checks are the last step, when all others are done: where the spec has health checks, and nothing is left to apply.
func (r *results) checks() []step {
	unfinished := r.run.Spec.Operation == v1alpha2.OperationPlan && (r.planner.stored != nil || r.spec.PlanOnly)
	if len(r.spec.HealthChecks) == 0 || r.spec.Destroy || unfinished || r.run.Spec.Session != nil {
		return nil
	}
	return []step{{v1alpha2.StepHealthChecks, r.healthChecks}}
}

// healthChecks does all checks at the same time. They fail the run, but what it has done before counts.
func (r *results) healthChecks(ctx context.Context) error {
	texts, err := outputs.Texts(r.owner, r.values)
	if err != nil {
		return err
	}
	found := make([]v1alpha2.HealthCheckResult, len(r.spec.HealthChecks))
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { found[i] = r.check(ctx, i, texts) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.report.set(func(s *v1alpha2.TerraformRunStatus) { s.HealthChecks = found })
	return failedChecks(found)
}

// check does one check, after its name in the spec.
func (r *results) check(ctx context.Context, i int, texts map[string]string) v1alpha2.HealthCheckResult {
	spec := &r.spec.HealthChecks[i]
	check, err := health.New(fmt.Sprintf("spec.healthChecks[%d]", i), spec, texts)
	if err == nil {
		err = check.Wait(ctx)
	}
	result := v1alpha2.HealthCheckResult{Name: spec.Name, Healthy: err == nil}
	if err != nil {
		result.Message = plan.Truncate(r.secrets.text(err.Error()), maxCheckMessage)
	}
	r.log.Info("health check", "name", result.Name, "healthy", result.Healthy, "message", result.Message)
	return result
}

func failedChecks(results []v1alpha2.HealthCheckResult) error {
	var failed []string
	for _, r := range results {
		if !r.Healthy {
			failed = append(failed, r.Name+": "+r.Message)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fail(v1alpha2.ReasonHealthChecksFailed,
		fmt.Errorf("%d of %d health checks failed: %s", len(failed), len(results), strings.Join(failed, "; ")))
}
