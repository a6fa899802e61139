package e2e

import (
	"fmt"
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
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

const broken = "resource \"terraform_data\" \"x\" {\n  input = var.missing\n}\n"

// annotate sets several annotations at once, as `flux reconcile --force` and `--reset` do.
func annotate(s *story.Story, keys ...string) {
	token := time.Now().Format(time.RFC3339Nano)
	tf := s.Get()
	before := tf.DeepCopy()
	for _, key := range keys {
		metav1.SetMetaDataAnnotation(&tf.ObjectMeta, key, token)
	}
	s.Expect(system.Client.Patch(s.Ctx, tf, client.MergeFrom(before), client.FieldOwner("flux-client-side-apply"))).To(Succeed())
}

func TestRetries_EndAtTheLimitAndBeginAnewWhenAsked(t *testing.T) {
	compat.Shows(t, "spec.remediation", "condition.Stalled/RetryLimitReached", "key.reconcile.fluxcd.io/requestedAt",
		"key.reconcile.fluxcd.io/resetAt", "use.receivers-and-alerts", "weak.8",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": broken})
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.RetryInterval = &metav1.Duration{Duration: time.Second}
		tf.Spec.RetryStrategy = infrav1.ExponentialBackoff
		tf.Spec.Remediation = &infrav1.Remediation{Retries: 1}
	})
	stops := func(runs int64) {
		t.Helper()
		s.Eventually(func(g Gomega) {
			tf := s.Get()
			g.Expect(conditions.GetReason(tf, meta.StalledCondition)).To(Equal(infrav1.ReasonRetryLimitReached))
			g.Expect(tf.Status.RunSequence).To(Equal(runs))
		}).Should(Succeed())
		tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecPlanFailed, ContainSubstring("main.tf:2"))
		s.Expect(conditions.GetMessage(tf, meta.StalledCondition)).To(Equal("Resource reached maximum number of retries."))
		s.RestsQuietly()
	}
	stops(2)
	annotate(s, meta.ReconcileRequestAnnotation, infrav1.ResetRequestAnnotation)
	stops(4)
	s.Expect(s.Get().Status.LastHandledResetAt).NotTo(BeEmpty())

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Remediation.Retries = 0 })
	annotate(s, meta.ReconcileRequestAnnotation)
	stops(5)
	_, err := s.Tenant.Commit(s.Ctx, "still broken", map[string]string{"main.tf": broken + "# still\n"})
	s.Expect(err).NotTo(HaveOccurred())
	stops(6)

	revision, err := s.Tenant.Commit(s.Ctx, "mend it", map[string]string{"main.tf": story.Greeting})
	s.Expect(err).NotTo(HaveOccurred())
	s.Applied(revision)
}

func TestForceAt_AppliesOnePlanWithoutApproval(t *testing.T) {
	compat.Shows(t, "key.reconcile.fluxcd.io/forceAt")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create()
	s.Held()
	annotate(s, meta.ForceRequestAnnotation, meta.ReconcileRequestAnnotation)
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.How).To(Equal(infrav1.ApprovalByForce))
	s.Expect(tf.Status.LastHandledForceAt).To(Equal(tf.Annotations[meta.ForceRequestAnnotation]))

	_, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Held()
}

func TestForce_AppliesEveryPlan(t *testing.T) {
	compat.Shows(t, "spec.force")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.Force, tf.Spec.PlanOnly = true, true })
	s.Applied(s.Revision())
	for _, run := range s.Runs() {
		if run.Spec.Operation == infrav1.OperationApply {
			s.Expect(run.Spec.Approval.How).To(Equal(infrav1.ApprovalByForce))
		}
	}
	revision, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Applied(revision)
}

func TestDestroy_TakesAllAwayAndTheObjectStays(t *testing.T) {
	compat.Shows(t, "spec.destroy", "status.plan.isDestroyPlan", "condition.Ready=True/TerraformAppliedSucceed")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.Interval = metav1.Duration{Duration: 5 * time.Second} })
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Applied(s.Revision())

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Destroy = true })
	s.Eventually(func() bool { p := s.Get().Status.Plan; return p.IsDestroyPlan && p.Pending != "" }).Should(BeTrue())
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, HavePrefix("Destroy applied successfully: main@sha1:"))
	err := system.Client.Get(s.Ctx, s.Key("settings"), &corev1.ConfigMap{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the resource is gone: %v", err)
	runs := s.Get().Status.RunSequence
	s.Consistently(func() int64 { return s.Get().Status.RunSequence }, 8*time.Second).Should(Equal(runs), "there is no drift to look for")
	s.DeleteObject()
	s.LeavesNothing()
}

func TestTargets_LimitPlanAndApply(t *testing.T) {
	compat.Shows(t, "spec.targets", "promise.hybrid")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting + "resource \"terraform_data\" \"other\" {}\n"})
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.Targets = []string{"terraform_data.other"} })
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.State.Resources).To(Equal(int64(1)))
}

