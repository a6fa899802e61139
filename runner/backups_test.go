package runner_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/backups"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

// versioned is a module whose state says which version of it was applied.
func versioned(version int) map[string]string {
	return map[string]string{"main.tf": fmt.Sprintf("resource \"terraform_data\" \"one\" {\n  input = \"version-%d\"\n}\n", version)}
}

// keptSerials are the serials of the versions that are kept, the newest first.
func (w *world) keptSerials() (serials []int64) {
	w.t.Helper()
	versions, err := backups.List(w.t.Context(), api.Client, w.terraform)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range versions {
		serials = append(serials, versions[i].Serial)
	}
	return serials
}

// tally counts what a runner writes of the versions.
type tally struct{ lists, creates, deletes atomic.Int32 }

func (c *tally) count() string {
	return fmt.Sprintf("%d lists, %d creates, %d deletes", c.lists.Swap(0), c.creates.Swap(0), c.deletes.Swap(0))
}

func (w *world) tally() *tally {
	c := &tally{}
	w.cfg.Client = interceptor.NewClient(w.cfg.Client, interceptor.Funcs{
		List: func(ctx context.Context, inner client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			applied := client.ListOptions{}
			applied.ApplyOptions(opts)
			if applied.LabelSelector != nil && strings.Contains(applied.LabelSelector.String(), backups.OfLabel) {
				c.lists.Add(1)
			}
			return inner.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, inner client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if strings.HasPrefix(obj.GetName(), "tfbackup-") {
				c.creates.Add(1)
			}
			return inner.Create(ctx, obj, opts...)
		},
		Delete: func(ctx context.Context, inner client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if strings.HasPrefix(obj.GetName(), "tfbackup-") {
				c.deletes.Add(1)
			}
			return inner.Delete(ctx, obj, opts...)
		},
	})
	return c
}

func TestBackups_TheNewestStateIsAlwaysAmongThem(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, versioned(1), func(s *v1alpha2.TerraformSpec) { s.StateBackups = ptr.To[int32](2) })
	requests := w.tally()
	var last *v1alpha2.TerraformRun
	for version := 1; version <= 4; version++ {
		w.files = versioned(version)
		last = w.apply(w.plan())
		deletes := min(max(0, version-2), 1)
		g.Expect(requests.count()).To(Equal(fmt.Sprintf("1 lists, 1 creates, %d deletes", deletes)), "a state of nothing is not kept")
	}
	t.Logf("figure: an apply costs 1 list, 1 create and 1 delete for the versions of its state")
	newest := last.Status.State.Serial
	g.Expect(w.keptSerials()).To(HaveLen(2))
	g.Expect(w.keptSerials()[0]).To(Equal(newest))
	g.Expect(last.Status.StateBackup.Serial).To(Equal(newest))
	secret := w.secret(last.Status.StateBackup.Name)
	g.Expect(secret.Data["tfstate"]).NotTo(BeEmpty())
	content, err := bundle.Unpack(secret.Data["tfstate"], 1<<20)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).To(ContainSubstring("version-4"))
	g.Expect(backend.Identify(content)).To(Equal(last.Status.State))
	g.Expect(secret.Annotations).To(HaveKeyWithValue("infra.contrib.fluxcd.io/state-secret", w.namespace+"/tfstate-default-demo"))
	g.Expect(w.log.String()).NotTo(ContainSubstring("resources\":"), "no state in a log")

	g.Expect(w.plan().Status.StateBackup).To(BeNil(), "a plan changes no state, and keeps none")
	g.Expect(requests.count()).To(Equal("0 lists, 0 creates, 0 deletes"))
}

func TestBackups_AStateThatCameFromElsewhereIsKeptBeforeTheApply(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, versioned(1), nil)
	w.apply(w.plan())
	g.Expect(api.Client.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(w.namespace), client.HasLabels{backups.OfLabel})).To(Succeed())
	w.files = versioned(2)
	planned := w.plan()
	last := w.apply(planned)
	g.Expect(w.keptSerials()).To(Equal([]int64{last.Status.State.Serial, planned.Status.State.Serial}))
}

func TestBackups_OffMeansNone(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, versioned(1), nil)
	w.apply(w.plan())
	g.Expect(w.keptSerials()).To(HaveLen(1))
	w.change(func(s *v1alpha2.TerraformSpec) { s.StateBackups = ptr.To[int32](0) })
	w.files = versioned(2)
	g.Expect(w.apply(w.plan()).Status.StateBackup).To(BeNil())
	g.Expect(w.keptSerials()).To(BeEmpty(), "those from before go, too")
}

