package e2e

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestGate_InputsChangedBetweenPlanAndApproval: at the same revision, an approval of what was shown first does not
// count for what has come of it since, and the difference is named.
func TestGate_InputsChangedBetweenPlanAndApproval(t *testing.T) {
	compat.Shows(t, "weak.2")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	inputs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "inputs"}, Data: map[string]string{"name": "world"}}
	s.Expect(system.Client.Create(s.Ctx, inputs)).To(Succeed())
	s.Create(func(tf *infrav1.Terraform) {
		tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "ConfigMap", Name: "inputs"}}
	})
	shown := s.Held()
	s.Expect(system.Client.Patch(s.Ctx, inputs, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"name":"moon"}}`)))).To(Succeed())
	s.Request()
	s.Expect(s.Held()).NotTo(Equal(shown))

	s.Annotate(infrav1.ApprovePlanAnnotation, shown)
	s.Hears("ApprovalDoesNotCover", And(ContainSubstring(shown), ContainSubstring("terraform_data.greeting")))
	tf := s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring("does not cover"))
	s.Expect(tf.Status.RefusedApproval.Changes).To(ContainElement("terraform_data.greeting"))
	s.RestsQuietly()
	s.Expect(s.Get().Status.AppliesCompleted).To(BeZero())

	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Applied(s.Revision())
}

// TestGate_ApprovalInTheRepositoryOfTheModule: the commit that approves moves the revision, and so the plan; it holds the
// same changes, so it goes on. The other way round, when the commit is planned before its token is seen, as well.
func TestGate_ApprovalInTheRepositoryOfTheModule(t *testing.T) {
	compat.Shows(t, "promise.plan-and-approve")
	cases := map[string]bool{"token first": true, "revision first": false}
	for name, tokenFirst := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const object = "apiVersion: infra.contrib.fluxcd.io/v1alpha2\nkind: Terraform\nmetadata:\n  name: net\nspec:\n  path: ./\n"
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting, "net.yaml": object})
			s.Create(func(tf *infrav1.Terraform) { tf.Spec.Suspend = tokenFirst })
			if tokenFirst {
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
			}
			shown := s.Held()
			approve := func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan, tf.Spec.Suspend = shown, false }
			if tokenFirst {
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = shown })
				s.Eventually(func() *infrav1.Approval { return s.Get().Status.Approval }).ShouldNot(BeNil())
			}
			revision, err := s.Tenant.Commit(s.Ctx, "approve", map[string]string{"net.yaml": object + "  approvePlan: " + shown + "\n"})
			s.Expect(err).NotTo(HaveOccurred())
			s.Eventually(s.SourceRevision).Should(Equal(revision))
			if !tokenFirst {
				s.Eventually(func() string { return s.Get().Status.LastPlannedRevision }).Should(Equal(revision))
				s.Held()
			}
			s.Change(approve)
			tf := s.Applied(revision)
			s.Expect(tf.Status.Approval.PlanID).To(Equal(shown))
			s.Expect(tf.Status.AppliesCompleted).To(Equal(int64(1)))
			s.RestsQuietly()
		})
	}
}

func TestGate_TokenLeftInGitApprovesNothingLater(t *testing.T) {
	compat.Shows(t, "spec.approvePlan", "weak.2")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable())
	token := s.Held()
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = token })
	s.Applied(s.Revision())

	// What that plan once made is gone: the plan that makes it again has the very same changes.
	s.Expect(system.Client.Delete(s.Ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "settings"}})).To(Succeed())
	s.Request()
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.RestsQuietly()

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Workspace = "other" })
	s.Expect(s.Held()).NotTo(Equal(token))
	s.RestsQuietly()
	s.Expect(s.Get().Status.AppliesCompleted).To(Equal(int64(1)))
}

// halfway makes two ConfigMaps, the second in a namespace in which the runner may have no rights.
const halfway = story.Driftable + `
variable "other" {}
resource "kubernetes_config_map" "second" {
  depends_on = [kubernetes_config_map.settings]
  metadata {
    name      = "second"
    namespace = var.other
  }
}
`

func TestGate_TheRestOfAHalfFailedApplyGoesOn(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/TFExecApplyFailed", "event.TFExecApplyFailed")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": halfway})
	other, err := system.Namespace(s.Ctx, "other")
	s.Expect(err).NotTo(HaveOccurred())
	s.Create(s.NamespaceVariable(), func(tf *infrav1.Terraform) {
		tf.Spec.RetryInterval = &metav1.Duration{Duration: 2 * time.Second}
		tf.Spec.Vars = append(tf.Spec.Vars, infrav1.Variable{Name: "other", Value: story.JSON(`"` + other + `"`)})
	})
	id := s.Held()
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Hears(infrav1.ReasonTFExecApplyFailed, ContainSubstring("forbidden"))
	s.Expect(s.Color()).To(Equal("green"), "the first half is there")

	s.Expect(system.Client.Create(s.Ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "tf-runner"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tf-runner-role"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "tf-runner", Namespace: s.Tenant.Namespace}},
	})).To(Succeed())
	tf := s.Applied(s.Revision())
	s.Expect(tf.Status.Approval.PlanID).To(Equal(id), "nobody was asked again")
	s.Expect(tf.Status.Plan.LastApplied).NotTo(Equal(id))
	s.Expect(system.Client.Get(s.Ctx, client.ObjectKey{Namespace: other, Name: "second"}, &corev1.ConfigMap{})).To(Succeed())
}

func TestGate_TheSameDriftASecondTimeAsksAgain(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable())
	s.Annotate(infrav1.ApprovePlanAnnotation, s.Held())
	s.Applied(s.Revision())
	ids := map[string]bool{}
	for range 2 {
		s.Paint("red")
		s.Request()
		tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
		s.Expect(ids).NotTo(HaveKey(tf.Status.Plan.Pending), "an id never comes back")
		ids[tf.Status.Plan.Pending] = true
		s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
		s.Eventually(s.Color).Should(Equal("green"))
		s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	}
}

func TestGate_SafeLetsAnAddPassAndHoldsTheRest(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
	s.Create(s.NamespaceVariable(), func(tf *infrav1.Terraform) {
		tf.Spec.ApprovePlan, tf.Spec.DestroyResourcesOnDeletion = "safe", true
	})
	s.Applied(s.Revision())

	// Another name makes the ConfigMap a new one: a replace.
	_, err := s.Tenant.Commit(s.Ctx, "rename", map[string]string{"main.tf": strings.Replace(story.Driftable, `= "settings"`, `= "preferences"`, 1)})
	s.Expect(err).NotTo(HaveOccurred())
	id := s.Held()
	s.RestsQuietly()
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Eventually(func() error { return system.Client.Get(s.Ctx, s.Key("preferences"), &corev1.ConfigMap{}) }).Should(Succeed())
	s.Applied(s.SourceRevision())

	s.Expect(system.Client.Delete(s.Ctx, s.Get())).To(Succeed())
	destroy := s.Held()
	s.RestsQuietly()
	s.Expect(system.Client.Get(s.Ctx, s.Key("preferences"), &corev1.ConfigMap{})).To(Succeed())
	s.Annotate(infrav1.ApprovePlanAnnotation, destroy)
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue())
	s.LeavesNothing()
}

func TestGate_DisableReportsDriftAndAppliesNothing(t *testing.T) {
	compat.Shows(t, "promise.drift-detection-only", "use.drift-detection-only")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "disable" })
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("only reported"))
	s.Annotate(infrav1.ApprovePlanAnnotation, tf.Status.Plan.Pending)
	s.Eventually(func() *infrav1.Approval { return s.Get().Status.Approval }).ShouldNot(BeNil())
	s.RestsQuietly()
	s.Expect(s.Get().Status.AppliesStarted).To(BeZero())
}

func TestGate_RejectedPlanIsNotApplied(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create()
	id := s.Held()
	s.Annotate(infrav1.RejectPlanAnnotation, id)
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Eventually(func() []string { return s.Get().Status.RejectedIDs }).Should(ConsistOf(id))
	s.RestsQuietly()
	s.Expect(s.Get().Status.AppliesStarted).To(BeZero())
	s.Annotate(infrav1.RejectPlanAnnotation, "")
	s.Applied(s.Revision())
}

// suspended is a plan that was approved, by annotation, and is kept from its apply.
func suspended(s *story.Story) (id string) {
	id = s.Held()
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = true })
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	return id
}

func TestGate_ARejectionTakesTheApprovalBack(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"net/main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.Path = "./net" })
	id := suspended(s)
	s.Annotate(infrav1.RejectPlanAnnotation, id)
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
	s.Eventually(func() []string { return s.Get().Status.RejectedIDs }).Should(ConsistOf(id))
	_, err := s.Tenant.Commit(s.Ctx, "something else", map[string]string{"README": "nothing to plan"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(s.Held).ShouldNot(Equal(id), "a plan with the same changes")
	s.RestsQuietly()
	s.Expect(s.Get().Status.AppliesStarted).To(BeZero(), "nor does the token that is left approve it")
}

// TestGate_AnApprovalIsForWhatTheChangesRestOn: nothing that a plan shows tells what a provisioner runs.
func TestGate_AnApprovalIsForWhatTheChangesRestOn(t *testing.T) {
	const module = `
