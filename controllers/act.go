package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

const (
	// hostnameDigits is the length of the part that makes a hostname unique.
	hostnameDigits = 8
	// foreignPodLook is how often a pod is looked for that has the name of ours: it is none of those that are watched.
	foreignPodLook = 30 * time.Second
)

// errBehind says that the cache is behind what has been decided elsewhere.
var errBehind = errors.New("the runner pod is that of the active run, which this controller has not seen yet")

// act carries out the decision's one side effect. What can be done by writing the status is left to report. It gives
// back the decision, changed where the API server refuses something for a reason that a person has to know.
func (r *TerraformReconciler) act(ctx context.Context, tf *infrav1.Terraform, o *observation, d decide.Decision) (decide.Decision, error) {
	switch d.Action {
	case decide.Rest, decide.Reserve, decide.Drop:
		return d, nil
	case decide.AddFinalizer:
		return d, r.patchFinalizer(ctx, tf, controllerutil.AddFinalizer)
	case decide.CleanFinalizers:
		return d, r.cleanFinalizers(ctx, tf)
	case decide.RemoveFinalizer:
		if err := r.releaseBinding(ctx, tf); err != nil {
			return d, err
		}
		err := r.patchFinalizer(ctx, tf, controllerutil.RemoveFinalizer)
		controllerutil.RemoveFinalizer(tf, infrav1.Finalizer) // what is left of it is only recorded
		return d, err
	case decide.Start:
		return r.start(ctx, tf, o, d)
	case decide.Withdraw:
		return r.withdraw(ctx, tf, o, d)
	case decide.StartPod:
		return r.startPod(ctx, tf, o.run, d)
	case decide.CancelRun:
		return d, r.cancel(ctx, o)
	case decide.AbandonRun:
		return d, r.abandon(ctx, o)
	case decide.MarkLost:
		return d, r.end(ctx, o.run, infrav1.RunFailed, infrav1.ReasonRunnerLost, "the runner ended without a report: "+o.howEnded())
	case decide.AskWebhooks:
		r.Webhooks.Order(client.ObjectKeyFromObject(tf))
		return d, nil
	case decide.DeletePod:
		if isFormer(o.pod) {
			return r.retire(ctx, tf, o, d)
		}
		return d, r.deletePod(ctx, tf, o)
	}
	return d, fmt.Errorf("unknown action %d", d.Action)
}

// patchFinalizer changes a copy, so that the patched object's status does not overwrite what this pass has folded.
func (r *TerraformReconciler) patchFinalizer(ctx context.Context, tf *infrav1.Terraform, change func(client.Object, string) bool) error {
	changed := tf.DeepCopy()
	if !change(changed, infrav1.Finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(tf, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)))
}

// start creates the reserved run and its pod. A run of that name that exists already is the one that this controller,
// or its predecessor, has created before; if it has ended, the status was lost and the count goes on above all runs.
func (r *TerraformReconciler) start(ctx context.Context, tf *infrav1.Terraform, o *observation, d decide.Decision) (decide.Decision, error) {
	if err := r.adopt(ctx, tf, o, d.Order); err != nil {
		return d, fmt.Errorf("adopt runner pod %s: %w", o.pod.Name, err)
	}
	run := newRun(tf, o, d.Order)
	err := r.Client.Create(ctx, run, client.FieldOwner(infrav1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return d, fmt.Errorf("get existing run: %w", err)
		}
		if run.Finished() || !metav1.IsControlledBy(run, tf) {
			tf.Status.RunSequence = max(tf.Status.RunSequence, highestSequence(o.runs))
			return decide.Decision{Action: decide.Drop, Rule: d.Rule}, nil
		}
	} else if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return refusedRun(tf, run, err), nil
	} else if err != nil {
		return d, fmt.Errorf("create run %s: %w", run.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("run started", "run", run.Name, "operation", run.Spec.Operation, "reason", run.Spec.Reason, "revision", run.Spec.Source.Revision, "podOfPlan", o.adopted)
	if o.adopted {
		return d, nil
	}
	return r.startPod(ctx, tf, run, d)
}

// refusedRun says why the API server does not take a run: the namespace is going, a quota, an admission policy.
func refusedRun(tf *infrav1.Terraform, run *infrav1.TerraformRun, cause error) decide.Decision {
	d := decide.Decision{
		Action: decide.Rest, Rule: "the run is refused", Posture: decide.Retrying, Progress: "waiting for the API server to take the run",
		Ready: decide.Ready{Status: decide.False, Reason: infrav1.ReasonRunnerForbidden, Message: fmt.Sprintf("run %s/%s is refused: %v", run.Namespace, run.Name, cause)},

		RequeueAfter: tf.GetRetryInterval(),
	}
	if apierrors.HasStatusCause(cause, corev1.NamespaceTerminatingCause) {
		d.Posture, d.Ready.Reason = decide.Stuck, infrav1.ReasonNamespaceTerminating
		d.Ready.Message = fmt.Sprintf("namespace %s is being deleted, so that no run can begin in it and nothing can be destroyed: "+
			"set spec.destroyResourcesOnDeletion to false, or annotate the object with %s=<why>, to let it go and keep its resources",
			run.Namespace, infrav1.AbandonAnnotation)
	}
	return d
}

// withdraw creates the reserved run cancelled, so that nobody can begin it. If it exists by now, the next pass sees it. In a
// namespace that is going nobody can create it any more.
func (r *TerraformReconciler) withdraw(ctx context.Context, tf *infrav1.Terraform, o *observation, d decide.Decision) (decide.Decision, error) {
	run := newRun(tf, o, d.Order)
	run.Spec.Cancel = &infrav1.Cancel{Reason: "no longer wanted before it was begun"}
	run.Spec.RequestedAt, run.Spec.StateOverride = "", "" // it answers nobody
	err := r.Client.Create(ctx, run, client.FieldOwner(infrav1.FieldManager))
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return decide.Decision{Action: decide.Drop, Rule: d.Rule}, nil
	case apierrors.IsAlreadyExists(err):
		return d, nil
	}
	return d, wrap(err, "create withdrawn run %s", run.Name)
}

