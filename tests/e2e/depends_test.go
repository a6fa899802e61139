package e2e

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

func named(name string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { tf.Name = name }
}

func dependsOn(refs ...infrav1.DependencyReference) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { tf.Spec.DependsOn = refs }
}

// object reads one of several objects of a story.
func object(s *story.Story, name string) *infrav1.Terraform {
	tf := &infrav1.Terraform{}
	s.Expect(system.Client.Get(s.Ctx, s.Key(name), tf)).To(Succeed())
	return tf
}

func change(s *story.Story, name string, how func(*infrav1.Terraform)) {
	tf := object(s, name)
	before := tf.DeepCopy()
	how(tf)
	s.Expect(system.Client.Patch(s.Ctx, tf, client.MergeFrom(before))).To(Succeed())
}

// says waits until an object's Ready has that status, reason and message.
func says(s *story.Story, name, ready string, message types.GomegaMatcher) {
	s.Eventually(func(g Gomega) {
		c := conditions.Get(object(s, name), meta.ReadyCondition)
		g.Expect(c).NotTo(BeNil())
		g.Expect(string(c.Status)+" "+c.Reason).To(Equal(ready), c.Message)
		g.Expect(c.Message).To(message)
	}).Should(Succeed())
}

func appliedAt(s *story.Story, name string) func() string {
	return func() string { return object(s, name).Status.LastAppliedRevision }
}

func runsOf(s *story.Story, name string) (runs []infrav1.TerraformRun) {
	for _, run := range s.Runs() {
		if run.Labels[infrav1.TerraformNameLabel] == name {
			runs = append(runs, run)
		}
	}
	return runs
}

func TestDependsOn_BeginsAfterItsDependencyAndGoesBeforeIt(t *testing.T) {
	compat.Shows(t, "spec.dependsOn", "condition.Ready=False/DeletionBlockedByDependantsReason",
		"condition.Ready=False/DependencyNotReady", "event.DependencyNotReady", "promise.dependencies", "use.inputs-from-others",
		"weak.22",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, named("app"), dependsOn(infrav1.DependencyReference{Name: "net"}))
	says(s, "app", "False DependencyNotReady", ContainSubstring("unable to get '"+s.Tenant.Namespace+"/net' dependency"))

	s.Create(story.OutputsTo("net-outputs"))
	id := s.Held()
	says(s, "app", "False DependencyNotReady", Equal("dependency '"+s.Tenant.Namespace+"/net' is not ready"))
	s.Expect(runsOf(s, "app")).To(BeEmpty(), "nothing begins before the dependency")
	s.Eventually(func() (kinds []string) {
		for _, e := range s.Events() {
			if e.InvolvedObject.Name == "app" && e.Reason == "DependencyNotReady" {
				kinds = append(kinds, e.Type)
			}
		}
		return kinds
	}).Should(And(ContainElement(corev1.EventTypeNormal), Not(ContainElement(corev1.EventTypeWarning))))

	// The retry interval is five minutes: it is the dependency that wakes it.
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Eventually(appliedAt(s, "app")).ShouldNot(BeEmpty())
	s.Expect(string(s.Secret("net-outputs").Data["greeting"])).To(Equal("hello world"))

	// Both are of one source: a new revision goes through the dependency first.
	revision, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(func() string { return object(s, "net").Status.LastPlannedRevision }).Should(Equal(revision))
	says(s, "app", "False DependencyNotReady", HavePrefix("dependency '"))
	s.Expect(appliedAt(s, "app")()).NotTo(Equal(revision))
	s.Eventually(func() string { return object(s, "net").Status.Plan.Pending }).ShouldNot(BeEmpty())
	s.Annotate(infrav1.ApprovePlanAnnotation, object(s, "net").Status.Plan.Pending)
	s.Eventually(appliedAt(s, "app")).Should(Equal(revision))

	s.Expect(system.Client.Delete(s.Ctx, object(s, "net"))).To(Succeed())
	says(s, "net", "False DeletionBlockedByDependantsReason", Equal("Deletion in progress, but blocked. Please delete app to resume ..."))
	s.Expect(system.Client.Delete(s.Ctx, object(s, "app"))).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(system.Client.Get(s.Ctx, s.Key("net"), &infrav1.Terraform{}))
	}).Should(BeTrue(), "the last dependant has gone")
	s.LeavesNothing()
}

func TestDependsOn_ReadyExpr(t *testing.T) {
	compat.Shows(t, "spec.dependsOn.readyExpr")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create()
	s.Held()
	ask := func(text string) infrav1.DependencyReference {
		return infrav1.DependencyReference{Name: "net", ReadyExpr: text}
	}
	s.Create(story.Auto, named("app"), dependsOn(ask("dep.what is this")))
	says(s, "app", "False InvalidCELExpression", ContainSubstring("dep.what is this"))
	s.Expect(conditions.IsStalled(object(s, "app"))).To(BeTrue())

	change(s, "app", dependsOn(ask("dep.metadata.labels.tier == self.spec.approvePlan")))
	says(s, "app", "False DependencyNotReady", ContainSubstring("is not ready"))
	s.Expect(runsOf(s, "app")).To(BeEmpty())
	change(s, "net", func(tf *infrav1.Terraform) { tf.Labels = map[string]string{"tier": "auto"} })
	s.Eventually(appliedAt(s, "app")).ShouldNot(BeEmpty(), "the expression counts instead of all else")
}

func TestDependsOn_CircleIsNamed(t *testing.T) {
	compat.Shows(t, "spec.dependsOn")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, dependsOn(infrav1.DependencyReference{Name: "app"}))
	s.Create(story.Auto, named("app"), dependsOn(infrav1.DependencyReference{Name: "db"}))
	s.Create(story.Auto, named("db"), dependsOn(infrav1.DependencyReference{Name: "net"}))
	ns := s.Tenant.Namespace
	circle := strings.Join([]string{ns + "/net", ns + "/app", ns + "/db", ns + "/net"}, " -> ")
	says(s, "net", "False DependencyNotReady", HaveSuffix("dependency cycle: "+circle))
	s.Eventually(func() bool { return conditions.IsStalled(object(s, "net")) }).Should(BeTrue())

	change(s, "db", dependsOn())
	for _, name := range []string{"db", "app", "net"} {
		s.Eventually(appliedAt(s, name)).ShouldNot(BeEmpty(), name)
	}
}

func TestDependsOn_OtherNamespaceIsDenied(t *testing.T) {
	compat.Shows(t, "spec.dependsOn.namespace", "condition.Stalled/AccessDenied")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto, dependsOn(infrav1.DependencyReference{Name: "app", Namespace: local.Namespace}))
	s.Refuses(infrav1.ReasonAccessDenied, local.Namespace+"/app", "cross-namespace references have been disabled")
	s.Expect(conditions.IsStalled(s.Get())).To(BeTrue())
	s.Expect(s.Runs()).To(BeEmpty())
	s.Change(dependsOn())
	s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:"))
}
