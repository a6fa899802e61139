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
	"github.com/terraform-controller/terraform-controller/internal/backups"
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
	f.everything()
	states := f.states()
	f.watchPod()
	f.leads()
	f.startController(formerArgs...)
	t.Cleanup(f.restartController)
	f.waitsForTheLease()
	f.endsLeading()

	f.ready("rested", "staged", "kept", "unstarted", "denied", "reporting", "agreed", "applying", "troubled", "handmade")
	f.held("silent", "")
	f.held("approved", "does not have the hash that was stored with it")
	f.held("unreadable", "can't read its plan file")
	f.held("used", "a plan of the same id has been applied before")
	f.held("differing", "does not cover terraform_data.greeting")
	f.shown("copied-pr-7")
	f.gone("going")
	f.gone("leaving")
	f.sleeps("asleep")
	f.lockedOut("orphan")

	f.appliesOnlyWhatIsApproved()
	f.losesNoState(states)
	f.leavesNoSecretBehind()
	f.leavesNoMark()
	f.endedTheApplyInPeace()
	f.freedTheLocks()
}

// formerArgs are flags of a Deployment that somebody has set for tofu-controller.
var formerArgs = []string{
	"--enable-leader-election", "--leader-election-retry-period=1s", "--cert-rotation-check-frequency=30m0s", "--ca-cert-validity-duration=168h",
	"--runner-creation-timeout=5m0s", "--runner-grpc-max-message-size=30", "--use-pod-subdomain-resolution=false", "--concurrent=24", "--concurrent-runs=4",
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
			g.Expect(conditions.IsTrue(tf, infrav1.ConditionStateLocked)).To(BeFalse())
			g.Expect(conditions.Has(tf, infrav1.ConditionHealthCheck)).To(BeFalse(), "it has no health checks")
		}).Should(Succeed())
	}
}

// held: the plan that waited was made anew once, and waits under an id of its own; Ready says why, where it was approved.
func (f *former) held(name, why string) {
	f.t.Helper()
	var tf *infrav1.Terraform
	f.Eventually(func(g Gomega) {
		tf = f.object(name)
		g.Expect(tf.Status.Plan.Pending).To(MatchRegexp(`^plan-main-[0-9a-f]{10}-[0-9a-f]{32}$`), name)
		g.Expect(conditions.GetReason(tf, meta.ReadyCondition)).To(Equal(infrav1.ReasonPlannedWithChanges))
		g.Expect(conditions.GetMessage(tf, meta.ReadyCondition)).To(And(ContainSubstring("set approvePlan: "), ContainSubstring(why)))
		g.Expect(conditions.Has(tf, meta.ReconcilingCondition)).To(BeFalse())
	}).Should(Succeed())
	if why == "" {
		f.Expect(tf.Status.RefusedApproval).To(BeNil(), "nobody has approved it")
	} else {
		f.Expect(conditions.GetMessage(tf, meta.ReadyCondition)).To(ContainSubstring("The approval of " + legacyID(f.SourceRevision())))
	}
	plans := slices.DeleteFunc(f.runsOf(name), func(run infrav1.TerraformRun) bool { return run.Status.Runner == nil }) // withdrawn
	f.Expect(plans).To(HaveLen(1), "%s is planned once", name)
}

// shown: a plan that is only to be shown.
func (f *former) shown(name string) {
	f.t.Helper()
	f.Eventually(func(g Gomega) {
		tf := f.object(name)
		g.Expect(conditions.IsReady(tf)).To(BeTrue(), "%s: %v", name, tf.Status.Conditions)
		g.Expect(conditions.GetReason(tf, meta.ReadyCondition)).To(Equal(infrav1.ReasonPlannedWithChanges))
	}).Should(Succeed())
}

// sleeps: nothing is done while the object is suspended; it is taken over when it is resumed.
func (f *former) sleeps(name string) {
	f.t.Helper()
	f.Expect(f.runsOf(name)).To(BeEmpty())
	f.Expect(conditions.GetReason(f.object(name), meta.ReadyCondition)).To(Equal(infrav1.ReasonNoDrift), "what was said stands")
	f.change(name, func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
	f.ready(name)
}

// lockedOut: nothing proves that the process has ended whose pod is gone; who is sure of it says so as before.
func (f *former) lockedOut(name string) {
	f.t.Helper()
	f.Eventually(func(g Gomega) {
		tf := f.object(name)
		g.Expect(conditions.GetReason(tf, meta.ReadyCondition)).To(Equal(infrav1.ReasonLockHeld), "%v", tf.Status.Conditions)
		g.Expect(conditions.GetMessage(tf, meta.ReadyCondition)).To(And(ContainSubstring(orphanLock), ContainSubstring("orphan-tf-runner")))
		g.Expect(tf.Status.Lock.Pending).To(Equal(orphanLock))
	}).Should(Succeed())
	f.change(name, func(tf *infrav1.Terraform) {
		tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "yes", LockIdentifier: orphanLock}
	})
	f.ready(name)
}

func (f *former) change(name string, change func(*infrav1.Terraform)) {
	f.t.Helper()
	tf := f.object(name)
	before := tf.DeepCopy()
	change(tf)
	f.Expect(f.System.Client.Patch(f.Ctx, tf, client.MergeFrom(before))).To(Succeed())
}

func (f *former) gone(name string) {
	f.t.Helper()
	f.Eventually(func() bool {
		return apierrors.IsNotFound(f.System.Client.Get(f.Ctx, f.Key(name), &infrav1.Terraform{}))
	}).Should(BeTrue(), "%s goes", name)
}

