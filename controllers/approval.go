package controllers

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// settle folds the result of a finished active run into the status. The cache holds runs without their single changes;
// where an approval may cover them the run is read again.
func (r *TerraformReconciler) settle(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	if o.run == nil || !o.run.Finished() {
		return nil
	}
	run := o.run
	a := tf.Status.Approval
	approved := a != nil && len(a.Changes) > 0 || run.Spec.FormerPlan != ""
	if approved && run.Status.Plan != nil && run.Spec.Operation == infrav1.OperationPlan {
		full, err := r.fullRun(ctx, tf, run.Name)
		if err != nil {
			return err
		}
		if full != nil {
			run = full
		}
	}
	run = believed(tf, run)
	decide.Settle(tf, run, o.now, r.ApprovalTTL)
	o.settled, o.run = run, nil
	r.grants.giveBack(tf.UID)
	return nil
}

// believed is a finished run as it counts: one that reports a plan under an id which does not stand for that plan has failed.
func believed(tf *infrav1.Terraform, run *infrav1.TerraformRun) *infrav1.TerraformRun {
	if p := run.Status.Plan; p == nil || p.ID == "" || run.Spec.Operation != infrav1.OperationPlan || fits(tf, run) {
		return run
	}
	refuted := run.DeepCopy()
	refuted.Status.Phase, refuted.Status.Plan = infrav1.RunFailed, nil
	refuted.Status.Failure = &infrav1.RunFailure{
		Reason: infrav1.ReasonTFExecPlanFailed, Message: "the run reports the plan " + run.Status.Plan.ID + ", but other changes than that id stands for",
	}
	return refuted
}

func fits(tf *infrav1.Terraform, run *infrav1.TerraformRun) bool {
	return run.Status.Plan != nil && plan.Fits(run.Status.Plan, tf.UID, run.Spec.AppliesCompleted)
}

// fullRun reads a run without the cache; nil when it is gone.
func (r *TerraformReconciler) fullRun(ctx context.Context, tf *infrav1.Terraform, name string) (*infrav1.TerraformRun, error) {
	run := &infrav1.TerraformRun{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: tf.Namespace, Name: name}, run)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get run %s: %w", name, err)
	}
	return run, nil
}

// observeApproval folds an approval that is new on the object into the status, or says of one that is for an earlier plan
// what it does not cover.
func (r *TerraformReconciler) observeApproval(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	decide.Reject(tf)
	how := decide.Asked(tf, func(token string) decide.Match {
		if tf.Status.Plan.Target == "" {
			return decide.MatchNone // the incumbent's plan, which is not applied: see formerPlan
		}
		return matches(tf, token)
	})
	if how != "" {
		pending, err := r.planOf(ctx, tf, tf.Status.Plan.Run)
		if err != nil {
			return err
		}
		decide.Approve(tf, how, pending, o.now)
		o.approved = true
		return nil
	}
	return r.observeEarlier(ctx, tf, o)
}

// planOf is the plan that a run has made; nil when that is gone, or the run reports another one under its id.
func (r *TerraformReconciler) planOf(ctx context.Context, tf *infrav1.Terraform, run string) (*infrav1.RunPlan, error) {
	if run == "" {
		return nil, nil
	}
	full, err := r.fullRun(ctx, tf, run)
	if full == nil || !fits(tf, full) {
		return nil, err
	}
	return full.Status.Plan, nil
}

// observeEarlier looks for a token that names an earlier plan of the history, and holds it against the pending one.
func (r *TerraformReconciler) observeEarlier(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	st := &tf.Status
	earlier, how := o.earlierPlan(tf)
	if earlier == nil || decide.Rejected(tf) || st.RefusedApproval != nil && st.RefusedApproval.PlanID == earlier.Status.Plan.ID {
		return nil
	}
	was, err := r.planOf(ctx, tf, earlier.Name)
	if err != nil {
		return err
	}
	is, err := r.planOf(ctx, tf, st.Plan.Run)
	if err != nil {
		return err
	}
	if was != nil && is != nil {
		o.approved = decide.Transfer(tf, how, was, is, o.now)
		o.refused = !o.approved
	}
	return nil
}

