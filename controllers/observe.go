package controllers

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/source"
)

// never is later than anything that is waited for.
const never = 10000 * time.Hour

// soonAfterStale is the longest wait before a plan is made anew that could not be applied any more.
const soonAfterStale = 15 * time.Second

// observation is what was read for one pass, and what it comes to.
type observation struct {
	now    time.Time
	facts  decide.Facts
	source source.Source
	// run is the active run; nil when there is none, or only its reservation.
	run *infrav1.TerraformRun
	// pod is the runner pod of the object, of whatever run.
	pod *corev1.Pod
	// runs are all runs of the object that are known.
	runs []infrav1.TerraformRun
	// settled is the run whose result was folded into the status in this pass.
	settled *infrav1.TerraformRun
	// approved: an approval has been recorded in this pass; refused: one that does not hold has.
	approved, refused bool
	// waits: the pod has made the pending plan, and can apply it. adopted: it has been told to, in this pass.
	waits, adopted bool
	// outOfService is the node of a silent runner that is tainted out-of-service.
	outOfService string
	// formerEnded: it has been recorded in this pass that the runner that the incumbent has left is at its end.
	formerEnded bool
	// tidyUp: in the namespace no runner of the incumbent is left.
	tidyUp bool
	// session that a person wants; nil for none.
	session *infrav1.Session
	// queue is the object's place, should it have to wait.
	queue *infrav1.QueuePlace
}

// observe reads what a decision depends on. It writes nothing to the cluster; the result of a finished run and a new
// approval are folded into tf.Status in memory, for report to write.
func (r *TerraformReconciler) observe(ctx context.Context, tf *infrav1.Terraform) (*observation, error) {
	o := &observation{now: r.Clock()}
	var err error
	if o.source, err = source.Resolve(ctx, r.Client, tf, r.sourcePolicy()); err != nil {
		return nil, err
	}
	denyReferences(tf, &o.source, r.AllowCrossNamespaceRefs)
	if err := r.observeRuns(ctx, tf, o); err != nil {
		return nil, err
	}
	heedReset(tf)
	if err := r.settle(ctx, tf, o); err != nil {
		return nil, err
	}
	if err := r.observeApproval(ctx, tf, o); err != nil {
		return nil, err
	}
	if err := r.observePod(ctx, tf, o); err != nil {
		return nil, err
	}
	if err := r.observeFormer(ctx, tf, o); err != nil {
		return nil, err
	}
	if err := r.observeNode(ctx, o); err != nil {
		return nil, err
	}
	if err := o.conclude(tf); err != nil {
		return nil, err
	}
	r.concludeGlass(tf, o)
	if err := r.observeDependencies(ctx, tf, o); err != nil {
		return nil, err
	}
	return o, r.observeQueue(ctx, tf, o)
}

// observeRuns reads the runs of the object. The active run is asked for without the cache when the cache does not have
// it: a run that was created a moment ago must not be taken for one that does not exist.
func (r *TerraformReconciler) observeRuns(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	var list infrav1.TerraformRunList
	if err := r.Client.List(ctx, &list, client.InNamespace(tf.Namespace),
		client.MatchingLabels{infrav1.TerraformNameLabel: infrav1.SafeLabelValue(tf.Name)}); err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], tf) {
			o.runs = append(o.runs, list.Items[i])
		}
	}
	if tf.Status.ActiveRun == nil {
		return nil
	}
	for i := range o.runs {
		if o.runs[i].Name == tf.Status.ActiveRun.Name {
			o.run = &o.runs[i]
			return nil
		}
	}
	run := &infrav1.TerraformRun{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: tf.Namespace, Name: tf.Status.ActiveRun.Name}, run)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get active run %s: %w", tf.Status.ActiveRun.Name, err)
	}
	if metav1.IsControlledBy(run, tf) {
		o.run = run
	}
	return nil
}

// observePod reads the runner pod; without the cache when a runner has claimed the run and the cache shows no pod,
// because "gone" has grave consequences.
func (r *TerraformReconciler) observePod(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	key := client.ObjectKey{Namespace: tf.Namespace, Name: PodName(tf)}
	pod := &corev1.Pod{}
	err := r.Client.Get(ctx, key, pod)
	if apierrors.IsNotFound(err) && o.run != nil && o.run.Status.Runner != nil {
		err = r.APIReader.Get(ctx, key, pod)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get runner pod %s: %w", key.Name, err)
	}
	if !runnerOf(pod) && !hasClaimed(pod, o.run) {
		return nil // somebody else's, which only has the name
	}
	o.pod = pod
	o.waits = r.podWaits(tf, o)
	return nil
}

