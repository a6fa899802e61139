package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// outputs reads the module's outputs and writes them where the spec says. After a plan that is done only when there is
// nothing to apply, so that a Secret which was altered or removed comes back; after a destruction the Secret goes.
func (r *results) outputs(ctx context.Context) error {
	if r.run.Spec.Operation == v1alpha2.OperationPlan && (r.planner.stored != nil || r.spec.Destroy) {
		return nil
	}
	if err := r.inventory(ctx); err != nil {
		return err
	}
	if r.spec.Destroy {
		return r.deleteOutputs(ctx)
	}
	found, err := r.tool.engine.Outputs(ctx)
	if err != nil {
		return r.engineFailure(v1alpha2.ReasonTFExecOutputFailed, err)
	}
	values := map[string]outputs.Value{}
	for name, o := range found {
		r.secrets.add(sensitiveTexts(o)...)
		values[name] = outputs.Value{Sensitive: o.Sensitive, Type: o.Type, Value: o.Value}
	}
	r.report.set(func(s *v1alpha2.TerraformRunStatus) {
		s.Outputs, s.OutputsRead = slices.Sorted(maps.Keys(found)), true
	})
	r.values = values
	return r.writeOutputs(ctx, values)
}

func (r *results) writeOutputs(ctx context.Context, values map[string]outputs.Value) error {
	keys, changed, err := outputs.Write(ctx, r.cfg.Client, r.owner, values)
	if err != nil {
		return fail(v1alpha2.ReasonOutputsWritingFailed, err)
	}
	r.report.set(func(s *v1alpha2.TerraformRunStatus) { s.OutputsWritten = keys })
	public, withheld, err := outputs.WriteConfigMap(ctx, r.cfg.Client, r.owner, values)
	if err != nil {
		return fail(v1alpha2.ReasonOutputsWritingFailed, err)
	}
	r.log.Info("outputs written", "secret", keys, "changed", changed, "configMap", public)
	r.report.set(func(s *v1alpha2.TerraformRunStatus) {
		s.OutputsWritten = slices.Compact(slices.Sorted(slices.Values(append(keys, public...))))
		s.OutputsWithheld = withheld
	})
	return nil
}

func (r *results) deleteOutputs(ctx context.Context) error {
	r.report.set(func(s *v1alpha2.TerraformRunStatus) { s.OutputsRead = true })
	if err := outputs.Delete(ctx, r.cfg.Client, r.owner); err != nil {
		return fail(v1alpha2.ReasonOutputsWritingFailed, fmt.Errorf("delete the outputs: %w", err))
	}
	return nil
}

// sensitiveTexts are the texts in a sensitive output, at any depth.
func sensitiveTexts(o engine.Output) []string {
	if !o.Sensitive {
		return nil
	}
	var value any
	if json.Unmarshal(o.Value, &value) != nil {
		return []string{string(o.Value)}
	}
	return texts(value)
}

func texts(value any) []string {
	var found []string
	switch v := value.(type) {
	case string:
		found = append(found, v)
	case []any:
		for _, item := range v {
			found = append(found, texts(item)...)
		}
	case map[string]any:
		for _, item := range v {
			found = append(found, texts(item)...)
		}
	}
	return found
}