func highestSequence(runs []infrav1.TerraformRun) int64 {
	var highest int64
	for i := range runs {
		highest = max(highest, sequenceOf(&runs[i]))
	}
	return highest
}

func newRun(tf *infrav1.Terraform, o *observation, order decide.Order) *infrav1.TerraformRun {
	active := tf.Status.ActiveRun
	run := &infrav1.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: tf.Namespace, Name: active.Name,
			Labels: map[string]string{
				infrav1.TerraformNameLabel: infrav1.SafeLabelValue(tf.Name),
				infrav1.RunSequenceLabel:   strconv.FormatInt(active.Sequence, 10),
			},
			OwnerReferences: []metav1.OwnerReference{ownedBy(tf)},
		},
		Spec: infrav1.TerraformRunSpec{
			Operation: infrav1.OperationPlan, Reason: order.Reason, Target: o.facts.Target, Generation: tf.Generation,
			Source:    sourceOfRun(tf, o),
			Terraform: frozen(&tf.Spec, order.Destroy),
			// Not of the sequence: a run that was deleted and made anew must not pass for the process of the first.
			PodName: PodName(tf), Hostname: Hostname(tf.Name, rand.String(hostnameDigits)),
			AppliesCompleted: tf.Status.AppliesCompleted,
			Backend:          plan.Backend(&tf.Spec), Unlock: unlockOrder(tf, o.runs),
			Kept: keptDigest(tf), StateOverride: tf.Annotations[infrav1.StateGuardOverrideAnnotation],
			Plan:   pendingPlan(tf, o.facts.Target),
			TidyUp: o.tidyUp, FormerPlan: formerPlan(tf, order),
		},
	}
	if tf.Status.State != nil && (tf.Status.State.Backend == "" || tf.Status.State.Backend == run.Spec.Backend) {
		run.Spec.State = tf.Status.State.DeepCopy()
	}
	if o.adopted {
		run.Spec.Hostname = o.pod.Spec.Hostname
	}
	if order.Session {
		run.Spec.Session, run.Spec.Plan, run.Spec.Unlock = o.session.DeepCopy(), nil, nil
	}
	switch {
	case order.Operation == decide.OpApply:
		run.Spec.Operation = infrav1.OperationApply
		run.Spec.Approval = approvalOf(tf, metav1.NewTime(o.now))
	case o.facts.Requested:
		run.Spec.RequestedAt = tf.Annotations[meta.ReconcileRequestAnnotation]
	}
	return run
}

