package faults

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// deletion is of an object that is in some state.
type deletion struct {
	name, reason string
	change       func(*infrav1.Terraform)
	// command at which the engine is held when the object is deleted.
	command string
	// until the object is in that state.
	until func(s *story.Story)
	// after the deletion, and before the object can go.
	after func(s *story.Story, g *gate)
	// long: only in the long form.
	long bool
}

var deletions = []deletion{
	{name: "while init runs", reason: "a plan that nobody wants is cancelled", command: "init"},
	{name: "while a plan runs", reason: "a plan that nobody wants is cancelled", command: "plan"},
	{name: "while an apply runs", reason: "an apply ends by itself", command: "create", after: endsByItself},
	{name: "while outputs are read", reason: "an apply ends by itself", command: "output", after: endsByItself},
	{name: "plan waits", reason: "nobody will approve it", change: approve(""), until: func(s *story.Story) { s.Held() }},
	{name: "plan only", reason: "nobody will apply it", change: func(tf *infrav1.Terraform) { tf.Spec.PlanOnly = true },
		until: ready(infrav1.ReasonPlannedWithChanges), long: true},
	{name: "only reported", reason: "nobody will apply it", change: approve("disable"), until: ready(infrav1.ReasonDriftDetected), long: true},
	{name: "applied", reason: "the usual end", until: func(s *story.Story) { s.Applied(s.Revision()) }},
	{name: "half made", reason: "what is there goes as well", command: "fail", until: ready(infrav1.ReasonTFExecApplyFailed)},
	{name: "cancelled", reason: "what a person has stopped goes like any other", command: "create", until: cancelled, long: true},
	{name: "failed", reason: "what never worked does not bind", change: func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "missing"}}
	}, until: ready(infrav1.ReasonVarsGenerationFailed), long: true},
	{name: "dependency missing", reason: "what never began needs nobody", change: func(tf *infrav1.Terraform) {
		tf.Spec.DependsOn = []infrav1.DependencyReference{{Name: "nowhere"}}
	}, until: ready(infrav1.ReasonDependencyNotReady), long: true},
	{name: "source missing", reason: "what was never made needs no source", change: func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Name = "nowhere" },
		until: ready(infrav1.ReasonArtifactFailed), long: true},
	{name: "pod pending", reason: "a pod that never runs holds nothing", change: func(tf *infrav1.Terraform) {
		tf.Spec.RunnerPodTemplate.Spec.Image = "example.com/nowhere:v1"
	}, until: ready(infrav1.ReasonRunnerPending)},
	{name: "pod refused", reason: "nor does one that was never made", change: func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "nobody" },
		until: ready(infrav1.ReasonRunnerForbidden), long: true},
	{name: "suspended", reason: "there is nothing to destroy", change: func(tf *infrav1.Terraform) { tf.Spec.Suspend = true },
		until: func(s *story.Story) {
			s.Eventually(func() []string { return s.Get().Finalizers }).ShouldNot(BeEmpty())
		}, long: true},
	{name: "not allowed", reason: "a field that stalls an object does not hold it", change: func(tf *infrav1.Terraform) { tf.Spec.BreakTheGlass = true },
		until: ready(infrav1.ReasonBreakTheGlassNotAllowed), long: true},
}

func endsByItself(s *story.Story, g *gate) {
	s.Consistently(g.shells).ShouldNot(BeEmpty())
	g.open(s)
}

func approve(mode string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = mode }
}

func ready(reason string) func(*story.Story) {
	return func(s *story.Story) {
		s.Eventually(func() string { return conditions.GetReason(s.Get(), meta.ReadyCondition) }).Should(Equal(reason))
	}
}

// cancelled: a person has stopped the apply that the gate holds.
func cancelled(s *story.Story) {
	ownFile(s).held(s)
	s.Annotate(infrav1.CancelRunAnnotation, s.Get().Status.ActiveRun.Name)
	ready(infrav1.ReasonCancelled)(s)
	ownFile(s).open(s)
}

