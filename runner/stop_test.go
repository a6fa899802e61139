package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// sleeper is what the module's local-exec runs; its argument is found in /proc.
const sleeper = "61.0417"

// slowModule has something done, something in flight, and something that waits for it.
func slowModule() map[string]string {
	return map[string]string{"main.tf": `
resource "terraform_data" "first" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "sleep ` + sleeper + ` & sleep ` + sleeper + `" }
}
resource "terraform_data" "last" { depends_on = [terraform_data.slow] }
`}
}

// sleepers counts the processes that the module has started.
func sleepers() int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	count := 0
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(line), "sleep\x00"+sleeper) {
			count++
		}
	}
	return count
}

func TestExecute_StopsAnApplyGracefully(t *testing.T) {
	compat.Shows(t, "spec.timeouts")
	for _, tc := range []struct {
		name, why string
		spec      func(*v1alpha2.TerraformSpec)
		stop      func(*world, *v1alpha2.TerraformRun, context.CancelFunc)
		phase     v1alpha2.RunPhase
		reason    string
		message   string
	}{
		{
			name: "SIGTERM", why: "the pod is told to end",
			stop:  func(_ *world, _ *v1alpha2.TerraformRun, terminate context.CancelFunc) { terminate() },
			phase: v1alpha2.RunFailed, reason: v1alpha2.ReasonInterrupted,
			message: "the runner pod was told to end (SIGTERM)",
		},
		{
			name: "cancel", why: "a person asks the run to stop",
			stop: func(w *world, run *v1alpha2.TerraformRun, _ context.CancelFunc) {
				now := w.get(run)
				now.Spec.Cancel = &v1alpha2.Cancel{Reason: "wrong region", By: "kim"}
				if err := api.Client.Update(w.t.Context(), now); err != nil {
					w.t.Fatal(err)
				}
			},
			phase: v1alpha2.RunCancelled, reason: v1alpha2.ReasonCancelled,
			message: "the run was cancelled by kim: wrong region",
		},
		{
			name: "deadline", why: "the apply takes too long",
			spec: func(s *v1alpha2.TerraformSpec) {
				s.Timeouts = &v1alpha2.Timeouts{Apply: &metav1.Duration{Duration: 2 * time.Second}}
			},
			stop:  func(*world, *v1alpha2.TerraformRun, context.CancelFunc) {},
			phase: v1alpha2.RunFailed, reason: v1alpha2.ReasonDeadlineExceeded,
			message: "step Apply took longer than 2s",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, slowModule(), tc.spec)
			planned := w.plan()
			run := w.applyRun(planned, nil)
			ctx, terminate := context.WithCancel(t.Context())
			defer terminate()
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				NewWithT(t).Eventually(sleepers, 30*time.Second, 20*time.Millisecond).Should(Equal(2))
				tc.stop(w, run, terminate)
			}()
			got := w.execute(ctx, run)
			<-stopped

			g.Expect(got.Status.Phase).To(Equal(tc.phase), tc.why)
			g.Expect(got.Status.Failure.Reason).To(Equal(tc.reason), tc.why)
			g.Expect(got.Status.Failure.Message).To(Equal(tc.message +
				"; done: terraform_data.first; failed: terraform_data.slow; not started: terraform_data.last"))
			g.Expect(got.Status.ApplyStartedAt).NotTo(BeNil())
			g.Expect(got.Status.State.Serial).To(BeNumerically(">", planned.Status.State.Serial), "the state is saved")
			g.Expect(got.Status.State.Resources).To(BeEquivalentTo(2), "what was in flight is in the state")
			g.Expect(sleepers()).To(BeZero(), "no child of a provisioner outlives the report")
			lease := &coordinationv1.Lease{}
			g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "lock-tfstate-default-demo"}, lease)).To(Succeed())
			g.Expect(lease.Spec.HolderIdentity).To(BeNil(), "the lock is free")
		})
	}
}

func TestExecute_DoesNotBeginACancelledRun(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	run := w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.Cancel = &v1alpha2.Cancel{Reason: "superseded"} })
	got := w.execute(t.Context(), run)
	g.Expect(got.Status.Phase).To(Equal(v1alpha2.RunCancelled))
	g.Expect(got.Status.Failure.Message).To(Equal("the run was cancelled: superseded; nothing was changed"))
	g.Expect(w.secretsLike("tfstate-")).To(BeEmpty())
}
