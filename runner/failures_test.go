package runner_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func oneResource() map[string]string {
	return map[string]string{"main.tf": `resource "terraform_data" "a" { input = "one" }`}
}

func TestExecute_SaysWhyAPlanFails(t *testing.T) {
	compat.Shows(t, "spec.path", "spec.timeouts", "condition.Ready=False/TFExecInitFailed",
		"condition.Ready=False/VarsGenerationFailed", "condition.Ready=False/TFExecPlanFailed",
	)
	for _, tc := range []struct {
		name, why string
		files     map[string]string
		spec      func(*v1alpha2.TerraformSpec)
		run       func(*v1alpha2.TerraformRun)
		reason    string
		message   string
		step      v1alpha2.RunStep
		line      int
	}{
		{
			name: "syntax", why: "what init refuses is shown with its place in the module",
			files:  map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {\n  input =\n}\n"},
			reason: v1alpha2.ReasonTFExecInitFailed, step: v1alpha2.StepInit, line: 2,
			message: "main.tf:2: Invalid expression: Expected the start of an expression, but found an invalid expression token.",
		},
		{
			name: "reference", why: "what plan refuses is shown with its place in the module, and how much more there is",
			files:  map[string]string{"main.tf": "output \"x\" {\n  value = var.nope\n}\noutput \"y\" {\n  value = var.neither\n}\n"},
			reason: v1alpha2.ReasonTFExecPlanFailed, step: v1alpha2.StepPlan, line: 2,
			message: `main.tf:2: Reference to undeclared input variable: An input variable with the name "nope" has not been declared. This variable can be declared with a variable "nope" {} block. (and 1 more)`,
		},
		{
			name: "no variable", why: "the runner never waits for somebody to type a value",
			files:  map[string]string{"main.tf": "variable \"needed\" {}\n"},
			reason: v1alpha2.ReasonTFExecPlanFailed, step: v1alpha2.StepPlan, line: 1,
			message: `main.tf:1: No value for required variable: The root module input variable "needed" is not set, and has no default value. Use a -var or -var-file command line argument to provide a value for this variable.`,
		},
		{
			name: "no provider", why: "a provider that can't be had fails init",
			files:  map[string]string{"main.tf": "resource \"aws_vpc\" \"a\" {}\n"},
			reason: v1alpha2.ReasonTFExecInitFailed, step: v1alpha2.StepInit,
			message: "Failed to query available provider packages: Could not retrieve the list of available versions for provider hashicorp/aws:",
		},
		{
			name: "no path", why: "the message names field, value and artifact",
			files:  oneResource(),
			spec:   func(s *v1alpha2.TerraformSpec) { s.Path = "./envs/prod" },
			reason: v1alpha2.ReasonArtifactFailed, step: v1alpha2.StepFetch,
			message: `spec.path "envs/prod" is not in artifact ` + revision + ` of GitRepository/infra`,
		},
		{
			name: "path is a file", why: "a module is a folder",
			files:  oneResource(),
			spec:   func(s *v1alpha2.TerraformSpec) { s.Path = "main.tf" },
			reason: v1alpha2.ReasonArtifactFailed, step: v1alpha2.StepFetch,
			message: `spec.path "main.tf" is not in artifact ` + revision + ` of GitRepository/infra`,
		},
		{
			name: "digest", why: "an artifact that is not the one of the run is not used",
			files: oneResource(),
			run: func(r *v1alpha2.TerraformRun) {
				r.Spec.Source.Digest = "sha256:" + "00000000000000000000000000000000000000000000000000000000deadbeef"
			},
			reason: v1alpha2.ReasonArtifactFailed, step: v1alpha2.StepFetch,
			message: "digest",
		},
		{
			name: "no Secret", why: "a missing input is named, with the field",
			files: oneResource(),
			spec: func(s *v1alpha2.TerraformSpec) {
				s.VarsFrom = []v1alpha2.VarsReference{{Kind: "Secret", Name: "absent"}}
			},
			reason: v1alpha2.ReasonVarsGenerationFailed, step: v1alpha2.StepWorkspace,
			message: "spec.varsFrom[0]",
		},
		{
			name: "backend", why: "a backend that can't be written is no plan in another one",
			files: oneResource(),
			spec: func(s *v1alpha2.TerraformSpec) {
				s.BackendConfig = &v1alpha2.BackendConfigSpec{CustomConfiguration: "backend \"s3\" {"}
			},
			reason: v1alpha2.ReasonTFExecInitFailed, step: v1alpha2.StepWorkspace,
			message: "spec.backendConfig.customConfiguration",
		},
		{
			name: "state gone", why: "init would make an empty state where there was one",
			files: oneResource(),
			run: func(r *v1alpha2.TerraformRun) {
				r.Spec.State = &v1alpha2.StateStatus{Lineage: "l", Serial: 7, Resources: 3}
			},
			reason: v1alpha2.ReasonStateGuard, step: v1alpha2.StepGuard,
			message: "the state is gone: the last run left lineage l, serial 7, 3 resources",
		},
		{
			name: "deadline", why: "a step has its time",
			files: map[string]string{"main.tf": `data "external" "x" {}`},
			spec: func(s *v1alpha2.TerraformSpec) {
				s.Timeouts = &v1alpha2.Timeouts{Init: &metav1.Duration{Duration: time.Nanosecond}}
			},
			reason: v1alpha2.ReasonDeadlineExceeded, step: v1alpha2.StepInit,
			message: "step Init took longer than 1ns; nothing was changed",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, tc.files, tc.spec)
			run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, tc.run))
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunFailed), tc.why)
			g.Expect(run.Status.Failure.Reason).To(Equal(tc.reason), tc.why+": "+run.Status.Failure.Message)
			g.Expect(run.Status.Failure.Message).To(ContainSubstring(tc.message), tc.why)
			g.Expect(run.Status.Step).To(Equal(tc.step), tc.why)
			g.Expect(run.Status.FinishedAt).NotTo(BeNil())
			if tc.line > 0 {
				g.Expect(run.Status.Failure.Diagnostics[0].Line).To(Equal(tc.line), tc.why)
			}
			if tc.step != v1alpha2.StepPlan && tc.step != v1alpha2.StepInit {
				g.Expect(w.secretsLike("tfstate-")).To(BeEmpty(), "the engine has not been near the state")
			}
		})
	}
}