// TestDeletion_InManyStates: whatever an object is at, it goes when it is deleted, with what it has made if that was
// asked for, and leaves no pod, no run and no lock.
func TestDeletion_InManyStates(t *testing.T) {
	compat.Shows(t, "key.finalizers.tf.contrib.fluxcd.io", "weak.5", "weak.6")
	t.Parallel()
	for _, d := range deletions {
		name := d.name + ", resources destroyed"
		if d.long {
			name = long(name)
		}
		t.Run(long(d.name+", resources kept"), func(t *testing.T) { d.tell(t, false) })
		t.Run(name, func(t *testing.T) { d.tell(t, true) })
	}
}

func (d deletion) tell(t *testing.T, destroy bool) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": heldModule})
	g := closed(s)
	s.Create(story.Auto, impatient, func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion = destroy
		if d.command != "" {
			g.before(d.command)(tf)
		}
		if d.change != nil {
			d.change(tf)
		}
	})
	if d.until != nil {
		d.until(s)
	} else {
		g.held(s)
	}
	deleted := time.Now()
	s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	if d.after != nil {
		d.after(s, g)
	}
	s.Eventually(func() bool { return gone(s) }).Should(BeTrue(), d.reason)
	took(t, t.Name(), deleted)
	s.LeavesNothing()
	s.Expect(g.shells()).To(BeEmpty(), "no child is left")
}

// gone says whether the object has gone.
func gone(s *story.Story) bool {
	return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
}

// obstacles to a destroy.
var obstacles = map[string]struct {
	// obstruct puts something in the way, and returns how to take it away.
	obstruct func(s *story.Story) mend
	reason   string
	says     string
}{
	"suspended": {func(s *story.Story) mend {
		s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
		return func(s *story.Story) { s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false }) }
	}, infrav1.ReasonSuspended, "spec.suspend"},
	"lock of a person": {func(s *story.Story) mend {
		lease := takeLock(s, infoOf("kim@desk"))
		return func(s *story.Story) { releaseLock(s, lease) }
	}, infrav1.ReasonLockHeld, "kim@desk"},
	long("state gone"): {func(s *story.Story) mend {
		state := s.Secret(stateSecret)
		s.Expect(system.Client.Delete(s.Ctx, state.DeepCopy())).To(Succeed())
		return func(s *story.Story) { restore(s, state) }
	}, infrav1.ReasonStateGuard, "the state is gone"},
	long("namespace terminating"): {func(s *story.Story) mend {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Tenant.Namespace}}
		s.Expect(system.Client.Delete(s.Ctx, namespace)).To(Succeed())
		return func(s *story.Story) {
			s.Change(func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = false })
		}
	}, infrav1.ReasonNamespaceTerminating, "spec.destroyResourcesOnDeletion"},
}

// TestDeletion_WaitsForAPerson: what is in the way of a destroy is said. Nothing is destroyed until then, nothing given up,
// and the rest goes by itself.
func TestDeletion_WaitsForAPerson(t *testing.T) {
	compat.Shows(t, "spec.suspend")
	t.Parallel()
	for name, tc := range obstacles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			s.Create(story.Auto, impatient, func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
			s.Applied(s.Revision())
			mended := tc.obstruct(s)
			s.Expect(client.IgnoreNotFound(system.Client.Delete(s.Ctx, s.Get()))).To(Succeed())
			s.Eventually(func(g Gomega) {
				g.Expect(conditions.GetReason(s.Get(), meta.ReadyCondition)).To(Equal(tc.reason))
				g.Expect(conditions.GetMessage(s.Get(), meta.ReadyCondition)).To(ContainSubstring(tc.says))
			}).Should(Succeed())
			s.Consistently(func() int { return len(applies(s)) }).Should(BeNumerically("<=", 1), "nothing is destroyed")
			s.Expect(gone(s)).To(BeFalse())
			at := time.Now()
			mended(s)
			s.Eventually(func() bool { return gone(s) }).Should(BeTrue())
			took(t, t.Name()+": after it was mended", at)
			s.LeavesNothing()
		})
	}
}
