package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// loadPlan gets exactly the plan that the run names, and what travels with it, before init: init has to find the
// plan's lock file.
func (j *job) loadPlan(ctx context.Context) error {
	wanted := j.run.Spec.Plan
	if wanted == nil {
		return fail(v1alpha2.ReasonPlanNotApplicable, errors.New("the run names no plan"))
	}
	stored, err := planstore.Load(ctx, j.cfg.Client, j.owner, j.spec.GetWorkspace(), wanted.Digest)
	if err != nil {
		if _, unfit := errors.AsType[*planstore.Error](err); unfit {
			return fail(v1alpha2.ReasonPlanNotApplicable, err)
		}
		return fail(v1alpha2.ReasonTFExecApplyFailed, fmt.Errorf("load the plan: %w", err))
	}
	if err := j.applicable(stored); err != nil {
		return fail(v1alpha2.ReasonPlanNotApplicable, err)
	}
	if j.engine != nil { // of the pod that has made a plan; else it is chosen after the plan
		if err := (choice{planned: stored}).fits(j.engine.Binary().Identity); err != nil {
			return err
		}
	}
	j.stored = stored
	if err := j.placePlan(stored); err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	return nil
}

// applicable says why a stored plan is not the one that was approved, or does not fit here.
func (j *job) applicable(stored *planstore.Plan) error {
	switch {
	case stored.ID != j.run.Spec.Plan.ID:
		return fmt.Errorf("the stored plan is %s, not %s", stored.ID, j.run.Spec.Plan.ID)
	case stored.ArtifactDigest != j.digest:
		return fmt.Errorf("the plan was made of artifact %s, the run is for %s", stored.ArtifactDigest, j.digest)
	}
	return nil
}

// placePlan puts the plan and what travels with it into the working directory.
func (j *job) placePlan(stored *planstore.Plan) error {
	if err := unpack(j.root, stored.Extra); err != nil {
		return err
	}
	if stored.LockFile != nil {
		if err := j.writeModuleFile(lockFile, stored.LockFile); err != nil {
			return err
		}
	}
	return j.writeModuleFile(planFile, stored.File)
}

// apply applies the plan. From the moment that its start is reported, something may have changed.
func (j *job) apply(ctx context.Context) error {
	if err := j.prepareApply(ctx); err != nil {
		return err
	}
	j.keep(ctx)
	j.stateVersions().before(ctx, j.found)
	if err := j.reportApplyStart(ctx); err != nil {
		return err
	}
	options := engine.ApplyOptions{PlanFile: planFile, LockTimeout: lockTimeout(j.spec), Parallelism: int(j.spec.Parallelism)}
	if err := j.overLock(ctx, func() error { return j.engine.Apply(ctx, options) }); err != nil {
		j.rescueState(ctx)
		return j.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	now := metav1.NewTime(j.cfg.Now())
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.ApplyFinishedAt = &now })
	return nil
}

// prepareApply learns from the plan what is secret, fixes the variables to the plan's values, and refreshes where that is
// asked for.
func (j *job) prepareApply(ctx context.Context) error {
	made, err := j.engine.ShowPlan(ctx, planFile)
	if err != nil {
		return j.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	j.secrets.add(plan.Secrets(made)...)
	changes, err := j.sealed(ctx, made)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Plan = describe(j.stored, changes) })
	if err := j.fixVariables(ctx, variablesOf(made)); err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	return j.confirm(ctx, made, changes)
}

// fixVariables writes the variables file with the values that are in the plan. OpenTofu compares the values that it
// finds in files and TF_VAR_x with those in the plan, and refuses an apply where they differ: no file at all would let a
// terraform.tfvars of the artifact come through that the plan's file had overridden, and the inputs as they are now
// may have changed since. Only ephemeral variables, which no plan holds, are taken from the inputs as they are now.
func (j *job) fixVariables(ctx context.Context, planned map[string]any) error {
	values := map[string]any{}
	read, err := inputs.Read(ctx, j.cfg.Client, j.run.Namespace, j.spec)
	if err != nil {
		j.log.Info("inputs can't be read any more; the plan's values are used", "error", err.Error())
		read = &inputs.Result{File: []byte("{}")}
		if kept := j.keptVariables(ctx); kept != nil {
			read.File = kept
		}
	}
	j.secrets.add(read.Secrets...)
	if err := json.Unmarshal(read.File, &values); err != nil {
		return fmt.Errorf("decode inputs: %w", err)
	}
	maps.Copy(values, planned)
	file, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode the plan's variables: %w", err)
	}
	j.toKeep = &keepsake.Kept{Variables: file, Secrets: slices.Concat(read.Secrets, j.podSecrets)}
	if err := j.writeModuleFile(variablesFile, file); err != nil {
		return err
	}
	return j.overrideVariables(planned)
}

// reportApplyStart must succeed before the engine is started: else nobody would know, after a crash, that resources may
// exist.
func (j *job) reportApplyStart(ctx context.Context) error {
	now := metav1.NewTime(j.cfg.Now())
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Step, s.ApplyStartedAt = v1alpha2.StepApply, &now })
	if err := j.report.commit(ctx); err != nil {
		j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.ApplyStartedAt = nil })
		return fail(v1alpha2.ReasonTFExecApplyFailed, fmt.Errorf("report the start of the apply: %w", err))
	}
	return nil
}
