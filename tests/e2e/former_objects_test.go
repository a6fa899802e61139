package e2e

import (
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// The objects of the cluster that is taken over, each in another condition. What they are called says what is with them.

const defaultWorkspace = "default"

// applied is the status of an object that has been applied, and in which nothing happens.
func applied(revision string) infrav1.TerraformStatus {
	return infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReadyCondition, metav1.ConditionTrue, infrav1.ReasonNoDrift, "No drift: "+revision),
			condition(infrav1.ConditionApply, metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, "Applied successfully"),
			condition(infrav1.ConditionOutput, metav1.ConditionTrue, infrav1.ReasonOutputsWritten, "Outputs written"),
			condition(infrav1.ConditionPlan, metav1.ConditionTrue, infrav1.ReasonPlannedWithChanges, "Plan generated"),
		},
		LastAppliedRevision: revision, LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1,
		LastPlanAt: ptr.To(metav1.Now()), AvailableOutputs: []string{"greeting"}, Plan: infrav1.PlanStatus{LastApplied: legacyID(revision)},
	}
}

// waiting is the status of an object whose plan waits for a person.
func waiting(revision string) infrav1.TerraformStatus {
	return infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, "Fulfilling prerequisites"),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges,
				"Plan generated: set approvePlan: \""+legacyID(revision)+"\" to approve this plan."),
			condition(infrav1.ConditionPlan, metav1.ConditionTrue, infrav1.ReasonPlannedWithChanges, "Plan generated"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1, LastPlanAt: ptr.To(metav1.Now()),
		Plan: infrav1.PlanStatus{Pending: legacyID(revision)},
	}
}

// blubs is a plan that no engine can read.
func blubs(revision string) storedPlan {
	return storedPlan{file: []byte("a plan of blubs"), id: legacyID(revision), workspace: defaultWorkspace}
}

// rested has been applied, by a token that still stands in its spec, and another object depends on it. Its readable plans are
// there.
func (f *former) rested(revision string) {
	tf := f.make("rested", applied(revision), func(tf *infrav1.Terraform) {
		tf.Finalizers = append(tf.Finalizers, "tf.dependency.of.approved", "tf.dependency.of.long-gone")
		tf.Spec.ApprovePlan = legacyID(revision)
		tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "rested-outputs"}
	})
	f.storePlan(tf, blubs(revision))
	f.storeReadable(tf, blubs(revision))
	// A state Secret of 0.16.4 has the object's labels.
	f.storeState("rested", defaultWorkspace, "hello world", map[string]string{"kustomize.toolkit.fluxcd.io/name": "infra"})
	f.outputs = &corev1.Secret{ObjectMeta: f.meta("rested-outputs"), Data: map[string][]byte{
		"greeting": []byte("hello world"), "answer": []byte("42"), "answer__type": []byte(`"number"`),
	}}
	f.outputs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))}
	f.Expect(f.System.Client.Create(f.Ctx, f.outputs)).To(Succeed())
}

// atRest are objects that were applied, and that have something about them.
func (f *former) atRest(revision string) {
	f.make("staged", applied(revision), func(tf *infrav1.Terraform) { tf.Spec.Workspace = "stage" })
	staged := f.object("staged")
	f.storeState("staged", "stage", "hello world", nil)
	f.storePlan(staged, storedPlan{file: []byte("blub"), id: legacyID(revision), workspace: "stage", chunks: 2})

	kept := f.make("kept", applied(revision), func(tf *infrav1.Terraform) { tf.Spec.AlwaysCleanupRunnerPod = ptr.To(false) })
	f.storeState("kept", defaultWorkspace, "hello world", nil)
	f.runner(kept, corev1.PodRunning, "trap 'exit 0' TERM; while :; do sleep 0.1; done")

	f.make("unstarted", applied(revision), func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "manual" })
	f.storeState("unstarted", defaultWorkspace, "hello world", nil)
	f.runner(f.object("unstarted"), corev1.PodPending, "exit 1")

	asleep := f.make("asleep", applied(revision), func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	f.storeState("asleep", defaultWorkspace, "hello world", nil)
	f.storePlan(asleep, blubs(revision))
}