// deadHolders names the pods of runs that have not succeeded: each of these processes has provably ended, by its own report or by the
// kubelet's, before the run was taken for finished. A lock that one of them has left behind is nobody's.
func deadHolders(runs []infrav1.TerraformRun) *infrav1.Unlock {
	var hostnames []string
	for i := range runs {
		if runs[i].Spec.Session != nil {
			continue // its shell may outlive its report for a moment
		}
		if runs[i].Finished() && runs[i].Status.Phase != infrav1.RunSucceeded && runs[i].Status.Runner != nil {
			hostnames = append(hostnames, runs[i].Spec.Hostname)
		}
	}
	if len(hostnames) == 0 {
		return nil
	}
	slices.Sort(hostnames)
	return &infrav1.Unlock{Hostnames: hostnames, Evidence: "these runs have failed or were cancelled, and the processes of their pods have ended"}
}

// frozen is the spec as the run will work on it, without what it does not need.
func frozen(spec *infrav1.TerraformSpec, destroy bool) infrav1.TerraformSpec {
	s := *spec.DeepCopy()
	s.Destroy = destroy
	if s.Cloud != nil {
		s.Cloud.Token = ""
	}
	withoutAddresses(s.Webhooks)
	return s
}

func approvalOf(tf *infrav1.Terraform, now metav1.Time) *infrav1.Approval {
	if a := tf.Status.Approval; a != nil && decide.Approved(&tf.Status) {
		return a.DeepCopy()
	}
	how := infrav1.ApprovalByMode
	switch {
	case !tf.DeletionTimestamp.IsZero():
		how = infrav1.ApprovalByDeletion
	case tf.Spec.Force:
		how = infrav1.ApprovalByForce
	}
	return &infrav1.Approval{PlanID: tf.Status.Plan.Pending, How: how, At: now}
}

// startPod creates the run's pod, and before it the binding that lets the runner report.
func (r *TerraformReconciler) startPod(ctx context.Context, tf *infrav1.Terraform, run *infrav1.TerraformRun, d decide.Decision) (decide.Decision, error) {
	if r.ManageRunnerRBAC {
		err := r.ensureBinding(ctx, tf.Namespace, RunnerAccount(run))
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return bindingRefused(tf, run, err), nil
		}
		if err != nil {
			return d, err
		}
	}
	pod := BuildPod(PodInput{Terraform: tf, Run: run, Config: r.Runner})
	err := r.Client.Create(ctx, pod, client.FieldOwner(infrav1.FieldManager))
	switch {
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return r.refused(ctx, tf, run, err)
	case apierrors.IsAlreadyExists(err):
		return r.nameTaken(ctx, tf, pod, d)
	case err != nil:
		return d, fmt.Errorf("create runner pod %s: %w", pod.Name, err)
	}
	return d, nil
}

// nameTaken looks at the pod that has the runner pod's name: our own of a moment ago, or one that is none of ours and that
// nothing will tell us of. Whether that has gone is soon looked at again.
func (r *TerraformReconciler) nameTaken(ctx context.Context, tf *infrav1.Terraform, pod *corev1.Pod, d decide.Decision) (decide.Decision, error) {
	if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return d, client.IgnoreNotFound(err)
	}
	if runnerOf(pod) {
		return d, nil
	}
	again := min(foreignPodLook, tf.GetRetryInterval())
	message := fmt.Sprintf("runner pod %s/%s can't be made: a pod of that name exists that is no runner of this controller; delete it, "+
		"which is looked for every %s", pod.Namespace, pod.Name, again)
	return withoutPod("another pod has the runner pod's name", message, again), nil
}

// refused says why the API server does not take the pod. It is tried again after the retry interval.
func (r *TerraformReconciler) refused(ctx context.Context, tf *infrav1.Terraform, run *infrav1.TerraformRun, cause error) (decide.Decision, error) {
	account := RunnerAccount(run)
	message := fmt.Sprintf("runner pod %s/%s is refused: %v", tf.Namespace, run.Spec.PodName, cause)
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: tf.Namespace, Name: account}, &corev1.ServiceAccount{})
	if apierrors.IsNotFound(err) {
		message = fmt.Sprintf("%s: ServiceAccount %q not found in namespace %q: create it and bind it to the ClusterRole tf-runner-role, "+
			"or name another account", accountField(run), account, tf.Namespace)
	}
	return withoutPod("the runner pod is refused", message, tf.GetRetryInterval()), nil
}

// withoutPod waits for a person, without whom there can be no runner pod.
func withoutPod(rule, message string, again time.Duration) decide.Decision {
	return decide.Decision{
		Action: decide.Rest, Rule: rule, Posture: decide.Retrying, Progress: "waiting for the runner pod",
		Ready:        decide.Ready{Status: decide.False, Reason: infrav1.ReasonRunnerForbidden, Message: message},
		RequeueAfter: again,
	}
}