func TestBackups_AFailedApplyIsKeptAsItIs(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": `
resource "terraform_data" "ok" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.ok]
  provisioner "local-exec" { command = "exit 3" }
}`}, nil)
	failed := w.execute(t.Context(), w.applyRun(w.plan(), nil))
	g.Expect(failed.Status.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(failed.Status.StateBackup.Serial).To(Equal(failed.Status.State.Serial))
}

func TestBackups_ThatCanNotBeMadeAreNoFailureOfTheApply(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, versioned(1), nil)
	w.cfg.Client = interceptor.NewClient(w.cfg.Client, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if strings.HasPrefix(obj.GetName(), "tfbackup-") {
				return apierrors.NewRequestEntityTooLargeError("no room")
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	applied := w.apply(w.plan())
	g.Expect(applied.Status.StateBackup.Name).To(BeEmpty())
	g.Expect(applied.Status.StateBackup.Message).To(And(
		HavePrefix("The state after the apply is not kept (spec.stateBackups): keep the state in Secret"), ContainSubstring("no room")))
}

// TestBackups_DoNotUseUpTheTimeOfTheReport: a pod that is told to end has 10 seconds for what comes after the engine.
func TestBackups_DoNotUseUpTheTimeOfTheReport(t *testing.T) {
	for _, tc := range []struct {
		reason string
		answer error
		told   bool
		within time.Duration
	}{
		{"the API server is busy, and the pod told to end", apierrors.NewServiceUnavailable("busy"), true, 6 * time.Second},
		{"the right is missing, and does not come by waiting", apierrors.NewForbidden(corev1.Resource("secrets"), "tfbackup", nil), false, 3 * time.Second},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, versioned(1), nil)
			planned := w.plan()
			ctx, terminate := context.WithCancel(t.Context())
			defer terminate()
			var tried time.Time
			w.cfg.Client = interceptor.NewClient(w.cfg.Client, interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
					if !strings.HasPrefix(obj.GetName(), "tfbackup-") {
						return c.Create(ctx, obj, opts...)
					}
					if tried.IsZero() {
						tried = time.Now()
					}
					if tc.told {
						terminate()
					}
					return tc.answer
				},
			})
			applied := w.execute(ctx, w.applyRun(planned, nil))
			g.Expect(time.Since(tried)).To(BeNumerically("<", tc.within))
			g.Expect(applied.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", applied.Status.Failure)
			g.Expect(applied.Status.StateBackup.Message).To(HavePrefix("The state after the apply is not kept"))
		})
	}
}

func TestBackups_OfAStateThatOnlyTheEngineCanRead(t *testing.T) {
	g := NewWithT(t)
	state := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, versioned(1), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: fmt.Sprintf("backend \"local\" {\n  path = %q\n}", state)}
		onVolume(s, filepath.Dir(state))
	})
	applied := w.apply(w.plan())
	g.Expect(w.keptSerials()).To(Equal([]int64{applied.Status.State.Serial}))
	g.Expect(w.secret(applied.Status.StateBackup.Name).Annotations).To(HaveKeyWithValue("infra.contrib.fluxcd.io/state-secret", ""))
}

// TestBackups_OneThatWasCutShortIsCompleted: the rest of it that is there is no second version, to be removed as not whole.
func TestBackups_OneThatWasCutShortIsCompleted(t *testing.T) {
	g := NewWithT(t)
	noise := make([]byte, 480<<10)
	_, err := rand.Read(noise)
	g.Expect(err).NotTo(HaveOccurred())
	w := newWorld(t, map[string]string{
		"main.tf":   "resource \"terraform_data\" \"large\" {\n  input = file(\"noise.txt\")\n}\n",
		"noise.txt": base64.StdEncoding.EncodeToString(noise),
	}, nil)
	first := w.apply(w.plan()).Status.StateBackup.Name
	g.Expect(w.secretsLike(first)).To(Equal([]string{first + "-00", first + "-01"}))
	g.Expect(api.Client.Delete(t.Context(), w.secret(first+"-01"))).To(Succeed())
	w.files["more.tf"] = `resource "terraform_data" "small" {}`
	w.apply(w.plan())
	g.Expect(w.secretsLike(first)).To(Equal([]string{first + "-00", first + "-01"}))
	g.Expect(w.keptSerials()).To(HaveLen(2))
}

// TestBackups_GoWithTheResourcesNotWithTheObject: an object that is deleted and leaves its resources leaves its state, too.
func TestBackups_GoWithTheResourcesNotWithTheObject(t *testing.T) {
	for deleting, want := range map[bool]int{false: 1, true: 0} {
		t.Run("deleting: "+strconv.FormatBool(deleting), func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, versioned(1), nil)
			w.apply(w.plan())
			if deleting {
				w.deleteButHold()
			}
			both := func(r *v1alpha2.TerraformRun) { r.Spec.Terraform.Destroy = true }
			planned := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, both))
			g.Expect(planned.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", planned.Status.Failure)
			g.Expect(w.keptSerials()).To(HaveLen(1), "nothing is destroyed yet")
			destroyed := w.execute(t.Context(), w.applyRun(planned, both))
			g.Expect(destroyed.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", destroyed.Status.Failure)
			g.Expect(w.keptSerials()).To(HaveLen(want))
		})
	}
}

// TestBackups_StayWhereAnEmptyStateIsNotTheirs: the object was moved to a new workspace before it was deleted. Nothing was destroyed.
func TestBackups_StayWhereAnEmptyStateIsNotTheirs(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, versioned(1), nil)
	w.apply(w.plan())
	w.change(func(s *v1alpha2.TerraformSpec) { s.Workspace = "another" })
	w.deleteButHold()
	planned := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.Terraform.Destroy = true }))
	g.Expect(planned.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v", planned.Status.Failure)
	g.Expect(planned.Status.State.Resources).To(BeZero())
	g.Expect(w.keptSerials()).To(HaveLen(1))
}

// deleteButHold deletes the object, which a finalizer holds.
func (w *world) deleteButHold() {
	w.t.Helper()
	w.terraform.Finalizers = slices.Concat(w.terraform.Finalizers, []string{"test.example/hold"})
	status := w.terraform.Status
	err := errors.Join(api.Client.Update(w.t.Context(), w.terraform), api.Client.Delete(w.t.Context(), w.terraform),
		api.Client.Get(w.t.Context(), client.ObjectKeyFromObject(w.terraform), w.terraform))
	if err != nil {
		w.t.Fatal(err)
	}
	w.terraform.Status = status
	w.t.Cleanup(func() {
		w.terraform.Finalizers = nil
		if err := client.IgnoreNotFound(api.Client.Update(context.WithoutCancel(w.t.Context()), w.terraform)); err != nil {
			w.t.Error(err)
		}
	})
}
