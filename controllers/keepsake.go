package controllers

import (
	"fmt"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// Reasons of events about what is kept, and about the guard of the state.
const (
	eventNotKept         = "KeepsakeNotStored"
	eventNotBackedUp     = "StateNotBackedUp"
	eventFromKeepsake    = "DestroyFromKeepsake"
	eventStateOverridden = "StateGuardOverridden"
)

// keptRevision stands for the revision in the target of a destroy from a keepsake. It is none that a source could have:
// a plan that was made from the source is not one that was made from the keepsake.
func keptRevision(kept *infrav1.KeptStatus) string { return "kept:" + kept.Digest }

// waysOut of a deletion that has neither source nor keepsake to destroy from.
func waysOut(f *decide.Facts) string {
	if !f.Deleting || !f.DestroyOnDeletion {
		return ""
	}
	return "; no apply has kept what a destroy needs: bring the source back to destroy the resources, " +
		"or set spec.destroyResourcesOnDeletion to false to keep them"
}

// sourceOfRun is the source's artifact, or the keepsake where there is no artifact.
func sourceOfRun(tf *infrav1.Terraform, o *observation) infrav1.RunSource {
	if kept := tf.Status.Kept; kept != nil && o.facts.FromKeepsake() {
		return infrav1.RunSource{
			Kind: infrav1.SourceKept, Namespace: tf.Namespace, Name: tf.Name, Revision: kept.Revision, Digest: kept.Digest,
		}
	}
	return infrav1.RunSource{
		Kind: o.source.Kind, Namespace: o.source.Namespace, Name: o.source.Name,
		Revision: o.source.Revision, Digest: o.source.Digest, URL: o.source.URL,
	}
}

// keptDigest names the keepsake that a destroy may fall back on.
func keptDigest(tf *infrav1.Terraform) string {
	if tf.Status.Kept == nil {
		return ""
	}
	return tf.Status.Kept.Digest
}

// concludeOverride takes an override that the run which the guard has stopped did not have for a request: the person who
// gave it is not to wait for the next try.
func (o *observation) concludeOverride(tf *infrav1.Terraform) {
	last := newestFinished(o.runs)
	if o.settled != nil {
		last = o.settled
	}
	token := tf.Annotations[infrav1.StateGuardOverrideAnnotation]
	if token == "" || last == nil || last.Status.Failure == nil || last.Status.Failure.Reason != infrav1.ReasonStateGuard {
		return
	}
	if last.Spec.StateOverride != token {
		o.facts.Requested = true
	}
}

// keepsakeAndState tells what a run says of its keepsake, of the state that it was let loose on, and of its backups.
func (e announcer) keepsakeAndState(run *infrav1.TerraformRun) {
	if run.Status.StateOverridden != "" {
		e.warning(eventStateOverridden, fmt.Sprintf("The state guard was overridden by annotation (%s): %s", run.Spec.StateOverride, run.Status.StateOverridden))
	}
	if run.Status.Kept != nil && run.Status.Kept.Message != "" {
		e.warning(eventNotKept, run.Status.Kept.Message)
	}
	if backup := run.Status.StateBackup; backup != nil && backup.Message != "" {
		e.warning(eventNotBackedUp, backup.Message)
	}
	if run.Spec.Source.Kind == infrav1.SourceKept && run.Spec.Operation == infrav1.OperationPlan {
		e.normal(eventFromKeepsake, fmt.Sprintf("The source has no artifact: the destroy is made from what was kept of %s", run.Spec.Source.Revision))
	}
}
