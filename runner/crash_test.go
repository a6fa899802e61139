package runner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestExecute_IsDoneByOneOfTwoPods(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	run := w.newRun(v1alpha2.OperationPlan, nil)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		cfg := w.cfg
		cfg.Runner.PodUID = fmt.Sprintf("pod-%d", i)
		cfg.Root = t.TempDir()
		cfg.Log = cfg.Log.WithValues("pod", i)
		wg.Go(func() { errs[i] = claimOnly(t, cfg, run.Name) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		g.Expect(err).To(MatchError(runner.ErrRefused))
	}
	g.Expect(done).To(Equal(1))
}

// claimOnly executes with a context that is over once the run is claimed, so that no two engines run in one process.
func claimOnly(t *testing.T, cfg runner.Config, name string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Client = interceptor.NewClient(cfg.Client, interceptor.Funcs{
		SubResourcePatch: func(inner context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			err := c.SubResource(sub).Patch(inner, o, p, opts...)
			if err == nil {
				cancel()
			}
			return err
		},
	})
	return runner.Execute(ctx, cfg, name)
}

// outage is an API server that does not answer status writes while it is down.
func outage(down *atomic.Int32) interceptor.Funcs {
	return interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if down.Add(-1) >= 0 {
				return errors.New("dial tcp: connection refused")
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

func TestExecute_WaitsForTheAPIServer(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	var down atomic.Int32
	w.cfg.Client = interceptor.NewClient(w.cfg.Client, outage(&down))
	down.Store(2)
	run := w.newRun(v1alpha2.OperationPlan, nil)
	w.onFetch = func() { down.Store(3) }
	got := w.execute(t.Context(), run)
	g.Expect(got.Status.Phase).To(Equal(v1alpha2.RunSucceeded))
	g.Expect(down.Load()).To(BeNumerically("<", 0), "all failures were met")
}

func TestExecute_StartsNoApplyThatIsNotReported(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	planned := w.plan()
	run := w.applyRun(planned, nil)
	w.onFetch = func() {
		// The controller believes the pod's process to have ended.
		now := w.get(run)
		now.Status.Runner.PodUID = "another"
		w.update(now)
	}
	err := runner.Execute(t.Context(), w.cfg, run.Name)
	g.Expect(err).To(MatchError(runner.ErrRefused))
	g.Expect(err).To(MatchError(ContainSubstring("it was taken from this pod")))
	w.onFetch = nil
	after := w.plan()
	g.Expect(after.Status.State.Serial).To(Equal(planned.Status.State.Serial), "nothing was applied")
}

func TestExecute_RefusesWhatTheAPIServerForbidsForGood(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	run := w.newRun(v1alpha2.OperationPlan, nil)
	w.cfg.Client = interceptor.NewClient(w.cfg.Client, interceptor.Funcs{
		SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			return apierrors.NewBadRequest("no such thing")
		},
	})
	err := runner.Execute(t.Context(), w.cfg, run.Name)
	g.Expect(apierrors.IsBadRequest(err)).To(BeTrue(), "%v", err)
}

// A wrapper in place of tofu, whose apply can't save the state and leaves it in a file, as the real one does.
func TestExecute_PushesAStateThatCouldNotBeSaved(t *testing.T) {
	for _, tc := range []struct {
		name, why, serial string
		message           string
		newer             bool
		// locked: the engine could not release its lock either.
		locked bool
	}{
		{"newer", "a later serial of the same lineage is what was applied", "7", "; the state was saved at another try", true, false},
		{"newer, and locked", "its own engine's lock is not in the way", "7", "; the state was saved at another try", true, true},
		{"older", "an older one is not forced", `0/; s/"outputs": *{}/"outputs": {"a": 1}`,
			"; the state could not be written: it is kept in Secret tfrescue-demo", false, false},
		{"there", "what records nothing else is there already", "0", "; the state was saved at another try", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			planned := w.plan()
			w.wrapTofu(fmt.Sprintf(`
if [ "$1" != apply ]; then exec "$TOFU" "$@"; fi
"$TOFU" state pull | sed 's/"serial": *1/"serial": %s/' > errored.tfstate
echo '{"@level":"error","@message":"Error: Failed to save state","type":"diagnostic","diagnostic":{"severity":"error","summary":"Failed to save state","detail":"Error saving state: Secret is invalid"}}'
exit 1`, tc.serial))
			run := w.applyRun(planned, nil)
			if tc.locked {
				w.holdAs("the-lock", "engine@"+run.Spec.Hostname)
			}
			got := w.execute(t.Context(), run)
			g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecApplyFailed))
			g.Expect(got.Status.Failure.Message).To(HavePrefix("Failed to save state: Error saving state: Secret is invalid"+tc.message), tc.why)
			g.Expect(got.Status.State.Serial >= 7).To(Equal(tc.newer), tc.why)
		})
	}
}

