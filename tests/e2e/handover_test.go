package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// podsOfRuns are the pods that the object's runs were done in, in their order.
func podsOfRuns(s *story.Story) []string {
	uids := []string{}
	for _, run := range s.Runs() {
		s.Expect(run.Status.Runner).NotTo(BeNil())
		uids = append(uids, run.Status.Runner.PodUID)
	}
	return uids
}

// TestApply_GoesOnInThePodOfItsPlan: one pod, one download and one init for a plan that is applied at once.
func TestApply_GoesOnInThePodOfItsPlan(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	s.Applied(s.Revision())
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).To(Equal(pods[0]))
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty(), "it goes after the apply")
}

// TestApply_GoesOnInThePodOfItsPlan_WhenItIsApprovedInTime: a pod that may wait is there when a person has read the plan.
func TestApply_GoesOnInThePodOfItsPlan_WhenItIsApprovedInTime(t *testing.T) {
	compat.Shows(t, "spec.alwaysCleanupRunnerPod")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.AlwaysCleanupRunnerPod = ptr.To(false) })
	s.Eventually(func() string { return s.Get().Status.Plan.Pending }).ShouldNot(BeEmpty())
	s.Consistently(func() []corev1.Pod { return s.Pods() }).Should(HaveLen(1), "the pod waits")
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Get().Status.Plan.Pending)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).To(Equal(pods[0]))
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty(), "it goes after the apply")
}

// TestApply_TakesANewPod_WhenNobodyKnowsWhenItIsApproved is the default: nothing waits for a person.
func TestApply_TakesANewPod_WhenNobodyKnowsWhenItIsApproved(t *testing.T) {
	compat.Shows(t, "spec.alwaysCleanupRunnerPod")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create()
	id := s.Held()
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty(), "the pod goes")
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).NotTo(Equal(pods[0]))
}
