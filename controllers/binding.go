package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// ensureBinding keeps the one RoleBinding of a namespace that lets runner accounts read their object and report. It
// costs a write only when an account is used for the first time.
func (r *TerraformReconciler) ensureBinding(ctx context.Context, namespace, account string) error {
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}
	binding := &rbacv1.RoleBinding{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: infrav1.RunnerReportRole}, binding)
	if apierrors.IsNotFound(err) {
		binding = newBinding(namespace)
		binding.Subjects = []rbacv1.Subject{subject}
		err = r.Client.Create(ctx, binding, client.FieldOwner(infrav1.FieldManager))
		if apierrors.IsAlreadyExists(err) {
			return errBindingBehind // made a moment ago, maybe for another account: look again
		}
		return wrap(err, "create RoleBinding %s/%s", namespace, infrav1.RunnerReportRole)
	}
	if err != nil {
		return fmt.Errorf("get RoleBinding %s/%s: %w", namespace, infrav1.RunnerReportRole, err)
	}
	if slices.Contains(binding.Subjects, subject) {
		return nil
	}
	changed := binding.DeepCopy()
	changed.Subjects = append(changed.Subjects, subject)
	patch := client.MergeFromWithOptions(binding, client.MergeFromWithOptimisticLock{})
	return wrap(r.Client.Patch(ctx, changed, patch, client.FieldOwner(infrav1.FieldManager)), "add %s to RoleBinding %s", account, binding.Name)
}

// bindingRefused says why the API server does not take the binding of a run's account.
func bindingRefused(tf *infrav1.Terraform, run *infrav1.TerraformRun, cause error) decide.Decision {
	message := fmt.Sprintf("%s: account %q can't be bound to the ClusterRole %s: %v: name another account, or allow this RoleBinding; "+
		"with --manage-runner-rbac=false it is yours to make", accountField(run), RunnerAccount(run), infrav1.RunnerReportRole, cause)
	return withoutPod("the runner's account is not bound", message, tf.GetRetryInterval())
}

// accountField is the field that names the account of a run.
func accountField(run *infrav1.TerraformRun) string {
	if RunnerAccount(run) != run.Spec.Terraform.GetServiceAccountName() {
		return "spec.planServiceAccountName"
	}
	return "spec.serviceAccountName"
}

func newBinding(namespace string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: infrav1.RunnerReportRole},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: infrav1.RunnerReportRole},
	}
}

// errBindingBehind is a conflict: the pass ends, and the next one sees the binding.
var errBindingBehind = apierrors.NewConflict(rbacv1.Resource("rolebindings"), infrav1.RunnerReportRole, errors.New("the cache is behind"))

// releaseBinding removes the binding with the last object of the namespace, as long as no runner is left there: with
// shards, that may be another shard's.
func (r *TerraformReconciler) releaseBinding(ctx context.Context, tf *infrav1.Terraform) error {
	if !r.ManageRunnerRBAC {
		return nil
	}
	var list infrav1.TerraformList
	if err := r.Client.List(ctx, &list, client.InNamespace(tf.Namespace)); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].UID != tf.UID {
			return nil
		}
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(tf.Namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list runner pods: %w", err)
	}
	if len(pods.Items) > 0 {
		return nil
	}
	return wrap(client.IgnoreNotFound(r.Client.Delete(ctx, newBinding(tf.Namespace))), "delete RoleBinding %s/%s", tf.Namespace, infrav1.RunnerReportRole)
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
