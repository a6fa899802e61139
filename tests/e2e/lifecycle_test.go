package e2e

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// driftable has a resource that a person can change behind the engine's back: a ConfigMap.
const driftable = `
terraform {
  required_providers {
    kubernetes = { source = "hashicorp/kubernetes" }
  }
}
provider "kubernetes" { load_config_file = false }
variable "namespace" {}
resource "kubernetes_config_map" "settings" {
  metadata {
    name      = "settings"
    namespace = var.namespace
  }
  data = { color = "green" }
}
`

func TestAuto_AppliesACommit(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create(auto, outputsTo("net-outputs"))
	s.becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, HavePrefix("Outputs written: main@sha1:"))

	tf := s.get()
	s.Expect(string(s.secret("net-outputs").Data["greeting"])).To(Equal("hello world"))
	s.Expect(s.secret("tfstate-default-net").Labels).To(HaveKeyWithValue("tfstateSecretSuffix", "net"))
	lease := &coordinationv1.Lease{}
	s.Expect(system.Client.Get(s.ctx, namespaced(s, "lock-tfstate-default-net"), lease)).To(Succeed())
	s.Expect(lease.Spec.HolderIdentity).To(BeNil(), "the lock is free")
	s.Expect(tf.Status.AvailableOutputs).To(Equal([]string{"greeting"}))
	s.Expect(tf.Status.State.Lineage).NotTo(BeEmpty())
	s.Expect(tf.Status.Plan.Pending).To(BeEmpty())
	s.Expect(tf.Status.Plan.LastApplied).To(HavePrefix("plan-main-"))
	for _, condition := range []string{infrav1.ConditionApply, infrav1.ConditionPlan, infrav1.ConditionOutput} {
		s.Expect(conditions.IsTrue(tf, condition)).To(BeTrue(), condition)
	}
	s.hears(infrav1.ReasonAppliedSucceed, HavePrefix("Applied successfully: main@sha1:"))

	revision, err := s.tenant.Commit(s.ctx, "another default", map[string]string{"main.tf": greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.applied(revision)
	s.Expect(string(s.secret("net-outputs").Data["more"])).To(Equal("1"))
	s.restsQuietly()
}

func TestManual_WaitsForApprovalByAnnotation(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "manual" })
	id := s.held()
	s.hears("TerraformPlanSucceed", ContainSubstring(id))
	run := s.runs()[0]
	s.Expect(run.Status.Plan.Rendered).To(ContainSubstring("terraform_data.greeting"), "who reads runs can review")
	s.restsQuietly()

	s.annotate(infrav1.ApprovePlanAnnotation, id+"0")
	s.restsQuietly()
	s.Expect(s.get().Status.Plan.Pending).To(Equal(id), "another id approves nothing")

	s.annotate(infrav1.ApprovePlanAnnotation, id)
	tf := s.applied(s.revision())
	s.Expect(tf.Status.Approval.PlanID).To(Equal(id))
	s.Expect(tf.Status.Approval.How).To(Equal(infrav1.ApprovalByAnnotation))
	s.Expect(tf.Status.Plan.LastApplied).To(Equal(id))

	// The annotation stands there still; the next plan has an id of its own.
	_, err := s.tenant.Commit(s.ctx, "more", map[string]string{"main.tf": greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(s.held()).NotTo(Equal(id))
}

func TestManual_WaitsForApprovalBySpec(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create()
	id := s.held()
	s.change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = id })
	tf := s.applied(s.revision())
	s.Expect(tf.Status.Approval.How).To(Equal(infrav1.ApprovalBySpec))
	s.Expect(s.runs()).To(HaveLen(2), "the plan that was approved is applied, not another one")

	// A token that stays in the spec approves nothing else.
	s.change(func(tf *infrav1.Terraform) {
		tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: json(`"moon"`)}}
	})
	s.Expect(s.held()).NotTo(Equal(id))
}

func TestFailure_IsMendedByACommit(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": "resource \"terraform_data\" \"x\" {\n  input = var.missing\n}\n"})
	s.create(auto)
	s.becomes(metav1.ConditionFalse, infrav1.ReasonTFExecPlanFailed, ContainSubstring("main.tf:2"))
	s.hears(infrav1.ReasonTFExecPlanFailed, ContainSubstring("main.tf:2"))
	s.restsQuietly()
	s.Expect(s.get().Status.ReconciliationFailures).To(Equal(int64(1)))

	revision, err := s.tenant.Commit(s.ctx, "mend it", map[string]string{"main.tf": greeting})
	s.Expect(err).NotTo(HaveOccurred())
	tf := s.applied(revision)
	s.Expect(tf.Status.ReconciliationFailures).To(BeZero())
}

func TestFailure_IsTriedAgainAfterTheRetryInterval(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": `variable "needed" {}`})
	s.create(auto, func(tf *infrav1.Terraform) {
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 2 * time.Second}
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "ConfigMap", Name: "vars"}}
	})
	s.Eventually(func() int64 { return s.get().Status.ReconciliationFailures }).Should(BeNumerically(">=", 2))
	s.Expect(system.Client.Create(s.ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.tenant.Namespace, Name: "vars"}, Data: map[string]string{"needed": "x"},
	})).To(Succeed())
	s.becomes(metav1.ConditionTrue, infrav1.ReasonPlannedNoChanges, HavePrefix("Plan no changes: main@sha1:"))
}