locals { word = "benign" }
variable "name" { default = "benign" }
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "echo ${local.word} ${var.name}; sh ./run.sh" }
}
`
	commit := func(name, content string) func(*story.Story) {
		return func(s *story.Story) {
			_, err := s.Tenant.Commit(s.Ctx, "something else is run", map[string]string{name: content})
			s.Expect(err).NotTo(HaveOccurred())
			s.Eventually(s.SourceRevision).ShouldNot(Equal(s.Get().Status.LastPlannedRevision))
		}
	}
	for name, tc := range map[string]struct {
		change func(*story.Story)
		what   string
	}{
		"local":  {commit("main.tf", strings.Replace(module, `word = "benign"`, `word = "other"`, 1)), "the configuration, the files of the module"},
		"script": {commit("run.sh", "echo other\n"), "the files of the module"},
		"variable": {func(s *story.Story) {
			s.Change(func(tf *infrav1.Terraform) {
				tf.Spec.Vars = []infrav1.Variable{{Name: "name", Value: &apiextensionsv1.JSON{Raw: []byte(`"other"`)}}}
			})
		}, "the values of variables, the spec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": module, "run.sh": "echo benign\n"})
			s.Create()
			id := suspended(s)
			tc.change(s)
			s.Change(func(tf *infrav1.Terraform) { tf.Spec.Suspend = false })
			s.Eventually(s.Held).ShouldNot(Equal(id))
			s.Expect(s.Get().Status.AppliesStarted).To(BeZero())
			s.Becomes(metav1.ConditionUnknown, infrav1.ReasonPlannedWithChanges, ContainSubstring("does not cover "+tc.what))
		})
	}
}