// earlierPlan is the run whose plan a token on the object names, when that is neither the pending plan nor one that was
// approved before, and nothing has been applied since it was made: a token that stays in Git is inert after its apply.
func (o *observation) earlierPlan(tf *infrav1.Terraform) (*infrav1.TerraformRun, infrav1.ApprovalHow) {
	st := &tf.Status
	if st.Plan.Pending == "" || decide.Approved(st) {
		return nil, ""
	}
	tokens := []struct {
		text string
		how  infrav1.ApprovalHow
	}{{tf.Annotations[infrav1.ApprovePlanAnnotation], infrav1.ApprovalByAnnotation}, {tf.Spec.ApprovePlan, infrav1.ApprovalBySpec}}
	for _, token := range tokens {
		if token.text == "" || token.text == st.Plan.Pending || decide.Void(st, token.text) || st.Approval != nil && token.text == st.Approval.PlanID {
			continue
		}
		for i := range o.runs {
			if made(&o.runs[i], token.text) && fits(tf, &o.runs[i]) && o.runs[i].Spec.AppliesCompleted == st.AppliesCompleted {
				return &o.runs[i], token.how
			}
		}
	}
	return nil, ""
}

func made(run *infrav1.TerraformRun, id string) bool {
	return run.Spec.Operation == infrav1.OperationPlan && run.Status.Plan != nil && run.Status.Plan.ID == id
}

// planFacts are about the pending plan.
func planFacts(tf *infrav1.Terraform) decide.Plan {
	st := &tf.Status
	if st.Plan.Pending == "" {
		return decide.Plan{}
	}
	return decide.Plan{
		ID: st.Plan.Pending, Target: st.Plan.Target, Drift: st.Plan.IsDriftDetectionPlan, Summary: st.Plan.Summary, Safe: st.Plan.Safe,
		Approved: decide.Approved(st), Rejected: decide.Rejected(tf),
		Forced:  st.Approval != nil && st.Approval.How == infrav1.ApprovalByForce && st.Approval.PlanID == st.Plan.Pending,
		Refused: refusedMessage(st.RefusedApproval), Volatile: decide.Volatile(st),
	}
}

func refusedMessage(refused *infrav1.RefusedApproval) string {
	switch {
	case refused == nil:
		return ""
	case refused.Reason != "":
		return fmt.Sprintf(" The approval of %s does not count: %s.", refused.PlanID, refused.Reason)
	case len(refused.Changes) == 0:
		return fmt.Sprintf(" The approval of %s is for another plan.", refused.PlanID)
	}
	return fmt.Sprintf(" The approval of %s does not cover %s.", refused.PlanID, strings.Join(refused.Changes, ", "))
}

// replanAsked: spec.approvePlan is "replan", or "re" and the pending plan's id or its beginning, and no plan has been made
// since that was written.
func replanAsked(tf *infrav1.Terraform) bool {
	parsed := plan.ParseApprove(tf.Spec.ApprovePlan)
	st := &tf.Status
	if parsed.Mode != plan.ApproveReplan || st.Plan.Pending == "" || st.LastPlannedGeneration >= tf.Generation {
		return false
	}
	return strings.HasPrefix("re"+st.Plan.Pending, parsed.Token)
}

// invalidApproveMessage says what is wrong with spec.approvePlan; "" when nothing is.
func invalidApproveMessage(spec *infrav1.TerraformSpec) string {
	if plan.ParseApprove(spec.ApprovePlan).Mode != plan.ApproveInvalid {
		return ""
	}
	return fmt.Sprintf("spec.approvePlan: %q is neither \"\", manual, auto, disable, safe, replan nor an id that begins with plan-; "+
		"copy an id from status.plan.pending", spec.ApprovePlan)
}