// unsettled are objects whose conditions speak of trouble that is over, or of what never ends.
func (f *former) unsettled(revision string) {
	f.make("denied", infrav1.TerraformStatus{Conditions: []metav1.Condition{
		condition(meta.StalledCondition, metav1.ConditionTrue, infrav1.ReasonAccessDenied, "cannot access blub"),
		condition(meta.ReadyCondition, metav1.ConditionFalse, infrav1.ReasonAccessDenied, "cannot access blub"),
		condition(infrav1.ConditionStateLocked, metav1.ConditionFalse, infrav1.ReasonForceUnlock, "Terraform Force Unlock with Lock Identifier: blub"),
	}, LastAttemptedRevision: revision}, story.Auto)
	f.storeState("denied", defaultWorkspace, "hello world", nil)

	f.make("reporting", infrav1.TerraformStatus{Conditions: []metav1.Condition{
		condition(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, "Fulfilling prerequisites"),
		condition(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Initializing"),
		condition(infrav1.ConditionHealthCheck, metav1.ConditionFalse, infrav1.ReasonHealthChecksFailed, "blub"),
	}}, func(tf *infrav1.Terraform) {
		tf.Spec.ApprovePlan = "disable"
		tf.Spec.DisableDriftDetection = true
	})
	f.storeState("reporting", defaultWorkspace, "hello world", nil)

	// The branch planner's copy for a pull request.
	f.make("copied-pr-7", waiting(revision), func(tf *infrav1.Terraform) {
		tf.Labels = map[string]string{"infra.weave.works/branch-planner": "true", "infra.weave.works/pr-id": "7", "infra.weave.works/primary-resource": "rested"}
		tf.Spec.PlanOnly = true
	})
}

// approved has a plan that waits, and whose id a person has just put into the spec; its file does not have its hash.
func (f *former) approved(revision string) {
	tf := f.make("approved", waiting(revision), func(tf *infrav1.Terraform) {
		tf.Spec.ApprovePlan = legacyID(revision)
		tf.Spec.DependsOn = []infrav1.DependencyReference{{Name: "rested"}}
	})
	plan := blubs(revision)
	plan.spoiled = true
	f.storePlan(tf, plan)
}

// undecided are objects whose plan waits: for nobody has approved it, or for an approval that does not count.
func (f *former) undecided(revision string) {
	token := func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = legacyID(revision) }
	silent := f.make("silent", waiting(revision), func(tf *infrav1.Terraform) { tf.Spec.StoreReadablePlan = "json" })
	f.storePlan(silent, blubs(revision))
	f.storeReadable(silent, blubs(revision))

	plan := storedPlan{file: f.planFile(), id: legacyID(revision), workspace: defaultWorkspace}
	f.storePlan(f.make("differing", waiting(revision), func(tf *infrav1.Terraform) {
		token(tf)
		tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: story.JSON(`"moon"`)}}
	}), plan)

	used := waiting(revision)
	used.LastAppliedRevision, used.Plan.LastApplied = revision, legacyID(revision)
	f.storePlan(f.make("used", used, token), plan)

	plan.file = []byte("dummy plan") // which the incumbent keeps where there is no backend
	f.storePlan(f.make("unreadable", waiting(revision), token), plan)
}

// agreed has a plan that waits and was approved, and all that was stored is as it was.
func (f *former) agreed(revision string) {
	tf := f.make("agreed", waiting(revision), func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = legacyID(revision) })
	f.storePlan(tf, storedPlan{file: f.planFile(), id: legacyID(revision), workspace: defaultWorkspace, chunks: 3})
}

const (
	applyingLock = "6b1d3a52-0000-4000-8000-000000000001"
	troubledLock = "6b1d3a52-0000-4000-8000-000000000002"
	orphanLock   = "6b1d3a52-0000-4000-8000-000000000003"
)

// applying was in the middle of an apply: its runner is at work and holds the lock.
func (f *former) applying(revision string) {
	tf := f.make("applying", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReconcilingCondition, metav1.ConditionTrue, meta.ProgressingReason, "Fulfilling prerequisites"),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Applying"),
			condition(infrav1.ConditionApply, metav1.ConditionUnknown, meta.ProgressingReason, "Apply started"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, LastPlannedGeneration: 1, Plan: infrav1.PlanStatus{Pending: legacyID(revision)},
	}, story.Auto)
	f.storePlan(tf, storedPlan{file: []byte("blub"), id: legacyID(revision), workspace: defaultWorkspace, chunks: 1})
	f.storeState("applying", defaultWorkspace, "an older greeting", nil)
	f.runner(tf, corev1.PodRunning, fmt.Sprintf("trap 'sleep %d; exit 0' TERM; while :; do sleep 0.1; done", int(outlasting.Seconds())), holdPod)
	f.lockState("applying", applyingLock, "runner@applying-tf-runner", time.Now())
}