// hasClaimed says that the runner in this pod has claimed the run.
func hasClaimed(pod *corev1.Pod, run *infrav1.TerraformRun) bool {
	return run != nil && run.Status.Runner != nil && run.Status.Runner.PodUID == string(pod.UID)
}

// conclude makes the facts.
func (o *observation) conclude(tf *infrav1.Terraform) error {
	st, deleting, mode := &tf.Status, !tf.DeletionTimestamp.IsZero(), plan.ParseApprove(tf.Spec.ApprovePlan).Mode
	f := &o.facts
	*f = decide.Facts{
		Finalizer: controllerutil.ContainsFinalizer(tf, infrav1.Finalizer), Deleting: deleting, StrayFinalizers: hasStrayFinalizers(tf),
		Suspended: tf.Spec.Suspend, InvalidApprove: invalidApproveMessage(&tf.Spec),
		Auto: mode == plan.ApproveAuto, AutoSafe: mode == plan.ApproveSafe, Disabled: mode == plan.ApproveDisable, PlanOnly: tf.Spec.PlanOnly,
		DestroyOnDeletion: tf.Spec.DestroyResourcesOnDeletion, Destroy: tf.Spec.Destroy, Force: tf.Spec.Force,
		Kept: st.Kept != nil, Abandoned: tf.Annotations[infrav1.AbandonAnnotation] != "",
		KeepPod:          tf.Spec.AlwaysCleanupRunnerPod != nil && !*tf.Spec.AlwaysCleanupRunnerPod,
		MayHaveResources: mayHaveResources(st, o.runs), Destroyed: st.Plan.Destroyed,
		Planned:    st.Plan.Target,
		WasApplied: st.LastAppliedRevision != "", Ready: saysItIsDone(tf),
		Troubled: troubled(tf),
	}
	request, asked := meta.ReconcileAnnotationValue(tf.Annotations)
	f.Requested = asked && request != st.LastHandledReconcileAt || replanAsked(tf)
	f.ForceRequested = forceRequested(tf)
	if err := o.concludeSource(tf); err != nil {
		return err
	}
	o.concludeRun(tf)
	o.concludePod()
	o.concludeLast(tf)
	o.concludeOverride(tf)
	f.Plan = planFacts(tf)
	f.Plan.Protected = o.protected(tf)
	o.concludeWebhooks(tf)
	f.PlanIn = planIn(tf, o.now)
	return nil
}

// mayHaveResources: an apply was ordered, also by the incumbent, or the state has resources, or nobody can tell, because there
// are runs that a status restored without them does not know.
func mayHaveResources(st *infrav1.TerraformStatus, runs []infrav1.TerraformRun) bool {
	known := st.AppliesStarted > 0 || appliedBefore(st) || st.State != nil && st.State.Resources > 0
	return known || st.RunSequence == 0 && len(runs) > 0
}

// saysItIsDone: Ready is True, and not for a plan that was only shown.
func saysItIsDone(tf *infrav1.Terraform) bool {
	return conditions.IsTrue(tf, meta.ReadyCondition) && conditions.GetReason(tf, meta.ReadyCondition) != infrav1.ReasonPlannedWithChanges
}

func troubled(tf *infrav1.Terraform) bool {
	switch conditions.GetReason(tf, meta.ReadyCondition) {
	case infrav1.ReasonRunnerPending, infrav1.ReasonRunnerForbidden, infrav1.ReasonRunnerUnreachable:
		return true
	}
	return false
}

func (o *observation) concludeSource(tf *infrav1.Terraform) error {
	states := map[source.State]decide.SourceState{
		source.Ready: decide.SourceReady, source.Missing: decide.SourceMissing,
		source.Denied: decide.SourceDenied, source.NoArtifact: decide.SourceNoArtifact, source.Disabled: decide.SourceDisabled,
	}
	f := &o.facts
	if o.source.State == source.Unsupported {
		f.Unsupported = o.source.Message
	}
	f.Source = decide.Source{State: states[o.source.State], Message: o.source.Message, Revision: o.source.Revision}
	revision := o.source.Revision + " " + o.source.Digest
	switch {
	case f.FromKeepsake():
		revision = keptRevision(tf.Status.Kept)
	case o.source.State != source.Ready:
		f.Source.Message += waysOut(f)
		return nil
	}
	target, err := plan.Target(&tf.Spec, revision, f.Deleting)
	f.Target = target
	return err
}

