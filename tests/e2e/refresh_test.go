package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

func every(interval time.Duration) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { tf.Spec.Interval = metav1.Duration{Duration: interval} }
}

// storedPlans are the plan Secrets by name, with what shows that one was written.
func storedPlans(s *story.Story) map[string]string {
	var all corev1.SecretList
	s.Expect(system.Client.List(s.Ctx, &all, client.InNamespace(s.Tenant.Namespace))).To(Succeed())
	plans := map[string]string{}
	for _, secret := range all.Items {
		if strings.HasPrefix(secret.Name, "tfplan-") {
			plans[secret.Name] = string(secret.UID) + "/" + secret.ResourceVersion
		}
	}
	return plans
}

func TestRefresh_LeavesThePlanThatWaitsAsItIs(t *testing.T) {
	compat.Shows(t, "weak.20")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(every(4 * time.Second))
	id := s.Held()
	first, plans := s.Get().Status.RunSequence, storedPlans(s)
	s.Expect(plans).To(HaveLen(2))

	s.Eventually(func() int64 { return s.Get().Status.RunSequence }).Should(BeNumerically(">=", first+2))
	s.Expect(s.Held()).To(Equal(id))
	s.Expect(storedPlans(s)).To(Equal(plans), "nothing was written in place of what a person has read")
	s.Expect(s.Get().Status.Plan.Differed).To(BeZero())
	for _, run := range s.Runs() {
		s.Expect(run.Spec.Operation).To(Equal(infrav1.OperationPlan))
	}

	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Eventually(func() string { return s.Get().Status.Plan.LastApplied }).Should(Equal(id))
}

var renderedTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func TestRefresh_LeavesAVolatilePlanAlone(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting + "output \"made\" { value = plantimestamp() }\n"})
	s.Create(story.OutputsTo("net-outputs"), every(3*time.Second))
	tf := s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, HaveSuffix("so that it is not refreshed any more."))
	id := tf.Status.Plan.Pending
	s.Hears("TerraformPlanVolatile", ContainSubstring(id))
	s.Consistently(func() int64 { return s.Get().Status.RunSequence }, 8*time.Second).Should(Equal(tf.Status.RunSequence), "several intervals pass")

	s.Request()
	tf = s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, HaveSuffix("so that it is not refreshed any more."))
	s.Expect(tf.Status.Plan.Pending).NotTo(Equal(id), "who asks gets a new one")

	id = tf.Status.Plan.Pending
	shown := &infrav1.TerraformRun{}
	s.Expect(system.Client.Get(s.Ctx, s.Key(tf.Status.Plan.Run), shown)).To(Succeed())
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Eventually(func() string { return s.Get().Status.Plan.LastApplied }).Should(Equal(id))
	s.Expect(string(s.Secret("net-outputs").Data["made"])).To(Equal(renderedTime.FindString(shown.Status.Plan.Rendered)), "the plan that was shown was applied")

	// What was applied is out of date at once, and again the plan is another one each time.
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, HaveSuffix("so that it is not refreshed any more."))

	_, err := s.Tenant.Commit(s.Ctx, "no clock", map[string]string{"main.tf": story.Greeting + "output \"made\" { value = \"now\" }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	tf = s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, HaveSuffix("to approve this plan."))
	s.Eventually(func() int64 { return s.Get().Status.RunSequence }).Should(BeNumerically(">", tf.Status.RunSequence), "it is refreshed again")
}