// lockedByAnother makes the lock that somebody else holds.
func lockedByAnother(s *story.Story, id string) {
	s.Expect(system.Client.Create(s.Ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Tenant.Namespace, Name: "lock-tfstate-default-net",
			Annotations: map[string]string{"app.terraform.io/lock-info": fmt.Sprintf(`{"ID":%q,"Operation":"OperationTypeApply","Who":"ann@desk"}`, id)},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To(id)},
	})).To(Succeed())
}

func TestForceUnlock_ReleasesTheLockThatIsNamed(t *testing.T) {
	compat.Shows(t, "spec.tfstate.forceUnlock", "spec.tfstate.lockIdentifier", "status.lock.pending", "status.lock.lastApplied",
		"condition.Ready=False/LockHeld", "use.force-unlock", "weak.17",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	lockedByAnother(s, "0b1f-lock")
	s.Create(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "yes", LockIdentifier: "another", LockTimeout: &metav1.Duration{Duration: time.Second}}
	})
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonLockHeld, And(ContainSubstring("0b1f-lock"), ContainSubstring("ann@desk")))
	s.Expect(tf.Status.Lock.Pending).To(Equal("0b1f-lock"))
	s.RestsQuietly()

	// The retry interval is five minutes: an order is obeyed at once.
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.TfState.LockIdentifier = "0b1f-lock" })
	tf = s.Applied(s.Revision())
	s.Expect(tf.Status.Lock).To(Equal(infrav1.LockStatus{LastApplied: "0b1f-lock"}))
	s.Hears(infrav1.ReasonForceUnlock, ContainSubstring("ordered by spec.tfstate"))
}

func TestForceUnlock_AutoReleasesWhatIsInTheWay(t *testing.T) {
	compat.Shows(t, "spec.tfstate.forceUnlock", "use.force-unlock")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	lockedByAnother(s, "77aa-lock")
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "auto"} })
	s.Applied(s.Revision())
	s.Hears(infrav1.ReasonLockHeld, ContainSubstring("77aa-lock"))
	s.Hears(infrav1.ReasonForceUnlock, ContainSubstring("77aa-lock"))
}

func TestPlanAccount_PlansWithoutTheRightToChange(t *testing.T) {
	compat.Shows(t, "spec.planServiceAccountName")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	name := metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "planner"}
	all := []string{"get", "list", "create", "update", "patch", "delete"}
	for _, obj := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: name},
		&rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: all},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: all},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: name.Namespace, Name: name.Name}},
		},
	} {
		s.Expect(system.Client.Create(s.Ctx, obj)).To(Succeed())
	}
	s.Create(story.Auto, s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "planner" })
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecApplyFailed, And(ContainSubstring("forbidden"), ContainSubstring("planner")))
	s.Expect(apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("settings"), &corev1.ConfigMap{}))).To(BeTrue(),
		"whatever runs as the account of plans, it does not write what an apply does")

	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.ServiceAccountName, tf.Spec.PlanServiceAccountName = infrav1.DefaultServiceAccount, name.Name
	})
	s.Applied(s.Revision())
	s.Expect(s.Color()).To(Equal("green"))
	planned := map[string]bool{}
	for _, run := range s.Runs() {
		planned[run.Status.Runner.PodUID] = planned[run.Status.Runner.PodUID] || run.Spec.Operation == infrav1.OperationPlan
	}
	for _, run := range s.Runs() {
		if run.Spec.Operation == infrav1.OperationApply && run.Status.Phase == infrav1.RunSucceeded {
			s.Expect(planned[run.Status.Runner.PodUID]).To(BeFalse(), "the apply has a pod of its own, with its own account")
		}
	}
	binding := &rbacv1.RoleBinding{}
	s.Expect(system.Client.Get(s.Ctx, s.Key(infrav1.RunnerReportRole), binding)).To(Succeed())
	s.Expect(binding.Subjects).To(HaveLen(2), "one account plans, the other applies")
}