// troubled has failed as often as it may; its runner has failed too, with the lock in its hands, and its plan Secret has no
// labels, as of old.
func (f *former) troubled(revision string) {
	tf := f.make("troubled", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.StalledCondition, metav1.ConditionTrue, infrav1.ReasonRetryLimitReached, "Resource reached maximum number of retries."),
			condition(meta.ReadyCondition, metav1.ConditionUnknown, meta.ProgressingReason, "Reconciliation in progress"),
			condition(infrav1.ConditionStateLocked, metav1.ConditionTrue, infrav1.ReasonLockHeld, "Terraform Locked with Lock Identifier: "+troubledLock),
		},
		LastAttemptedRevision: revision, ReconciliationFailures: 9, Lock: infrav1.LockStatus{Pending: troubledLock},
	}, func(tf *infrav1.Terraform) {
		story.Auto(tf)
		tf.Spec.Remediation = &infrav1.Remediation{Retries: 3}
	})
	plan := blubs(revision)
	plan.bare = true
	f.storePlan(tf, plan)
	pod := f.runner(tf, corev1.PodFailed, "exit 1")
	f.lockState("troubled", troubledLock, "runner@troubled-tf-runner", pod.Status.StartTime.Time)
}

// orphan's state is locked by a runner whose pod is not there any more.
func (f *former) orphan(revision string) {
	f.make("orphan", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReadyCondition, metav1.ConditionFalse, infrav1.ReasonTFExecPlanFailed, "error running Plan: blub"),
			condition(infrav1.ConditionStateLocked, metav1.ConditionTrue, infrav1.ReasonLockHeld, "Terraform Locked with Lock Identifier: "+orphanLock),
		},
		LastAttemptedRevision: revision, ReconciliationFailures: 40, Lock: infrav1.LockStatus{Pending: orphanLock},
	}, story.Auto)
	f.storeState("orphan", defaultWorkspace, "hello world", nil)
	f.lockState("orphan", orphanLock, "runner@orphan-tf-runner", time.Now().Add(-time.Hour))
}

// going is being deleted; its only apply has failed after it had made something.
func (f *former) going(revision string) {
	tf := f.make("going", infrav1.TerraformStatus{
		Conditions: []metav1.Condition{
			condition(meta.ReadyCondition, metav1.ConditionFalse, infrav1.ReasonTFExecApplyFailed, "error running Apply: blub"),
			condition(infrav1.ConditionApply, metav1.ConditionFalse, infrav1.ReasonAppliedFail, "error running Apply: blub"),
		},
		LastAttemptedRevision: revision, LastPlannedRevision: revision, ReconciliationFailures: 2,
	}, func(tf *infrav1.Terraform) {
		tf.Finalizers = append(tf.Finalizers, "tf.dependency.of.long-gone")
		tf.Spec.DestroyResourcesOnDeletion = true
	})
	f.storeState("going", defaultWorkspace, "hello world", nil)
	f.Expect(f.System.Client.Delete(f.Ctx, tf)).To(Succeed())
}

// leaving is being deleted and leaves its resources; the incumbent did nothing about it, as it is suspended.
func (f *former) leaving(revision string) {
	tf := f.make("leaving", applied(revision), func(tf *infrav1.Terraform) {
		tf.Spec.Suspend = true
		tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "leaving-outputs"}
	})
	f.storeState("leaving", defaultWorkspace, "hello world", nil)
	f.storePlan(tf, blubs(revision))
	f.storeReadable(tf, blubs(revision))
	outputs := &corev1.Secret{ObjectMeta: f.meta("leaving-outputs"), Data: map[string][]byte{"greeting": []byte("hello world")}}
	outputs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))}
	f.Expect(f.System.Client.Create(f.Ctx, outputs)).To(Succeed())
	f.Expect(f.System.Client.Delete(f.Ctx, tf)).To(Succeed())
}

// handmade runs as an account that somebody has made by hand, with a role of its own.
func (f *former) handmade(revision string) {
	const account = "deployer"
	verbs := []string{"get", "list", "create", "update", "patch", "delete"}
	f.Expect(f.System.Client.Create(f.Ctx, &corev1.ServiceAccount{ObjectMeta: f.meta(account)})).To(Succeed())
	f.Expect(f.System.Client.Create(f.Ctx, &rbacv1.Role{ObjectMeta: f.meta(account), Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: verbs},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: verbs},
	}})).To(Succeed())
	f.Expect(f.System.Client.Create(f.Ctx, &rbacv1.RoleBinding{
		ObjectMeta: f.meta("deployer-by-hand"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: f.Tenant.Namespace}},
	})).To(Succeed())
	f.make("handmade", infrav1.TerraformStatus{LastAttemptedRevision: revision}, func(tf *infrav1.Terraform) {
		story.Auto(tf)
		tf.Spec.ServiceAccountName = account
	})
}

// everything is the whole cluster.
func (f *former) everything() {
	f.t.Helper()
	revision := f.revision()
	for _, add := range []func(string){
		f.rested, f.atRest, f.unsettled, f.approved, f.undecided, f.agreed, f.applying, f.troubled, f.orphan, f.going, f.leaving, f.handmade,
	} {
		add(revision)
	}
	f.leaveTLS()
}
