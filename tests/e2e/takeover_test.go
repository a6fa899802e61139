package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// TestTakeover: the Deployment is swapped in a cluster in which tofu-controller was at work. Whatever state its objects are
// in, nothing is applied that nobody approved, no state is lost, nothing of its own is left, and what needs no person gets
// Ready without one. It is not parallel: while it makes its cluster there must be no controller.
func TestTakeover(t *testing.T) {
	compat.Shows(t, "key.tf.dependency.of.*", "backend.labels-of-the-object", "cleanup.legacy-plans", "promise.state-enforcement",
		"use.upgrade", "weak.22",
	)
	f := newFormer(t)
	f.stopController()
	revision := f.revision()
	f.rested(revision)
	f.approved(revision)
	f.applying(revision)
	f.troubled(revision)
	f.going(revision)
	f.leaveTLS()
	states := f.states()
	f.watchPod()
	f.startController()

	f.ready("rested", "applying", "troubled")
	f.held("approved")
	f.gone("going")

	f.appliesOnlyWhatIsApproved()
	f.losesNoState(states)
	f.leavesNoSecretBehind()
	f.leavesNoMark()
	f.endedTheApplyInPeace()
	f.freedTheLock()
}

// ready waits until these objects are, and rest.
func (f *former) ready(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.Eventually(func(g Gomega) {
			tf := f.object(name)
			g.Expect(conditions.IsReady(tf)).To(BeTrue(), "%s: %v", name, tf.Status.Conditions)
			g.Expect(tf.Status.RunSequence).NotTo(BeZero(), "%s has been looked at", name)
			g.Expect(tf.Status.ActiveRun).To(BeNil())
			g.Expect(conditions.Has(tf, meta.StalledCondition)).To(BeFalse())
			g.Expect(conditions.Has(tf, meta.ReconcilingCondition)).To(BeFalse())
		}).Should(Succeed())
	}
}

// held: the plan that waited, and was approved, was made anew once, and waits under an id of its own.
func (f *former) held(name string) {
	f.t.Helper()
	var tf *infrav1.Terraform
	f.Eventually(func(g Gomega) {
		tf = f.object(name)
		g.Expect(conditions.GetReason(tf, meta.ReadyCondition)).To(Equal(infrav1.ReasonPlannedWithChanges))
		g.Expect(tf.Status.Plan.Pending).To(MatchRegexp(`^plan-main-[0-9a-f]{10}-[0-9a-f]{8}$`))
	}).Should(Succeed())
	f.Consistently(func(g Gomega) {
		now := f.object(name)
		g.Expect(now.Status.Plan.Pending).To(Equal(tf.Status.Plan.Pending))
		plans := slices.DeleteFunc(f.runsOf(name), func(run infrav1.TerraformRun) bool { return run.Status.Runner == nil }) // withdrawn
		g.Expect(plans).To(HaveLen(1), "it is planned once")
	}).Should(Succeed())
}

func (f *former) gone(name string) {
	f.t.Helper()
	f.Eventually(func() bool {
		return apierrors.IsNotFound(f.System.Client.Get(f.Ctx, f.Key(name), &infrav1.Terraform{}))
	}).Should(BeTrue(), "%s goes", name)
}

func (f *former) appliesOnlyWhatIsApproved() {
	f.t.Helper()
	for _, run := range f.Runs() {
		if run.Spec.Operation != infrav1.OperationApply {
			continue
		}
		by := map[string]infrav1.ApprovalHow{
			"applying": infrav1.ApprovalByMode, "troubled": infrav1.ApprovalByMode, "going": infrav1.ApprovalByDeletion,
		}
		f.Expect(run.Spec.Approval.How).To(Equal(by[run.OwnerReferences[0].Name]), run.Name)
	}
	f.Expect(f.object("rested").Status.AppliesStarted).To(BeZero())
	f.Expect(f.object("approved").Status.AppliesStarted).To(BeZero())
}

func (f *former) losesNoState(before map[string]identity) {
	f.t.Helper()
	after := f.states()
	for name, was := range before {
		is, found := after[name]
		f.Expect(found).To(BeTrue(), "%s is lost", name)
		f.Expect(is.Lineage).To(Equal(was.Lineage), name)
		f.Expect(is.Serial).To(BeNumerically(">=", was.Serial), name)
	}
	f.Expect(after[stateOf("rested")]).To(Equal(before[stateOf("rested")]), "nothing was to be done")
	f.Expect(after[stateOf("going")].Resources).To(BeEmpty(), "a half-made apply of the incumbent is destroyed as well")
}

