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
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// load gets exactly the plan that the run names, and what travels with it, before init: init has to find the
// plan's lock file.
func (a *applier) load(ctx context.Context) error {
	wanted := a.run.Spec.Plan
	if wanted == nil {
		return fail(v1alpha2.ReasonPlanNotApplicable, errors.New("the run names no plan"))
	}
	stored, err := planstore.Load(ctx, a.cfg.Client, a.owner, a.spec.GetWorkspace(), wanted.Digest)
	if err != nil {
		if _, unfit := errors.AsType[*planstore.Error](err); unfit {
			return fail(v1alpha2.ReasonPlanNotApplicable, err)
		}
		return fail(v1alpha2.ReasonTFExecApplyFailed, fmt.Errorf("load the plan: %w", err))
	}
	if err := a.applicable(stored); err != nil {
		return fail(v1alpha2.ReasonPlanNotApplicable, err)
	}
	if a.tool.engine != nil { // of the pod that has made a plan; else it is chosen after the plan
		if err := (choice{planned: stored}).fits(a.tool.engine.Binary().Identity); err != nil {
			return err
		}
	}
	a.planner.stored = stored
	if err := a.place(stored); err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	return nil
}

// applicable says why a stored plan is not the one that was approved, or does not fit here.
func (a *applier) applicable(stored *planstore.Plan) error {
	switch {
	case stored.ID != a.run.Spec.Plan.ID:
		return fmt.Errorf("the stored plan is %s, not %s", stored.ID, a.run.Spec.Plan.ID)
	case stored.ArtifactDigest != a.dir.digest:
		return fmt.Errorf("the plan was made of artifact %s, the run is for %s", stored.ArtifactDigest, a.dir.digest)
	}
	return nil
}

// place puts the plan and what travels with it into the working directory.
func (a *applier) place(stored *planstore.Plan) error {
	if err := unpack(a.dir.root, stored.Extra); err != nil {
		return err
	}
	if stored.LockFile != nil {
		if err := a.dir.writeModuleFile(lockFile, stored.LockFile); err != nil {
			return err
		}
	}
	return a.dir.writeModuleFile(planFile, stored.File)
}

// apply applies the plan. From the moment that its start is reported, something may have changed.
func (a *applier) apply(ctx context.Context) error {
	if err := a.prepareApply(ctx); err != nil {
		return err
	}
	a.keeper.keep(ctx)
	a.state.stateVersions().before(ctx, a.state.found)
	if err := a.reportApplyStart(ctx); err != nil {
		return err
	}
	options := engine.ApplyOptions{PlanFile: planFile, LockTimeout: lockTimeout(a.spec), Parallelism: int(a.spec.Parallelism)}
	if err := a.state.overLock(ctx, func() error { return a.tool.engine.Apply(ctx, options) }); err != nil {
		a.state.rescue(ctx)
		return a.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	now := metav1.NewTime(a.cfg.Now())
	a.report.set(func(s *v1alpha2.TerraformRunStatus) { s.ApplyFinishedAt = &now })
	return nil
}

// prepareApply learns from the plan what is secret, fixes the variables to the plan's values, and refreshes where that is
// asked for.
func (a *applier) prepareApply(ctx context.Context) error {
	made, err := a.tool.engine.ShowPlan(ctx, planFile)
	if err != nil {
		return a.engineFailure(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	a.secrets.add(plan.Secrets(made)...)
	changes, err := a.planner.sealed(ctx, made)
	if err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	described := describe(a.planner.stored, changes)
	a.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Plan = described })
	if err := a.warranted(described, changes); err != nil {
		return err
	}
	if err := a.fixVariables(ctx, plan.Variables(made)); err != nil {
		return fail(v1alpha2.ReasonTFExecApplyFailed, err)
	}
	return a.confirm(ctx, made, changes)
}

// warranted holds what the plan file says against the order. Digests of another key are none of ours: a lost key costs a new plan.
func (a *applier) warranted(described *v1alpha2.RunPlan, changes *plan.Changes) error {
	if !plan.HasContent(described.ID, described.Content, a.owner.UID, a.run.Spec.AppliesCompleted) {
		return fail(v1alpha2.ReasonPlanNotApplicable, fmt.Errorf("the stored plan %s does not hold the changes of plan %s", described.Digest, described.ID))
	}
	made := *described
	made.Changes = planChanges(changes)
	order := &a.run.Spec // not what is worked on, which may be a keepsake of another time
	autoSafe := plan.ParseApprove(order.Terraform.ApprovePlan).Mode == plan.ApproveSafe
	if why := decide.Unwarranted(order, autoSafe, &made); why != "" {
		return fail(v1alpha2.ReasonTFExecApplyFailed, fmt.Errorf("plan %s is not what was approved: %s", described.ID, why))
	}
	return nil
}

// fixVariables writes the variables file with the values that are in the plan. OpenTofu compares the values that it
// finds in files and TF_VAR_x with those in the plan, and refuses an apply where they differ: no file at all would let a
// terraform.tfvars of the artifact come through that the plan's file had overridden, and the inputs as they are now
// may have changed since. Only ephemeral variables, which no plan holds, are taken from the inputs as they are now.
func (a *applier) fixVariables(ctx context.Context, planned map[string]any) error {
	values := map[string]any{}
	read, err := inputs.Read(ctx, a.cfg.Client, a.run.Namespace, a.spec)
	if err != nil {
		a.log.Info("inputs can't be read any more; the plan's values are used", "error", err.Error())
		read = &inputs.Result{File: []byte("{}")}
		if kept := a.dir.keptVariables(ctx); kept != nil {
			read.File = kept
		}
	}
	a.secrets.addInputs(read.Secrets...)
	if err := json.Unmarshal(read.File, &values); err != nil {
		return fmt.Errorf("decode inputs: %w", err)
	}
	maps.Copy(values, planned)
	file, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode the plan's variables: %w", err)
	}
	a.dir.toKeep = &keepsake.Kept{Variables: file, Secrets: slices.Concat(read.Secrets, a.podSecrets)}
	if err := a.dir.writeModuleFile(variablesFile, file); err != nil {
		return err
	}
	return a.dir.overrideVariables(planned)
}

// reportApplyStart must succeed before the engine is started: else nobody would know, after a crash, that resources may
// exist.
func (a *applier) reportApplyStart(ctx context.Context) error {
	now := metav1.NewTime(a.cfg.Now())
	a.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Step, s.ApplyStartedAt = v1alpha2.StepApply, &now })
	if err := a.report.commit(ctx); err != nil {
		a.report.set(func(s *v1alpha2.TerraformRunStatus) { s.ApplyStartedAt = nil })
		return fail(v1alpha2.ReasonTFExecApplyFailed, fmt.Errorf("report the start of the apply: %w", err))
	}
	return nil
}