func (o *observation) concludeRun(tf *infrav1.Terraform) {
	switch {
	case tf.Status.ActiveRun == nil:
	case o.run == nil:
		o.facts.Run.State = decide.RunReserved
	default:
		o.facts.Run = decide.Run{
			State: decide.RunOrdered, Operation: operation(o.run), Target: o.run.Spec.Target, Destroy: o.run.Spec.Terraform.Destroy,
			Session: o.run.Spec.Session != nil, Door: door(o.run),
			Cancelled: o.run.Spec.Cancel != nil, Unloved: tf.Annotations[infrav1.CancelRunAnnotation] == o.run.Name, HandedOver: handedOver(o.run, o.runs),
		}
		if o.run.Status.Runner != nil {
			o.facts.Run.State = decide.RunClaimed
		}
	}
}

func operation(run *infrav1.TerraformRun) decide.Operation {
	if run.Spec.Operation == infrav1.OperationApply {
		return decide.OpApply
	}
	return decide.OpPlan
}

// concludeLast looks at the newest finished run.
func (o *observation) concludeLast(tf *infrav1.Terraform) {
	last := newestFinished(o.runs)
	if o.settled != nil {
		last = o.settled
	}
	if last == nil {
		return
	}
	last = believed(tf, last)
	o.facts.Last = decide.Last{
		Operation: operation(last), Target: last.Spec.Target, OutputsWritten: len(last.Status.OutputsWritten) > 0, Session: last.Spec.Session != nil,
	}
	if last.Status.Phase == infrav1.RunSucceeded || last.Spec.Session != nil && !decide.SessionFailed(last) {
		return
	}
	o.facts.Last.Failed = true
	o.facts.Last.Reason, o.facts.Last.Message = failureOf(last, tf.Status.Plan.AppliedTarget)
	o.facts.Last.Unhealthy = o.facts.Last.Reason == infrav1.ReasonHealthChecksFailed
	wait := retryWait(tf, last, o.facts.Last.Reason)
	o.facts.Exhausted = exhausted(tf) && wait > 0
	if last.Status.FinishedAt != nil {
		o.facts.RetryIn = min(last.Status.FinishedAt.Add(wait).Sub(o.now), wait) // the runner's clock may be ahead
	}
}

// failureOf gives a failure the reason that users know: a plan that failed while it looked for drift has its own.
func failureOf(run *infrav1.TerraformRun, applied string) (reason, message string) {
	if run.Status.Failure == nil {
		return infrav1.ReasonRunnerLost, "the run ended without a reason"
	}
	reason = run.Status.Failure.Reason
	if reason == infrav1.ReasonTFExecPlanFailed && run.Spec.Target == applied {
		reason = infrav1.ReasonDriftDetectionFailed
	}
	return reason, run.Status.Failure.Message
}

func newestFinished(runs []infrav1.TerraformRun) *infrav1.TerraformRun {
	var newest *infrav1.TerraformRun
	for i := range runs {
		if runs[i].Finished() && (newest == nil || sequenceOf(&runs[i]) > sequenceOf(newest)) {
			newest = &runs[i]
		}
	}
	return newest
}

// sequenceOf reads the label; 0 when it is not a number.
func sequenceOf(run *infrav1.TerraformRun) int64 {
	n, err := strconv.ParseInt(run.Labels[infrav1.RunSequenceLabel], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// planIn is the time to the next plan by interval. Without drift detection there is none, unless the spec forces it.
func planIn(tf *infrav1.Terraform, now time.Time) time.Duration {
	switch {
	case tf.Spec.Destroy, tf.Spec.Interval.Duration <= 0, tf.Spec.DisableDriftDetection && !tf.Spec.Force:
		return never
	case tf.Status.LastPlanAt == nil:
		return 0
	}
	return tf.Status.LastPlanAt.Add(tf.Spec.Interval.Duration).Sub(now)
}
