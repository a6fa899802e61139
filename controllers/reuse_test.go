package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// planned is an object with a pending plan, the reconciler of its pods, and the pod that has made the plan and waits.
func planned() (*infrav1.Terraform, *TerraformReconciler, *corev1.Pod) {
	in := podInput()
	tf := in.Terraform
	tf.Spec.ApprovePlan = "auto"
	tf.Status.Plan = infrav1.PlanStatus{Pending: "plan-1", Run: in.Run.Name}
	in.Run.Spec.Terraform = *tf.Spec.DeepCopy()
	pod := BuildPod(in)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: RunnerContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	return tf, &TerraformReconciler{Runner: in.Config}, pod
}

func TestPodWaits(t *testing.T) {
	now := metav1.NewTime(noon)
	cases := map[string]struct {
		reason string
		change func(*infrav1.Terraform, *observation, *TerraformReconciler)
		want   bool
	}{
		"plan made": {"it is as a pod for the apply would be", func(*infrav1.Terraform, *observation, *TerraformReconciler) {}, true},
		"told already": {"its run is reserved, and the controller was restarted", func(tf *infrav1.Terraform, o *observation, _ *TerraformReconciler) {
			tf.Status.ActiveRun = &infrav1.ActiveRun{Name: "networking-2"}
			o.pod.Labels[infrav1.RunNameLabel] = "networking-2"
		}, true},
		"approved by the spec": {"that changes no pod", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Spec.ApprovePlan = "plan-1"
		}, true},
		"nothing pending": {"there is nothing to apply", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Status.Plan.Pending = ""
		}, false},
		"made by another run": {"its plan is another one", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Status.Plan.Run = "networking-0"
		}, false},
		"run active": {"its run is not over", func(_ *infrav1.Terraform, o *observation, _ *TerraformReconciler) {
			o.run = &infrav1.TerraformRun{}
		}, false},
		"going": {"somebody has deleted it", func(_ *infrav1.Terraform, o *observation, _ *TerraformReconciler) {
			o.pod.DeletionTimestamp = &now
		}, false},
		"ended": {"it has waited long enough", func(_ *infrav1.Terraform, o *observation, _ *TerraformReconciler) {
			o.pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		}, false},
		"other account for applies": {"a pod has one account", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Spec.ServiceAccountName = "applies"
		}, false},
		"account of its own for plans": {"the plan's account must not apply", func(tf *infrav1.Terraform, o *observation, r *TerraformReconciler) {
			tf.Spec.PlanServiceAccountName = "plans"
			in := podInput()
			in.Run.Spec.Terraform = *tf.Spec.DeepCopy()
			made := BuildPod(in)
			made.Status = o.pod.Status
			o.pod = made
		}, false},
		"image changed": {"the apply would be another engine's", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Spec.RunnerPodTemplate.Spec.Image = "example.com/other:1"
		}, false},
		"grace changed": {"it would be killed too early", func(tf *infrav1.Terraform, _ *observation, _ *TerraformReconciler) {
			tf.Spec.RunnerTerminationGracePeriodSeconds = ptr.To[int64](600)
		}, false},
		"controller changed": {"a new release has a new runner", func(_ *infrav1.Terraform, _ *observation, r *TerraformReconciler) {
			r.Runner.Image = "registry.example/tf-runner:v1.1.0"
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tf, r, pod := planned()
			o := &observation{pod: pod, now: noon}
			tc.change(tf, o, r)
			NewWithT(t).Expect(r.podWaits(tf, o)).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestBuildPod_WaitsAsLongAsTheObjectSays(t *testing.T) {
	for keep, want := range map[bool]string{false: "60", true: "300"} {
		in := podInput()
		in.Config.IdleTimeout = 5 * time.Minute
		in.Run.Spec.Terraform.AlwaysCleanupRunnerPod = ptr.To(!keep)
		NewWithT(t).Expect(BuildPod(in).Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: envIdle, Value: want}))
	}
}
