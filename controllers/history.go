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
	left := map[bool]int{true: changed, false: unchanged}
	var gone []*infrav1.TerraformRun
	for i, run := range finished {
		kind := notable(run)
		left[kind]--
		if left[kind] < 0 && i > 0 && run.Name != planRun {
			gone = append(gone, run)
		}
	}
	return gone
}

// notable runs have failed, have changed something or have found something to change; a session may have.
func notable(run *infrav1.TerraformRun) bool {
	return run.Status.Phase != infrav1.RunSucceeded || run.Spec.Operation == infrav1.OperationApply || run.Spec.Session != nil ||
		run.Status.Plan != nil && run.Status.Plan.HasChanges
}
