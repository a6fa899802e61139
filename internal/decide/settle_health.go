package decide

import (
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// unhealthy says that a run has done all that it was to do, and has then found that a health check fails. That is no failed
// plan and no failed apply.
func unhealthy(run *v1alpha2.TerraformRun) bool {
	return run.Status.Failure != nil && run.Status.Failure.Reason == v1alpha2.ReasonHealthChecksFailed
}

// health: the condition HealthCheck is of the last checks that were done. It goes with the checks, and with the resources.
func (s settlement) health() {
	run := s.run
	ended := len(run.Spec.Terraform.HealthChecks) == 0 || run.Spec.Terraform.Destroy && run.Spec.Operation == v1alpha2.OperationApply
	switch {
	case unhealthy(run):
		s.set(v1alpha2.ConditionHealthCheck, metav1.ConditionFalse, v1alpha2.ReasonHealthChecksFailed, run.Status.Failure.Message)
	case run.Status.Phase != v1alpha2.RunSucceeded:
	case len(run.Status.HealthChecks) > 0:
		s.set(v1alpha2.ConditionHealthCheck, metav1.ConditionTrue, v1alpha2.ReasonHealthChecksSucceed, "Health checks succeeded")
	case ended:
		apimeta.RemoveStatusCondition(&s.tf.Status.Conditions, v1alpha2.ConditionHealthCheck)
	}
}