// The pod is told to end while the backend takes nothing: the state is kept, and the next plan begins with it.
func TestExecute_KeepsAStateThatTheBackendDoesNotTake(t *testing.T) {
	compat.Shows(t, "state.too-large")
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	planned := w.plan()
	dir := t.TempDir()
	w.wrapTofu(fmt.Sprintf(`
dir=%s
if [ "$1 $2" = "state push" ] && [ ! -e $dir/open ]; then echo "the backend is shut" >&2; exit 1; fi
if [ "$1" != apply ]; then exec "$TOFU" "$@"; fi
trap : INT
touch $dir/applying
until [ -e $dir/told ]; do sleep 0.1; done
"$TOFU" state pull | sed 's/"serial": *1/"serial": 7/' > errored.tfstate
exit 1`, dir))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if _, err := os.Stat(filepath.Join(dir, "applying")); err == nil {
				cancel()
			}
		}
		_ = os.WriteFile(filepath.Join(dir, "told"), nil, 0o600)
	}()
	got := w.execute(ctx, w.applyRun(planned, nil))
	g.Expect(got.Status.Failure.Reason).To(Equal(v1alpha2.ReasonInterrupted))
	g.Expect(got.Status.Failure.Message).To(HaveSuffix("it is kept in Secret tfrescue-demo, and the next plan writes it, if it follows the state of the backend"))
	g.Expect(got.Status.State.Serial).To(BeEquivalentTo(1))

	g.Expect(os.WriteFile(filepath.Join(dir, "open"), nil, 0o600)).To(Succeed())
	next := w.plan()
	g.Expect(next.Status.State.Serial).To(BeNumerically(">=", 7))
	g.Expect(w.secretsLike("tfrescue-")).To(BeEmpty())
	g.Expect(w.plan().Status.State.Serial).To(Equal(next.Status.State.Serial), "once")
}

func TestExecute_BeginsNothingOnceThePodIsToldToEnd(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	run := w.newRun(v1alpha2.OperationPlan, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(runner.Execute(ctx, w.cfg, run.Name)).To(MatchError(runner.ErrRefused))
	g.Expect(w.get(run).Status.Runner).To(BeNil(), "another pod may do it")
}

// A state that somebody has committed is not pushed, and a committed workspace is not selected.
func TestExecute_LeavesNothingOfTheEngineInTheArtifact(t *testing.T) {
	compat.Shows(t, "weak.18")
	g := NewWithT(t)
	w := newWorld(t, map[string]string{
		"main.tf": `
resource "terraform_data" "a" {
  provisioner "local-exec" { command = "exit 3" }
}`,
		"errored.tfstate":        `{"version": 4, "lineage": "x", "serial": 99}`,
		".terraform/environment": "elsewhere",
	}, nil)
	got := w.execute(t.Context(), w.applyRun(w.plan(), nil))
	g.Expect(got.Status.Failure.Message).To(ContainSubstring("exit status 3"))
	g.Expect(got.Status.Failure.Message).NotTo(ContainSubstring("the state"))
	g.Expect(w.secretsLike("tfstate-")).To(Equal([]string{"tfstate-default-demo"}))
}