func TestDrift_IsCorrectedUnderAuto(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": driftable})
	s.create(auto, s.namespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.Interval = metav1.Duration{Duration: 5 * time.Second} })
	s.Eventually(func() string { return s.get().Status.LastAppliedRevision }).ShouldNot(BeEmpty())
	s.paint("red")
	s.Eventually(s.color).Should(Equal("green"), "the next look at the interval finds and corrects it")
	s.hears(infrav1.ReasonDriftDetected, ContainSubstring("Drift detected (+0 ~1 -0)"))
	s.Eventually(func() *metav1.Time { return s.get().Status.LastAppliedByDriftDetectionAt }).ShouldNot(BeNil())
}

func TestDrift_WaitsUnderManual(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": driftable})
	s.create(s.namespaceVariable())
	s.annotate(infrav1.ApprovePlanAnnotation, s.held())
	s.applied(s.revision())
	s.paint("red")
	s.request()
	tf := s.becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.Expect(s.color()).To(Equal("red"))
	s.restsQuietly()

	s.annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Eventually(s.color).Should(Equal("green"))
	s.becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring(s.revision()))

	// Drift that goes away by itself leaves no plan behind.
	s.paint("blue")
	s.request()
	s.becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.paint("green")
	s.request()
	tf = s.becomes(metav1.ConditionTrue, infrav1.ReasonNoDrift, HavePrefix("No drift: "))
	s.Expect(tf.Status.Plan.Pending).To(BeEmpty())
}

func TestDriftCheck_LeavesReadyAlone(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create(auto)
	before := conditions.Get(s.applied(s.revision()), meta.ReadyCondition)
	s.request()
	after := conditions.Get(s.becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:")), meta.ReadyCondition)
	s.Expect(after).To(Equal(before), "the answer is the same")
}

func TestSuspend_BeginsNothingUntilResumed(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create(auto)
	s.applied(s.revision())
	s.change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	revision, err := s.tenant.Commit(s.ctx, "more", map[string]string{"main.tf": greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(func() string { return s.sourceRevision() }).Should(Equal(revision))
	s.restsQuietly()

	s.change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
	s.applied(revision)
}

func TestDeletion_KeepsTheResources(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": driftable})
	s.create(auto, s.namespaceVariable())
	s.applied(s.revision())
	s.deleteObject()
	s.Expect(s.color()).To(Equal("green"), "the resource is still there")
	s.Expect(s.secret("tfstate-default-net").Data).To(HaveKey("tfstate"), "and so is the state")
	s.leavesNothing()
}

func TestDeletion_DestroysTheResources(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": driftable + "output \"name\" { value = \"settings\" }\n"})
	s.create(s.namespaceVariable(), outputsTo("net-outputs"), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	s.annotate(infrav1.ApprovePlanAnnotation, s.held())
	s.applied(s.revision())
	s.deleteObject()
	err := system.Client.Get(s.ctx, namespaced(s, "settings"), &corev1.ConfigMap{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the resource is gone: %v", err)
	s.Expect(s.secret("tfstate-default-net").Data).To(HaveKey("tfstate"), "the empty state stays, as documented")
	s.leavesNothing()
}

func TestDeletion_OfWhatWasNeverMadeNeedsNoRun(t *testing.T) {
	s := newStory(t, map[string]string{"main.tf": greeting})
	s.create(func(tf *infrav1.Terraform) {
		tf.Spec.DestroyResourcesOnDeletion, tf.Spec.SourceRef.Name = true, "nowhere"
	})
	s.Eventually(func() string { return conditions.GetReason(s.get(), meta.ReadyCondition) }).Should(Equal(infrav1.ReasonArtifactFailed))
	s.deleteObject()
	s.leavesNothing()
}

// namespaceVariable tells the module where it works.
func (s *story) namespaceVariable() func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.Vars = append(tf.Spec.Vars, infrav1.Variable{Name: "namespace", Value: json(`"` + s.tenant.Namespace + `"`)})
	}
}

func (s *story) paint(color string) {
	s.t.Helper()
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.tenant.Namespace, Name: "settings"}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"data":{"color":"`+color+`"}}`))
	s.Expect(system.Client.Patch(s.ctx, settings, patch)).To(Succeed())
}

func (s *story) color() string {
	settings := &corev1.ConfigMap{}
	s.Expect(system.Client.Get(s.ctx, namespaced(s, "settings"), settings)).To(Succeed())
	return settings.Data["color"]
}

func (s *story) deleteObject() {
	s.t.Helper()
	s.Expect(system.Client.Delete(s.ctx, s.get())).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.ctx, namespaced(s, "net"), &infrav1.Terraform{}))
	}).Should(BeTrue(), "the object goes")
}

// leavesNothing of an object that is gone: the state Secret and its Lease, nothing else.
func (s *story) leavesNothing() {
	s.t.Helper()
	s.Eventually(func(g Gomega) {
		g.Expect(s.runs()).To(BeEmpty())
		g.Expect(s.pods()).To(BeEmpty())
		var secrets corev1.SecretList
		g.Expect(system.Client.List(s.ctx, &secrets, client.InNamespace(s.tenant.Namespace))).To(Succeed())
		for _, secret := range secrets.Items {
			g.Expect(secret.Name).To(HavePrefix("tfstate-"))
		}
		err := system.Client.Get(s.ctx, namespaced(s, infrav1.RunnerReportRole), &rbacv1.RoleBinding{})
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the binding goes with the last object")
	}).Should(Succeed())
}

func (s *story) sourceRevision() string {
	source := s.source()
	if source.Status.Artifact == nil {
		return ""
	}
	return source.Status.Artifact.Revision
}
