package main

import (
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestManager_LeaseIsTheIncumbentsUnlessSharded(t *testing.T) {
	compat.Shows(t, "flag.--enable-leader-election and what belongs to it")
	g := NewWithT(t)
	o, err := parsed(t, map[string]string{}, "--enable-leader-election")
	g.Expect(err).NotTo(HaveOccurred())
	opts, err := o.managerOptions(logr.Discard())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(opts.LeaderElectionID).To(Equal("1953de50.contrib.fluxcd.io"))
	g.Expect(opts.LeaderElectionNamespace).To(Equal("flux-system"))
	g.Expect(opts.Cache.DefaultNamespaces).To(BeEmpty())

	o, err = parsed(t, map[string]string{}, "--watch-label-selector=shard=1", "--watch-all-namespaces=false")
	g.Expect(err).NotTo(HaveOccurred())
	sharded, err := o.managerOptions(logr.Discard())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(sharded.LeaderElectionID).To(HavePrefix(opts.LeaderElectionID))
	g.Expect(sharded.LeaderElectionID).NotTo(Equal(opts.LeaderElectionID))
	g.Expect(sharded.Cache.DefaultNamespaces).To(HaveKey("flux-system"))

	o, err = parsed(t, map[string]string{}, "--watch-label-selector=a=b=c")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = o.managerOptions(logr.Discard())
	g.Expect(err).To(MatchError(ContainSubstring("--watch-label-selector")))
}

func TestStripFinishedRun(t *testing.T) {
	full := func(phase infrav1.RunPhase) *infrav1.TerraformRun {
		return &infrav1.TerraformRun{
			ObjectMeta: metav1.ObjectMeta{Name: "run", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}}},
			Spec: infrav1.TerraformRunSpec{
				Target: "t", Terraform: infrav1.TerraformSpec{Destroy: true, Path: "./large"},
			},
			Status: infrav1.TerraformRunStatus{
				Phase: phase, Outputs: []string{"a"},
				Plan: &infrav1.RunPlan{ID: "plan-1", Content: "content", HasChanges: true, Rendered: "large", Changes: []infrav1.PlanChange{{Address: "large"}}},
			},
		}
	}
	t.Run("a run at work stays as it is", func(t *testing.T) {
		g := NewWithT(t)
		got, err := stripFinishedRun(full(infrav1.RunRunning))
		want := full(infrav1.RunRunning)
		want.ManagedFields = nil
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want))
	})
	t.Run("a finished one keeps its result", func(t *testing.T) {
		g := NewWithT(t)
		got, err := stripFinishedRun(full(infrav1.RunSucceeded))
		want := full(infrav1.RunSucceeded)
		want.ManagedFields = nil
		want.Spec.Terraform.Path, want.Status.Plan.Rendered, want.Status.Plan.Changes = "", "", nil
		want.Status.Plan.Content = "" // it is not that of the changes
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want))
		many := full(infrav1.RunSucceeded)
		many.Status.Plan.Changes = nil
		got, err = stripFinishedRun(many)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(HaveField("Status.Plan.Content", "content"))
	})
	t.Run("a tombstone passes", func(t *testing.T) {
		got, err := stripFinishedRun("tombstone")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(got).To(Equal("tombstone"))
	})
}
