package controllers

import (
	"cmp"
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// pruneHistory deletes the oldest finished runs beyond the limits.
func (r *TerraformReconciler) pruneHistory(ctx context.Context, tf *infrav1.Terraform, runs []infrav1.TerraformRun) error {
	for _, run := range surplus(runs, tf.Status.Plan.Run, r.HistoryChanged, r.HistoryUnchanged) {
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, run)); err != nil {
			return wrap(err, "delete run %s of the history", run.Name)
		}
	}
	return nil
}

// surplus are the finished runs to forget. The newest of them and the run with the present plan stay in any case: the
// first is what the next decision depends on, the second is what a person reads.
func surplus(runs []infrav1.TerraformRun, planRun string, changed, unchanged int) []*infrav1.TerraformRun {
	var finished []*infrav1.TerraformRun
	for i := range runs {
		if runs[i].Finished() {
			finished = append(finished, &runs[i])
		}
	}
	slices.SortFunc(finished, func(a, b *infrav1.TerraformRun) int { return cmp.Compare(sequenceOf(b), sequenceOf(a)) })
	left := map[string]int{hasChanged: changed, hasFailed: changed, foundNothing: unchanged}
	var gone []*infrav1.TerraformRun
	for i, run := range finished {
		kind := outcome(run)
		left[kind]--
		if left[kind] < 0 && i > 0 && run.Name != planRun {
			gone = append(gone, run)
		}
	}
	return gone
}

// Each outcome has its own place in the history: failures that repeat push out nothing that somebody has approved.
const (
	hasChanged   = "changed something, or found something to change"
	hasFailed    = "ended before it changed anything"
	foundNothing = "found nothing to change"
)

// outcome of a finished run; a session may have changed something.
func outcome(run *infrav1.TerraformRun) string {
	st := &run.Status
	switch {
	case run.Spec.Session != nil, st.ApplyStartedAt != nil:
		return hasChanged
	case st.Phase != infrav1.RunSucceeded:
		return hasFailed
	case run.Spec.Operation == infrav1.OperationApply, st.Plan != nil && st.Plan.HasChanges:
		return hasChanged
	}
	return foundNothing
}
