package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestQueue has a cluster of its own, as the limit is the cluster's.
func TestQueue_RunsNoMoreAtATimeThanItMay(t *testing.T) {
	compat.Shows(t, "flag.--concurrent")
	const limit, each = 2, 3
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	own, err := local.Start(ctx, local.Options{
		Root: filepath.Join("..", ".."), Dir: filepath.Join(t.TempDir(), "cluster"), Log: logr.Discard(),
		ControllerArgs: []string{fmt.Sprintf("--concurrent-runs=%d", limit)},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(own.Stop()).To(Succeed()) })
	files := map[string]string{"main.tf": story.Greeting}
	tenants := []*story.Story{story.New(t, own, files), story.New(t, own, files)}
	for _, s := range tenants {
		for i := range each {
			s.Create(story.Auto, named(fmt.Sprintf("net%d", i)))
		}
	}
	queued, most := false, 0
	g.Eventually(func(g Gomega) {
		var list infrav1.TerraformList
		g.Expect(own.Client.List(ctx, &list)).To(Succeed())
		active, applied := 0, 0
		for i := range list.Items {
			tf := &list.Items[i]
			if tf.Status.ActiveRun != nil {
				active++
			}
			if tf.Status.LastAppliedRevision != "" && conditions.IsReady(tf) {
				applied++
			}
			if conditions.GetReason(tf, meta.ReconcilingCondition) == infrav1.ReasonQueued {
				queued = true
				g.Expect(conditions.GetMessage(tf, meta.ReconcilingCondition)).To(ContainSubstring("waits for other runs to end, since"))
				g.Expect(tf.Status.ActiveRun).To(BeNil())
				g.Expect(tf.Status.Queue.Since.IsZero()).To(BeFalse())
			}
		}
		most = max(most, active)
		g.Expect(applied).To(Equal(limit * each))
	}, 3*time.Minute, 20*time.Millisecond).Should(Succeed())
	g.Expect(most).To(Equal(limit))
	g.Expect(queued).To(BeTrue(), "those that had to wait said so")
}
