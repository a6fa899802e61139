package controllers

import (
	"fmt"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/apis/meta"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

const (
	// glassBySpec is the request of an object whose spec.breakTheGlass is true; that of the annotation is its value.
	glassBySpec = "spec"

	eventSessionOpened = "BreakTheGlassStarted"
	eventSessionEnded  = "BreakTheGlassEnded"
)

// glassRequest is the request for a session; "" for none. An annotation without a value is none, as with all that approve.
func glassRequest(tf *infrav1.Terraform) string {
	if tf.Spec.BreakTheGlass {
		return glassBySpec
	}
	return tf.Annotations[infrav1.BreakTheGlassAnnotation]
}

// concludeGlass says whether a session is wanted. A request is forgotten, in the status in memory, when it is taken back, so that
// the next one counts. An annotation that was there beside the field is answered with it.
func (r *TerraformReconciler) concludeGlass(tf *infrav1.Terraform, o *observation) {
	request := glassRequest(tf)
	switch {
	case request == "":
		tf.Status.LastHandledBreakTheGlass = ""
	case request == tf.Status.LastHandledBreakTheGlass:
	case tf.Status.LastHandledBreakTheGlass == glassBySpec:
		tf.Status.LastHandledBreakTheGlass = request // the field was taken back, which asks for nothing
	case !r.AllowBreakTheGlass:
		o.facts.Glass = decide.GlassForbidden
	default:
		o.facts.Glass = decide.GlassBroken
		o.session = &infrav1.Session{Request: request, Limit: metav1.Duration{Duration: r.BreakTheGlassLimit}}
		o.postponeForce()
	}
}

// postponeForce: a plan that is to be applied is asked for, and a session is no answer to that. It is made after the session, which
// meanwhile is tried in its own time, as if nobody had asked.
func (o *observation) postponeForce() {
	if o.facts.ForceRequested && !o.facts.Deleting {
		o.facts.Requested = false
	}
}

// door says how to get into the pod of a session; "" when there is nothing to get into.
func door(run *infrav1.TerraformRun) string {
	s := run.Status.Session
	if s == nil || run.Finished() {
		return ""
	}
	text := fmt.Sprintf("The glass is broken until %s: kubectl exec -it -n %s %s -c %s -- sh, and the module is in %s",
		s.Until.UTC().Format(time.RFC3339), run.Namespace, run.Spec.PodName, RunnerContainer, s.Directory)
	if s.Environment != "" {
		text += ", `. " + s.Environment + "` gives the shell what the run has"
	}
	if s.Note != "" {
		text += ". " + strings.TrimSuffix(s.Note, ".")
	}
	return text + ". Nothing is planned or applied meanwhile"
}

// sessionOpened tells, once, that a person can get in.
func (e announcer) sessionOpened(before *infrav1.Terraform, o *observation) {
	text := o.facts.Run.Door
	was := apimeta.FindStatusCondition(before.Status.Conditions, meta.ReconcilingCondition)
	is := apimeta.FindStatusCondition(e.tf.Status.Conditions, meta.ReconcilingCondition)
	if text == "" || is == nil || is.Message != limit(text) || was != nil && was.Message == is.Message {
		return
	}
	e.warning(eventSessionOpened, fmt.Sprintf("%s. Run %s, asked for by %s", text, o.run.Name, askedBy(o.run.Spec.Session)))
}

// sessionEnded tells how a session has ended.
func (e announcer) sessionEnded(run *infrav1.TerraformRun) {
	s, why := run.Status.Session, "its time was over, or its file was removed"
	if f := run.Status.Failure; f != nil {
		why = f.Message
	}
	if s == nil {
		e.warning(eventSessionEnded, fmt.Sprintf("The session of run %s was never open: %s", run.Name, why))
		return
	}
	took := time.Duration(0)
	if run.Status.FinishedAt != nil {
		took = run.Status.FinishedAt.Sub(s.OpenedAt.Time).Round(time.Second)
	}
	e.warning(eventSessionEnded, fmt.Sprintf("The session of run %s, asked for by %s, is over after %s: %s. A new plan is made",
		run.Name, askedBy(run.Spec.Session), took, why))
}

func askedBy(s *infrav1.Session) string {
	if s.Request == glassBySpec {
		return "spec.breakTheGlass"
	}
	return "annotation " + infrav1.BreakTheGlassAnnotation
}