// cancel asks the runner to stop, and says who wants it.
func (r *TerraformReconciler) cancel(ctx context.Context, o *observation) error {
	changed := o.run.DeepCopy()
	changed.Spec.Cancel = &infrav1.Cancel{Reason: "the plan is no longer wanted: revision or spec have changed, or the object is being deleted"}
	if o.facts.Run.Session {
		changed.Spec.Cancel.Reason = "the session is no longer wanted, or not allowed any more"
	}
	if o.facts.Run.Unloved {
		changed.Spec.Cancel = &infrav1.Cancel{Reason: "cancelled by annotation", By: "annotation " + infrav1.CancelRunAnnotation}
	}
	return client.IgnoreNotFound(r.Client.Patch(ctx, changed, client.MergeFrom(o.run), client.FieldOwner(infrav1.FieldManager)))
}

// abandon ends a run that no runner has claimed. That a person wants it is written into the run before: what it means must not
// depend on how far the run was, and the annotation may go.
func (r *TerraformReconciler) abandon(ctx context.Context, o *observation) error {
	if o.facts.Run.Unloved && !o.facts.Run.Cancelled {
		if err := r.cancel(ctx, o); err != nil {
			return fmt.Errorf("record who cancels run %s: %w", o.run.Name, err)
		}
	}
	return r.end(ctx, o.run, infrav1.RunCancelled, infrav1.ReasonCancelled, "no longer wanted before a runner had begun")
}

// end writes the end of a run in its runner's place. The run is read anew, and the write needs that version: what a
// runner has reported in the meantime stands.
func (r *TerraformReconciler) end(ctx context.Context, run *infrav1.TerraformRun, phase infrav1.RunPhase, reason, message string) error {
	live := &infrav1.TerraformRun{}
	if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(run), live); err != nil {
		return client.IgnoreNotFound(err)
	}
	claimedSince := live.Status.Runner != nil && (phase == infrav1.RunCancelled || run.Status.Runner == nil)
	if live.Finished() || claimedSince {
		return nil
	}
	changed := live.DeepCopy()
	now := metav1.NewTime(r.Clock())
	changed.Status.Phase, changed.Status.FinishedAt = phase, &now
	changed.Status.Failure = &infrav1.RunFailure{Reason: reason, Message: message}
	patch := client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Client.Status().Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)))
}

// deletePod deletes a pod whose run is accounted for, and lets it go. A process that has not quite ended gets the
// pod's own grace. Whether the pod's run is the active one is asked without the cache: to a controller that has been
// asleep, the pod of another's run looks like one that was left. A run that is not active now never will be again.
func (r *TerraformReconciler) deletePod(ctx context.Context, tf *infrav1.Terraform, o *observation) error {
	live := &infrav1.Terraform{}
	if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(tf), live); err != nil {
		return client.IgnoreNotFound(err)
	}
	active, pod := live.Status.ActiveRun, o.pod
	settled := o.settled != nil && active != nil && o.settled.Name == active.Name
	if active != nil && !settled && pod.Labels[infrav1.RunNameLabel] == infrav1.SafeLabelValue(active.Name) {
		spent, err := r.neverTakes(ctx, pod, active.Name)
		if err != nil {
			return fmt.Errorf("get active run %s: %w", active.Name, err)
		}
		if !spent {
			return apierrors.NewConflict(infrav1.GroupVersion.WithResource("terraforms").GroupResource(), tf.Name, errBehind)
		}
	}
	return r.removePod(ctx, pod, o.now)
}

// removePod deletes the pod, as it was read: one that was given to a run in the meantime stays. A pod that is going is let go.
func (r *TerraformReconciler) removePod(ctx context.Context, pod *corev1.Pod, now time.Time) error {
	if pod.DeletionTimestamp == nil {
		return client.IgnoreNotFound(r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion}))
	}
	changed := pod.DeepCopy()
	if controllerutil.RemoveFinalizer(changed, infrav1.RunnerFinalizer) {
		patch := client.MergeFromWithOptions(pod, client.MergeFromWithOptimisticLock{})
		if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	if !overdue(pod, now) {
		return nil
	}
	// Its run is over, and no kubelet is there to take it away.
	return client.IgnoreNotFound(r.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}, client.GracePeriodSeconds(0)))
}
