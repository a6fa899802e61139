package faults

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestDeletion_InManyStates: whatever an object is at, it goes when it is deleted, with what it has made if that was
// asked for, and leaves no pod, no run and no lock.
func TestDeletion_InManyStates(t *testing.T) {
	cases := []struct {
		name, reason string
		change       func(*infrav1.Terraform)
		// command at which the engine is held when the object is deleted.
		command string
		// until the object is in that state.
		until func(s *story.Story)
		// after the deletion, and before the object can go.
		after func(s *story.Story, g *gate)
	}{
		{name: "while init runs", reason: "a plan that nobody wants is cancelled", command: "init"},
		{name: "while a plan runs", reason: "a plan that nobody wants is cancelled", command: "plan"},
		{name: "while an apply runs", reason: "an apply ends by itself", command: "create", after: func(s *story.Story, g *gate) {
			s.Consistently(g.shells).ShouldNot(BeEmpty())
			g.open(s)
		}},
		{name: "while outputs are read", reason: "an apply ends by itself", command: "output", after: func(s *story.Story, g *gate) {
			s.Consistently(g.shells).ShouldNot(BeEmpty())
			g.open(s)
		}},
		{name: "plan waits", reason: "nobody will approve it", change: func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "" },
			until: func(s *story.Story) { s.Held() }},
		{name: "applied", reason: "the usual end", until: func(s *story.Story) { s.Applied(s.Revision()) }},
		{name: "failed", reason: "what never worked does not bind", change: func(tf *infrav1.Terraform) {
			tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "missing"}}
		}, until: ready(infrav1.ReasonVarsGenerationFailed)},
		{name: "source missing", reason: "what was never made needs no source", change: func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Name = "nowhere" },
			until: ready(infrav1.ReasonArtifactFailed)},
		{name: "pod pending", reason: "a pod that never runs holds nothing", change: func(tf *infrav1.Terraform) {
			tf.Spec.RunnerPodTemplate.Spec.Image = "example.com/nowhere:v1"
		}, until: ready(infrav1.ReasonRunnerPending)},
		{name: "pod refused", reason: "nor does one that was never made", change: func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "nobody" },
			until: ready(infrav1.ReasonRunnerForbidden)},
		{name: "suspended", reason: "there is nothing to destroy", change: func(tf *infrav1.Terraform) { tf.Spec.Suspend = true },
			until: func(s *story.Story) {
				s.Eventually(func() []string { return s.Get().Finalizers }).ShouldNot(BeEmpty())
			}},
		{name: "not implemented", reason: "a field that stalls an object does not hold it", change: func(tf *infrav1.Terraform) { tf.Spec.BreakTheGlass = true },
			until: ready(infrav1.ReasonNotImplemented)},
	}
	for _, destroy := range []bool{false, true} {
		for _, tc := range cases {
			name := tc.name + ", resources kept"
			if destroy {
				name = tc.name + ", resources destroyed"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := story.New(t, system, map[string]string{"main.tf": heldModule})
				g := closed(s)
				s.Create(story.Auto, impatient, func(tf *infrav1.Terraform) {
					tf.Spec.DestroyResourcesOnDeletion = destroy
					if tc.command != "" {
						g.before(tc.command)(tf)
					}
					if tc.change != nil {
						tc.change(tf)
					}
				})
				if tc.until != nil {
					tc.until(s)
				} else {
					g.held(s)
				}
				deleted := time.Now()
				s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
				if tc.after != nil {
					tc.after(s, g)
				}
				s.Eventually(func() bool {
					return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
				}).Should(BeTrue(), tc.reason)
				took(t, "deletion: "+name, deleted)
				s.LeavesNothing()
				s.Expect(g.shells()).To(BeEmpty(), "no child is left")
			})
		}
	}
}

func ready(reason string) func(*story.Story) {
	return func(s *story.Story) {
		s.Eventually(func() string { return conditions.GetReason(s.Get(), meta.ReadyCondition) }).Should(Equal(reason))
	}
}

// TestDeletion_SuspendedWithResources: to destroy is not what a suspended object does, and it says so.
func TestDeletion_SuspendedWithResources(t *testing.T) {
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.Applied(s.Revision())
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	s.Refuses(infrav1.ReasonSuspended, "spec.suspend")
	s.RestsQuietly()
	resumed := time.Now()
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue())
	took(t, "deletion: suspended with resources: after it was resumed", resumed)
	s.LeavesNothing()
}
