package controllers

import (
	"testing"

	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/internal/source"
)

// guardedRun is a finished run that had that override, and ended for that reason.
func guardedRun(override, reason string) infrav1.TerraformRun {
	run := infrav1.TerraformRun{}
	run.Spec.StateOverride = override
	run.Status.Phase = infrav1.RunFailed
	run.Status.Failure = &infrav1.RunFailure{Reason: reason}
	return run
}

func TestConcludeOverride(t *testing.T) {
	cases := map[string]struct {
		reason    string
		annotated string
		last      infrav1.TerraformRun
		want      bool
	}{
		"new":          {"a person who overrides the guard does not wait", "gone-1", guardedRun("", infrav1.ReasonStateGuard), true},
		"another word": {"nor one who has mistyped before", "gone-1", guardedRun("gone-2", infrav1.ReasonStateGuard), true},
		"tried":        {"what has not helped is not tried all the time", "gone-1", guardedRun("gone-1", infrav1.ReasonStateGuard), false},
		"none":         {"without a word nothing is asked for", "", guardedRun("gone-1", infrav1.ReasonStateGuard), false},
		"left over":    {"an old word is no request after another failure", "gone-1", guardedRun("", infrav1.ReasonTFExecPlanFailed), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tf := object()
			if tc.annotated != "" {
				tf.Annotations[infrav1.StateGuardOverrideAnnotation] = tc.annotated
			}
			o := &observation{now: noon, runs: []infrav1.TerraformRun{tc.last}}
			o.concludeOverride(tf)
			NewWithT(t).Expect(o.facts.Requested).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestNewRun_OfADestroyWithoutSource(t *testing.T) {
	g := NewWithT(t)
	tf := object()
	tf.UID = "u"
	tf.Annotations[infrav1.StateGuardOverrideAnnotation] = "gone-1"
	tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "net-1", Sequence: 1}
	tf.Status.Kept = &infrav1.KeptStatus{Digest: "sha256:kept", Revision: "main@sha1:1"}
	o := &observation{now: noon, source: source.Source{State: source.Missing, Kind: "GitRepository", Name: "infra"},
		facts: decide.Facts{Deleting: true, DestroyOnDeletion: true, Kept: true, Source: decide.Source{State: decide.SourceMissing}}}
	g.Expect(o.concludeSource(tf)).To(Succeed())
	g.Expect(o.facts.Target).NotTo(BeEmpty())

	run := newRun(tf, o, decide.Order{Destroy: true})
	g.Expect(run.Spec.Source).To(Equal(infrav1.RunSource{
		Kind: infrav1.SourceKept, Namespace: "infra", Name: "net", Revision: "main@sha1:1", Digest: "sha256:kept",
	}))
	g.Expect(run.Spec.Kept).To(Equal("sha256:kept"))
	g.Expect(run.Spec.StateOverride).To(Equal("gone-1"))

	withSource := &observation{now: noon, source: source.Source{State: source.Ready, Kind: "GitRepository", Name: "infra", Revision: "main@sha1:1"},
		facts: decide.Facts{Deleting: true, DestroyOnDeletion: true, Kept: true}}
	g.Expect(withSource.concludeSource(tf)).To(Succeed())
	g.Expect(withSource.facts.Target).NotTo(Equal(o.facts.Target), "a plan of the artifact is not one of the keepsake")
	run = newRun(tf, withSource, decide.Order{Destroy: true})
	g.Expect(run.Spec.Source.Kind).To(Equal("GitRepository"), "as long as there is a source, it counts")
	g.Expect(run.Spec.Kept).To(Equal("sha256:kept"), "but its module may be gone")
	withNothing := &observation{now: noon, source: source.Source{State: source.Missing, Message: "not found"},
		facts: decide.Facts{Deleting: true, DestroyOnDeletion: true}}
	g.Expect(withNothing.concludeSource(tf)).To(Succeed())
	g.Expect(withNothing.facts.Target).To(BeEmpty())
	g.Expect(withNothing.facts.Source.Message).To(And(HavePrefix("not found; "), ContainSubstring("spec.destroyResourcesOnDeletion to false")))
}