// leavesNoSecretBehind: every Secret is a state, or belongs to a living object, and no plan is left that nobody can apply.
func (f *former) leavesNoSecretBehind() {
	f.t.Helper()
	f.Eventually(func(g Gomega) {
		for _, secret := range f.secrets() {
			if secret.Labels["tfstate"] == "true" {
				continue
			}
			g.Expect(secret.OwnerReferences).To(HaveLen(1), secret.Name)
			owner := secret.OwnerReferences[0].Name
			g.Expect(owner).To(BeElementOf("rested", "approved", "applying", "troubled"), secret.Name)
			if !strings.HasPrefix(secret.Name, "tfplan-") {
				continue
			}
			g.Expect(secret.Annotations).To(HaveKey("infra.contrib.fluxcd.io/plan-digest"), "%s is the incumbent's", secret.Name)
			if owner == "approved" {
				g.Expect(secret.Annotations["infra.contrib.fluxcd.io/plan-digest"]).To(Equal(f.object(owner).Status.Plan.Digest), secret.Name)
			}
		}
	}).Should(Succeed())
}

// leavesNoMark: no finalizer is named after another object, no pod of the incumbent is left, and its outputs are as they were.
func (f *former) leavesNoMark() {
	f.t.Helper()
	f.Eventually(func() []corev1.Pod { return f.Pods() }).Should(BeEmpty())
	var objects infrav1.TerraformList
	f.Expect(f.System.Client.List(f.Ctx, &objects, client.InNamespace(f.Tenant.Namespace))).To(Succeed())
	for _, tf := range objects.Items {
		f.Expect(tf.Finalizers).To(Equal([]string{infrav1.Finalizer}), tf.Name)
	}
	outputs := f.Secret("rested-outputs")
	f.Expect(outputs.UID).To(Equal(f.outputs.UID))
	f.Expect(outputs.Data).To(Equal(f.outputs.Data))
}

// endedTheApplyInPeace: what the incumbent had begun was given the time to end, though its pod's own grace is one second.
func (f *former) endedTheApplyInPeace() {
	f.t.Helper()
	var end corev1.ContainerStateTerminated
	f.Eventually(f.ended).Should(Receive(&end))
	f.Expect(end.ExitCode).To(BeZero(), "it ended by itself: %+v", end)
}

func (f *former) freedTheLock() {
	f.t.Helper()
	lease := &coordinationv1.Lease{}
	f.Expect(f.System.Client.Get(f.Ctx, f.Key("lock-"+stateOf("applying")), lease)).To(Succeed())
	f.Expect(ptr.Deref(lease.Spec.HolderIdentity, "")).To(BeEmpty())
	var unlocked []string
	for _, run := range f.runsOf("applying") {
		unlocked = append(unlocked, run.Status.Unlocked)
	}
	f.Expect(unlocked).To(ContainElement(f.lock))
}

func (f *former) runsOf(name string) []infrav1.TerraformRun {
	return slices.DeleteFunc(f.Runs(), func(run infrav1.TerraformRun) bool { return run.OwnerReferences[0].Name != name })
}

// TestTakeover_AfterwardsADeletionIsHeldByTheDependants: the finalizers that the incumbent named after dependants are gone, the
// order of a deletion is not.
func TestTakeover_AfterwardsADeletionIsHeldByTheDependants(t *testing.T) {
	f := newFormer(t)
	f.stopController()
	revision := f.revision()
	f.rested(revision)
	f.approved(revision)
	f.startController()
	f.ready("rested")
	f.Expect(f.System.Client.Delete(f.Ctx, f.object("rested"))).To(Succeed())
	f.Eventually(func() string { return conditions.GetReason(f.object("rested"), meta.ReadyCondition) }).
		Should(Equal(infrav1.ReasonDeletionBlocked))
	f.Expect(f.System.Client.Delete(f.Ctx, f.object("approved"))).To(Succeed())
	f.gone("approved")
	f.gone("rested")
}

// outlasting is longer than the pod's own grace.
const outlasting = 4 * time.Second
