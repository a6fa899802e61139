package e2e

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

func TestAuto_AppliesACommit(t *testing.T) {
	compat.Shows(t, "status.lastAppliedRevision", "status.availableOutputs", "condition.Ready=True/TerraformAppliedSucceed",
		"condition.Ready=True/TerraformOutputsWritten", "condition.Output", "condition.after-auto-apply",
		"event.TerraformAppliedSucceed", "backend.default", "state.secret", "promise.gitops-automation", "use.auto-approve",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, story.OutputsTo("net-outputs"))
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, HavePrefix("Outputs written: main@sha1:"))

	tf := s.Get()
	s.Expect(string(s.Secret("net-outputs").Data["greeting"])).To(Equal("hello world"))
	s.Expect(s.Secret("tfstate-default-net").Labels).To(HaveKeyWithValue("tfstateSecretSuffix", "net"))
	lease := &coordinationv1.Lease{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("lock-tfstate-default-net"), lease)).To(Succeed())
	s.Expect(lease.Spec.HolderIdentity).To(BeNil(), "the lock is free")
	s.Expect(tf.Status.AvailableOutputs).To(Equal([]string{"greeting"}))
	s.Expect(tf.Status.State.Lineage).NotTo(BeEmpty())
	s.Expect(tf.Status.Plan.Pending).To(BeEmpty())
	s.Expect(tf.Status.Plan.LastApplied).To(HavePrefix("plan-main-"))
	for _, condition := range []string{infrav1.ConditionApply, infrav1.ConditionPlan, infrav1.ConditionOutput} {
		s.Expect(conditions.IsTrue(tf, condition)).To(BeTrue(), condition)
	}
	s.Hears(infrav1.ReasonAppliedSucceed, HavePrefix("Applied successfully: main@sha1:"))

	revision, err := s.Tenant.Commit(s.Ctx, "another default", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Applied(revision)
	s.Expect(string(s.Secret("net-outputs").Data["more"])).To(Equal("1"))
	s.RestsQuietly()
}

func TestManual_WaitsForApprovalByAnnotation(t *testing.T) {
	compat.Shows(t, "status.plan.pending", "status.plan.lastApplied", "condition.Reconciling/Progressing",
		"condition.Ready=Unknown/TerraformPlannedWithChanges", "event.TerraformPlanSucceed", "promise.plan-and-approve", "weak.3",
		"weak.20",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "manual" })
	id := s.Held()
	s.Hears("TerraformPlanSucceed", ContainSubstring(id))
	run := s.Runs()[0]
	s.Expect(run.Status.Plan.Rendered).To(ContainSubstring("terraform_data.greeting"), "who reads runs can review")
	s.RestsQuietly()

	s.Annotate(infrav1.ApprovePlanAnnotation, id+"0")
	s.RestsQuietly()
	s.Expect(s.Get().Status.Plan.Pending).To(Equal(id), "another id approves nothing")

	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.PlanID).To(Equal(id))
	s.Expect(tf.Status.Approval.How).To(Equal(infrav1.ApprovalByAnnotation))
	s.Expect(tf.Status.Plan.LastApplied).To(Equal(id))

	// The annotation stands there still; the next plan has an id of its own.
	_, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(s.Held()).NotTo(Equal(id))
}

func TestManual_WaitsForApprovalBySpec(t *testing.T) {
	compat.Shows(t, "spec.approvePlan", "promise.plan-and-approve", "use.plan-and-apply-by-hand")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create()
	id := s.Held()
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = id })
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.How).To(Equal(infrav1.ApprovalBySpec))
	s.Expect(s.Runs()).To(HaveLen(2), "the plan that was approved is applied, not another one")

	// A token that stays in the spec approves nothing else.
	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: story.JSON(`"moon"`)}}
	})
	s.Expect(s.Held()).NotTo(Equal(id))
}

func TestFailure_IsMendedByACommit(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/TFExecPlanFailed", "event.TFExecPlanFailed")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": "resource \"terraform_data\" \"x\" {\n  input = var.missing\n}\n"})
	s.Create(story.Auto)
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecPlanFailed, ContainSubstring("main.tf:2"))
	s.Hears(infrav1.ReasonTFExecPlanFailed, ContainSubstring("main.tf:2"))
	s.RestsQuietly()
	s.Expect(s.Get().Status.ReconciliationFailures).To(Equal(int64(1)))

	revision, err := s.Tenant.Commit(s.Ctx, "mend it", map[string]string{"main.tf": story.Greeting})
	s.Expect(err).NotTo(HaveOccurred())
	tf := s.Applied(revision)
	s.Expect(tf.Status.ReconciliationFailures).To(BeZero())
}

func TestFailure_IsTriedAgainAfterTheRetryInterval(t *testing.T) {
	compat.Shows(t, "spec.retryInterval", "condition.Ready=True/TerraformPlannedNoChanges")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": `variable "needed" {}`})
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 2 * time.Second}
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "ConfigMap", Name: "vars"}}
	})
	s.Eventually(func() int64 { return s.Get().Status.ReconciliationFailures }).Should(BeNumerically(">=", 2))
	s.Expect(system.Client.Create(s.Ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "vars"}, Data: map[string]string{"needed": "x"},
	})).To(Succeed())
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonPlannedNoChanges, HavePrefix("Plan no changes: main@sha1:"))
}

