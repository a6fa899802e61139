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
func (j *job) outputs(ctx context.Context) error {
	if j.run.Spec.Operation == v1alpha2.OperationPlan && (j.stored != nil || j.spec.Destroy) {
		return nil
	}
	if err := j.inventory(ctx); err != nil {
		return err
	}
	if j.spec.Destroy {
		return j.deleteOutputs(ctx)
	}
	found, err := j.engine.Outputs(ctx)
	if err != nil {
		return j.engineFailure(v1alpha2.ReasonTFExecOutputFailed, err)
	}
	values := map[string]outputs.Value{}
	for name, o := range found {
		j.secrets.add(sensitiveTexts(o)...)
		values[name] = outputs.Value{Sensitive: o.Sensitive, Type: o.Type, Value: o.Value}
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) {
		s.Outputs, s.OutputsRead = slices.Sorted(maps.Keys(found)), true
	})
	j.values = values
	return j.writeOutputs(ctx, values)
}

func (j *job) writeOutputs(ctx context.Context, values map[string]outputs.Value) error {
	keys, changed, err := outputs.Write(ctx, j.cfg.Client, j.owner, values)
	if err != nil {
		return fail(v1alpha2.ReasonOutputsWritingFailed, err)
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.OutputsWritten = keys })
	public, withheld, err := outputs.WriteConfigMap(ctx, j.cfg.Client, j.owner, values)
	if err != nil {
		return fail(v1alpha2.ReasonOutputsWritingFailed, err)
	}
	j.log.Info("outputs written", "secret", keys, "changed", changed, "configMap", public)
	j.report.set(func(s *v1alpha2.TerraformRunStatus) {
		s.OutputsWritten = slices.Compact(slices.Sorted(slices.Values(append(keys, public...))))
		s.OutputsWithheld = withheld
	})
	return nil
}

func (j *job) deleteOutputs(ctx context.Context) error {
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.OutputsRead = true })
	if err := outputs.Delete(ctx, j.cfg.Client, j.owner); err != nil {
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