func (f *former) appliesOnlyWhatIsApproved() {
	f.t.Helper()
	by := map[string]infrav1.ApprovalHow{
		"applying": infrav1.ApprovalByMode, "troubled": infrav1.ApprovalByMode, "handmade": infrav1.ApprovalByMode,
		"going": infrav1.ApprovalByDeletion, "agreed": infrav1.ApprovalBySpec,
	}
	applied := map[string]int{}
	for _, run := range f.Runs() {
		if run.Spec.Operation != infrav1.OperationApply {
			continue
		}
		owner := run.OwnerReferences[0].Name
		applied[owner]++
		f.Expect(run.Spec.Approval.How).To(Equal(by[owner]), run.Name)
		if owner == "agreed" {
			f.Expect(run.Spec.Approval.PlanID).To(Equal(legacyID(f.SourceRevision())), "what was approved before the swap")
		}
	}
	delete(applied, "going") // its runs go with it
	f.Expect(applied).To(Equal(map[string]int{"applying": 1, "troubled": 1, "handmade": 1, "agreed": 1}), "nothing is applied twice")
	for _, tf := range f.objects() {
		f.Expect(tf.Status.AppliesStarted).To(Equal(int64(applied[tf.Name])), tf.Name)
	}
}

func (f *former) objects() []infrav1.Terraform {
	var list infrav1.TerraformList
	f.Expect(f.System.Client.List(f.Ctx, &list, client.InNamespace(f.Tenant.Namespace))).To(Succeed())
	return list.Items
}

func (f *former) losesNoState(before map[string]identity) {
	f.t.Helper()
	after := f.states()
	for name, was := range before {
		is, found := after[name]
		f.Expect(found).To(BeTrue(), "%s is lost", name)
		f.Expect(is.Lineage).To(Equal(was.Lineage), name)
		f.Expect(is.Serial).To(BeNumerically(">=", was.Serial), name)
		if name != stateOf("applying") && name != stateOf("going") {
			f.Expect(is).To(Equal(was), "%s: nothing was to be done", name)
		}
	}
	f.Expect(after[stateOf("applying")].Resources).NotTo(BeEmpty())
	f.Expect(after[stateOf("going")].Resources).To(BeEmpty(), "a half-made apply of the incumbent is destroyed as well")
}

// leavesNoSecretBehind: every Secret is a state, or belongs to a living object, and no plan is left that nobody can apply.
func (f *former) leavesNoSecretBehind() {
	f.t.Helper()
	f.Eventually(func(g Gomega) {
		living := map[string]infrav1.Terraform{}
		for _, tf := range f.objects() {
			living[tf.Name] = tf
		}
		for _, secret := range f.secrets() {
			if secret.Labels["tfstate"] == "true" || secret.Labels[backups.OfLabel] != "" {
				continue // a state, or a version of one that is kept as long
			}
			g.Expect(secret.OwnerReferences).To(HaveLen(1), secret.Name)
			owner, found := living[secret.OwnerReferences[0].Name]
			g.Expect(found).To(BeTrue(), "%s belongs to nobody", secret.Name)
			g.Expect(owner.UID).To(Equal(secret.OwnerReferences[0].UID), secret.Name)
			if strings.HasPrefix(secret.Name, "tfplan-") {
				g.Expect(f.isOurPlan(&secret, &owner.Status)).To(BeTrue(), "%s is the incumbent's, or of a plan that is no more", secret.Name)
			}
		}
		g.Expect(f.readableTexts()).To(BeEmpty(), "none asks for a readable text")
	}).Should(Succeed())
}

// isOurPlan: the Secret is a part of the plan that waits, or of the one that was applied last.
func (f *former) isOurPlan(secret *corev1.Secret, st *infrav1.TerraformStatus) bool {
	digest := secret.Annotations["infra.contrib.fluxcd.io/plan-digest"]
	saved := secret.Annotations[infrav1.SavedPlanAnnotation]
	if st.Plan.Pending == "" {
		return digest != "" && (saved == "" || saved == st.Plan.LastApplied)
	}
	if digest == "" {
		return saved == st.Plan.Pending && strings.HasSuffix(secret.Name, ".json")
	}
	return digest == st.Plan.Digest && (saved == "" || saved == st.Plan.Pending)
}

func (f *former) readableTexts() []corev1.ConfigMap {
	var list corev1.ConfigMapList
	f.Expect(f.System.Client.List(f.Ctx, &list, client.InNamespace(f.Tenant.Namespace), client.HasLabels{infrav1.PlanNameLabel})).To(Succeed())
	return list.Items
}

// leavesNoMark: no finalizer is named after another object, no pod of the incumbent is left, and its outputs are as they were.
func (f *former) leavesNoMark() {
	f.t.Helper()
	f.Eventually(func() []corev1.Pod { return f.Pods() }).Should(BeEmpty())
	for _, tf := range f.objects() {
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

// freedTheLocks of runners that have ended, by what their pods tell.
func (f *former) freedTheLocks() {
	f.t.Helper()
	for name, lock := range map[string]string{"applying": applyingLock, "troubled": troubledLock} {
		lease := &coordinationv1.Lease{}
		f.Expect(f.System.Client.Get(f.Ctx, f.Key("lock-"+stateOf(name)), lease)).To(Succeed())
		f.Expect(ptr.Deref(lease.Spec.HolderIdentity, "")).To(BeEmpty(), name)
		var unlocked []string
		for _, run := range f.runsOf(name) {
			unlocked = append(unlocked, run.Status.Unlocked)
		}
		f.Expect(unlocked).To(ContainElement(lock), name)
	}
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