func TestDrift_IsCorrectedUnderAuto(t *testing.T) {
	compat.Shows(t, "spec.interval", "event.DriftDetected", "promise.state-enforcement")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(story.Auto, s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.Interval = metav1.Duration{Duration: 5 * time.Second} })
	s.Eventually(func() string { return s.Get().Status.LastAppliedRevision }).ShouldNot(BeEmpty())
	s.Paint("red")
	s.Eventually(s.Color).Should(Equal("green"), "the next look at the interval finds and corrects it")
	s.Hears(infrav1.ReasonDriftDetected, ContainSubstring("Drift detected (+0 ~1 -0)"))
	s.Eventually(func() *metav1.Time { return s.Get().Status.LastAppliedByDriftDetectionAt }).ShouldNot(BeNil())
}

func TestDrift_WaitsUnderManual(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/DriftDetected", "condition.Ready=True/NoDrift", "weak.7")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable())
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Applied(s.Revision())
	s.Paint("red")
	s.Request()
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.Expect(s.Color()).To(Equal("red"))
	s.RestsQuietly()

	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Eventually(s.Color).Should(Equal("green"))
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring(s.Revision()))

	// Drift that goes away by itself leaves no plan behind.
	s.Paint("blue")
	s.Request()
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.Paint("green")
	s.Request()
	tf = s.Becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, HavePrefix("No drift: "))
	s.Expect(tf.Status.Plan.Pending).To(BeEmpty())
}

func TestDriftCheck_LeavesReadyAlone(t *testing.T) {
	compat.Shows(t, "condition.Ready=Unknown/Progressing", "weak.11", "weak.21")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	before := conditions.Get(s.Applied(s.Revision()), meta.ReadyCondition)
	s.Request()
	after := conditions.Get(s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:")), meta.ReadyCondition)
	s.Expect(after).To(Equal(before), "the answer is the same")
}

func TestSuspend_BeginsNothingUntilResumed(t *testing.T) {
	compat.Shows(t, "spec.suspend")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	s.Applied(s.Revision())
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	revision, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(func() string { return s.SourceRevision() }).Should(Equal(revision))
	s.RestsQuietly()

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
	s.Applied(revision)
}

func TestDeletion_KeepsTheResources(t *testing.T) {
	compat.Shows(t, "state.secret", "cleanup.deletion")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(story.Auto, s.NamespaceVariable())
	s.Applied(s.Revision())
	s.DeleteObject()
	s.Expect(s.Color()).To(Equal("green"), "the resource is still there")
	s.Expect(s.Secret("tfstate-default-net").Data).To(HaveKey("tfstate"), "and so is the state")
	s.LeavesNothing()
}

func TestDeletion_DestroysTheResources(t *testing.T) {
	compat.Shows(t, "spec.destroyResourcesOnDeletion", "state.secret", "cleanup.deletion", "use.destroy-on-deletion", "weak.25")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable + "output \"name\" { value = \"settings\" }\n"})
	s.Create(s.NamespaceVariable(), story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Applied(s.Revision())
	s.DeleteObject()
	err := system.Client.Get(s.Ctx, s.Key("settings"), &corev1.ConfigMap{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the resource is gone: %v", err)
	s.Expect(s.Secret("tfstate-default-net").Data).To(HaveKey("tfstate"), "the empty state stays, as documented")
	s.LeavesNothing()
}

// TestDeletion_InTheForeground is how some tools delete. The garbage collector then takes away what belongs to the object
// while the object is still there.
func TestDeletion_InTheForeground(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable(), story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion, tf.Spec.RetryInterval = true, &metav1.Duration{Duration: 2 * time.Second}
	})
	s.Applied(s.Revision())
	collectorWorks(s)
	s.Expect(system.Client.Delete(s.Ctx, s.Get(), client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue(), "the object goes")
	err := system.Client.Get(s.Ctx, s.Key("settings"), &corev1.ConfigMap{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the resource is gone: %v", err)
	s.LeavesNothing()
}

// collectorWorks waits until the garbage collector knows Terraform objects: it looks for new kinds now and then.
func collectorWorks(s *story.Story) {
	s.Create(func(tf *infrav1.Terraform) { tf.Name, tf.Spec.Suspend = "canary", true })
	canary := &infrav1.Terraform{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("canary"), canary)).To(Succeed())
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: canary.Namespace, Name: "canary",
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(canary, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))},
	}}
	s.Expect(system.Client.Create(s.Ctx, owned)).To(Succeed())
	s.Expect(system.Client.Delete(s.Ctx, canary)).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("canary"), owned))
	}).Should(BeTrue(), "what belonged to an object that is gone goes")
}

func TestDeletion_OfWhatWasNeverMadeNeedsNoRun(t *testing.T) {
	compat.Shows(t, "weak.5")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion, tf.Spec.SourceRef.Name = true, "nowhere"
	})
	s.Eventually(func() string { return conditions.GetReason(s.Get(), meta.ReadyCondition) }).Should(Equal(infrav1.ReasonArtifactFailed))
	s.DeleteObject()
	s.LeavesNothing()
}