func TestExecute_HidesInputsInDiagnostics(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, map[string]string{"main.tf": "variable \"pw\" {\n  validation {\n    condition     = length(var.pw) > 100\n    error_message = \"bad: ${var.pw}\"\n  }\n}\n"},
		func(s *v1alpha2.TerraformSpec) { s.VarsFrom = []v1alpha2.VarsReference{{Kind: "Secret", Name: "in"}} })
	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "in"}, StringData: map[string]string{"pw": "hunter2-hunter2"}})
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(run.Status.Failure.Message).To(ContainSubstring("bad: ***"))
	for _, text := range []string{w.log.String(), asJSON(t, run)} {
		g.Expect(text).NotTo(ContainSubstring("hunter2"))
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExecute_AppliesNothingButTheNamedPlan(t *testing.T) {
	compat.Shows(t, "plan-secret.read", "plan-secret.unusable")
	for _, tc := range []struct {
		name, why string
		spoil     func(*world, *v1alpha2.TerraformRun)
		run       func(*v1alpha2.TerraformRun)
		message   string
		reason    string // PlanNotApplicable unless set
	}{
		{
			name: "stale", why: "the state moved after the plan",
			spoil:   func(w *world, _ *v1alpha2.TerraformRun) { w.rewriteState(func(s map[string]any) { s["serial"] = 9 }) },
			message: "Saved plan is stale",
		},
		{
			name: "another digest", why: "a plan that is not there is not replaced by another",
			run: func(r *v1alpha2.TerraformRun) {
				r.Spec.Plan.Digest = "sha256:" + "00000000000000000000000000000000000000000000000000000000deadbeef"
			},
			message: "plan",
		},
		{
			name: "another id", why: "the id is what was approved",
			run:     func(r *v1alpha2.TerraformRun) { r.Spec.Plan.ID = "plan-main-0000000000-00000000" },
			message: "not plan-main-0000000000-00000000",
		},
		{
			name: "another engine", why: "a plan file is of one version of the engine",
			spoil: func(w *world, _ *v1alpha2.TerraformRun) {
				w.wrapTofu(`if [ "$1" = version ]; then echo '{"terraform_version":"1.99.0"}'; exit; fi; exec "$TOFU" "$@"`)
			},
			message: "the plan was made with tofu 1.12.6, the runner's engine is tofu 1.99.0",
		},
		{
			name: "altered", why: "who can write Secrets can't change what was approved",
			spoil: func(w *world, planned *v1alpha2.TerraformRun) {
				for _, name := range w.secretsLike("tfplan-default-") {
					secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
					patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"tfplan":"H4sIAAAAAAAAA0vLLwIAqmo+NAMAAAA="}}`))
					if err := api.Client.Patch(w.t.Context(), secret, patch); err != nil {
						w.t.Fatal(err)
					}
				}
			},
			message: "the stored plan was altered",
		},
		{
			name: "another extra file, and a manifest that fits it", why: "it would be unpacked where the apply runs",
			spoil: func(w *world, _ *v1alpha2.TerraformRun) { w.exchangeExtras() }, message: "the stored plan was altered",
		},
		{
			name: "another change", why: "what the plan's run has said of it may be forged, the plan file can't",
			run: func(r *v1alpha2.TerraformRun) {
				r.Spec.Approval = &v1alpha2.Approval{How: v1alpha2.ApprovalByAnnotation, PlanID: r.Spec.Plan.ID, Changes: []string{"harmless"}}
			},
			message: " is not what was approved: the approval of plan-", reason: v1alpha2.ReasonTFExecApplyFailed,
		},
		{
			name: "another content", why: "an id stands for the changes",
			run:     func(r *v1alpha2.TerraformRun) { r.Spec.AppliesCompleted = 7 },
			message: " does not hold the changes of plan plan-",
		},
		{
			name: "another artifact", why: "a plan belongs to the artifact that it was made of",
			spoil:   func(w *world, _ *v1alpha2.TerraformRun) { w.files["more.tf"] = "# a comment" },
			message: "the plan was made of artifact sha256:",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			planned := w.plan()
			if tc.spoil != nil {
				tc.spoil(w, planned)
			}
			run := w.execute(t.Context(), w.applyRun(planned, tc.run))
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunFailed), tc.why)
			g.Expect(run.Status.Failure.Reason).To(Equal(cmp.Or(tc.reason, v1alpha2.ReasonPlanNotApplicable)), tc.why+": "+run.Status.Failure.Message)
			g.Expect(run.Status.Failure.Message).To(ContainSubstring(tc.message), tc.why)
			g.Expect(run.Status.State.Resources).To(BeZero(), "nothing was applied")
		})
	}
}

// rewriteState changes the state behind the engine's back.
func (w *world) rewriteState(change func(map[string]any)) {
	w.t.Helper()
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: w.namespace, Name: "tfstate-default-demo"}
	if err := api.Client.Get(w.t.Context(), key, secret); err != nil {
		w.t.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(secret.Data["tfstate"]))
	if err != nil {
		w.t.Fatal(err)
	}
	content, err := io.ReadAll(zr)
	state := map[string]any{}
	if err := errors.Join(err, json.Unmarshal(content, &state)); err != nil {
		w.t.Fatal(err)
	}
	change(state)
	content, err = json.Marshal(state)
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, writeErr := zw.Write(content)
	secret.Data["tfstate"] = packed.Bytes()
	if err := errors.Join(err, writeErr, zw.Close()); err != nil {
		w.t.Fatal(err)
	}
	secret.Data["tfstate"] = packed.Bytes()
	if err := api.Client.Update(w.t.Context(), secret); err != nil {
		w.t.Fatal(err)
	}
}

func TestExecute_NamesTheHolderOfALock(t *testing.T) {
	compat.Shows(t, "spec.tfstate.forceUnlock", "condition.Ready=False/LockHeld", "weak.17")
	g := NewWithT(t)
	w := newWorld(t, oneResource(), nil)
	w.plan()
	w.hold("the-lock")
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	g.Expect(run.Status.Failure.Message).To(MatchRegexp(
		`^the state is locked: lock the-lock, held by kim@desk for OperationTypeApply since 2026-11-22T12:09:32Z \(.* ago\)$`))
	g.Expect(run.Status.Lock).To(HaveField("ID", "the-lock"))
	g.Expect(run.Status.Lock.Who).To(Equal("kim@desk"))

	t.Log("a run with orders releases exactly that lock")
	other := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, unlock("another-lock")))
	g.Expect(other.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	right := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, unlock("the-lock")))
	g.Expect(right.Status.Phase).To(Equal(v1alpha2.RunSucceeded))
	g.Expect(right.Status.Lock).To(BeNil())
	g.Expect(right.Status.Unlocked).To(Equal("the-lock"))

	t.Log("or that of a pod which has ended, and no other pod's")
	w.hold("desk-lock")
	other = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, deadHosts("kim", "des", "desk-2")))
	g.Expect(other.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	right = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, deadHosts("shelf", "desk")))
	g.Expect(right.Status.Phase).To(Equal(v1alpha2.RunSucceeded))
	g.Expect(right.Status.Unlocked).To(Equal("desk-lock"))

	t.Log("but no order releases the lock of a run that is at work")
	w.hold("desk-lock")
	atWork := w.atWork("desk")
	other = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, unlock("desk-lock")))
	g.Expect(other.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	g.Expect(other.Status.Unlocked).To(BeEmpty())
	g.Expect(api.Client.Delete(t.Context(), atWork)).To(Succeed())
	right = w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, unlock("desk-lock")))
	g.Expect(right.Status.Unlocked).To(Equal("desk-lock"))
}

func unlock(id string) func(*v1alpha2.TerraformRun) {
	return func(r *v1alpha2.TerraformRun) { r.Spec.Unlock = &v1alpha2.Unlock{ID: id, Evidence: "a person says so"} }
}

// atWork is a run on that host that a runner has claimed.
func (w *world) atWork(hostname string) *v1alpha2.TerraformRun {
	w.t.Helper()
	active := w.terraform.Status.ActiveRun
	run := w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.Hostname = hostname })
	run.Status.Phase, run.Status.Runner = v1alpha2.RunRunning, &v1alpha2.RunnerIdentity{PodUID: "another"}
	if err := api.Client.Status().Update(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
	w.terraform.Status.ActiveRun = active
	return run
}

func deadHosts(hostnames ...string) func(*v1alpha2.TerraformRun) {
	return func(r *v1alpha2.TerraformRun) {
		r.Spec.Unlock = &v1alpha2.Unlock{Hostnames: hostnames, Evidence: "the kubelet says so"}
	}
}

// hold takes the lock of the state for someone else.
func (w *world) hold(id string) { w.holdAs(id, "kim@desk") }

func (w *world) holdAs(id, who string) {
	w.t.Helper()
	lease := &coordinationv1.Lease{}
	if err := api.Client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "lock-tfstate-default-demo"}, lease); err != nil {
		w.t.Fatal(err)
	}
	lease.Spec.HolderIdentity = &id
	lease.Annotations = map[string]string{"app.terraform.io/lock-info": `{"ID":"` + id + `","Operation":"OperationTypeApply","Who":"` + who + `","Version":"1.12.6","Created":"2026-11-22T12:09:32.069139082Z"}`}
	if err := api.Client.Update(w.t.Context(), lease); err != nil {
		w.t.Fatal(err)
	}
}

func TestExecute_KnowsALockInAnotherFormat(t *testing.T) {
	for _, info := range []map[string]string{nil, {"app.terraform.io/lock-info": "who: ci"}} {
		g := NewWithT(t)
		w := newWorld(t, oneResource(), nil)
		holder := "their-lock"
		api.Create(t, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "lock-tfstate-default-demo", Annotations: info},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder},
		})
		run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
		g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld), "%v: %s", info, run.Status.Failure.Message)
		g.Expect(run.Status.Failure.Message).To(Equal("the state is locked: lock their-lock, held by (unknown) for (unknown)"))
	}
}

func TestExecute_RefusesRunsThatAreNotItsOwn(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		change    func(*world, *v1alpha2.TerraformRun)
		message   string
	}{
		{
			name: "not active", why: "only one run at a time may work on an object",
			change: func(w *world, _ *v1alpha2.TerraformRun) {
				w.terraform.Status.ActiveRun = &v1alpha2.ActiveRun{Name: "demo-77", Sequence: 77}
				w.update(w.terraform)
			},
			message: "the active run of Terraform demo is demo-77",
		},
		{
			name: "none active", why: "a run that is over for its object does not begin",
			change: func(w *world, _ *v1alpha2.TerraformRun) {
				w.terraform.Status.ActiveRun = nil
				w.update(w.terraform)
			},
			message: "Terraform demo has no active run",
		},
		{
			name: "another UID", why: "a run restored from a backup belongs to an object that is gone",
			change: func(w *world, r *v1alpha2.TerraformRun) {
				r.OwnerReferences[0].UID = "another"
				if err := api.Client.Update(w.t.Context(), r); err != nil {
					w.t.Fatal(err)
				}
			},
			message: "the Terraform object that it was made for does not exist",
		},
		{
			name: "claimed", why: "another pod does it",
			change: func(w *world, r *v1alpha2.TerraformRun) {
				r.Status = v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunRunning, Runner: &v1alpha2.RunnerIdentity{PodUID: "other"}}
				w.update(r)
			},
			message: "pod other has claimed it",
		},
		{
			name: "over", why: "a run is done once",
			change: func(w *world, r *v1alpha2.TerraformRun) {
				r.Status = v1alpha2.TerraformRunStatus{Phase: v1alpha2.RunSucceeded}
				w.update(r)
			},
			message: "it is over, its phase is Succeeded",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, oneResource(), nil)
			run := w.newRun(v1alpha2.OperationPlan, nil)
			tc.change(w, run)
			before := w.get(run)
			err := runner.Execute(t.Context(), w.cfg, run.Name)
			g.Expect(err).To(MatchError(runner.ErrRefused), tc.why)
			g.Expect(err).To(MatchError(ContainSubstring(tc.message)), tc.why)
			g.Expect(w.get(run).Status).To(Equal(before.Status), "a run that is not ours is left alone")
		})
	}
}

func (w *world) update(o client.Object) {
	w.t.Helper()
	if err := api.Client.Status().Update(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func TestExecute_EndsQuietlyWhenTheRunIsGone(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.Vars = []v1alpha2.Variable{{Name: "unused", Value: &apiextensionsv1.JSON{Raw: []byte(`1`)}}}
	})
	run := w.newRun(v1alpha2.OperationPlan, nil)
	w.onFetch = func() {
		if err := api.Client.Delete(context.Background(), run); err != nil {
			w.t.Error(err)
		}
	}
	g.Expect(runner.Execute(t.Context(), w.cfg, run.Name)).To(Succeed())
	err := api.Client.Get(t.Context(), client.ObjectKeyFromObject(run), run)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
	g.Expect(w.log.String()).To(ContainSubstring("the run is gone"))
}
