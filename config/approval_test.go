package config_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

const (
	strictLabel  = "infra.contrib.fluxcd.io/approval"
	breakTheTape = "break-the-glass.tf-controller/requestedAt"
	planID       = "plan-main-3f9ac1d2e0-5b21c0aa"
	// editor may edit, approver may edit and approve.
	editor, approver = "eve", "alice"
)

// approvalWorld is a namespace with an object, and two people: one may edit, the other may edit and approve.
type approvalWorld struct {
	namespace string
	people    map[string]client.Client
}

func newApprovalWorld(t *testing.T, labels map[string]string) *approvalWorld {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "approval-", Labels: labels}}
	api.Create(t, namespace)
	w := &approvalWorld{namespace: namespace.Name, people: map[string]client.Client{}}
	roles := map[string][]string{editor: {"terraform-view", "terraform-edit"}, approver: {"terraform-view", "terraform-edit", "terraform-approver"}}
	for name, bound := range roles {
		for _, role := range bound {
			api.Create(t, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name + "-" + role},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
			})
		}
		w.people[name] = as(t, name)
	}
	w.awaitRights(t)
	return w
}

// awaitRights waits until the authorizer knows the bindings.
func (w *approvalWorld) awaitRights(t *testing.T) {
	t.Helper()
	for name, verbs := range map[string][]string{editor: {"patch", "get"}, approver: {"approve", "patch", "get"}} {
		for _, verb := range verbs {
			NewWithT(t).Eventually(func(g Gomega) {
				question := access{verb: verb, group: infrav1.GroupVersion.Group, resource: "terraforms", namespace: w.namespace}
				g.Expect(question.of(t, g, name)).To(BeTrue(), name+" "+verb)
			}).WithTimeout(wait).Should(Succeed())
		}
	}
}

// as works as that user.
func as(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(api.Config)
	config.Impersonate.UserName = user
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return patient{rt} })
	c, err := apiserver.NewClient(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

func (w *approvalWorld) object(change ...func(*infrav1.Terraform)) *infrav1.Terraform {
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "net-"},
		Spec: infrav1.TerraformSpec{
			Interval:  metav1.Duration{Duration: time.Minute},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "infra"},
		},
	}
	for _, c := range change {
		if c != nil {
			c(tf)
		}
	}
	return tf
}

// stored is an object that an approver has made.
func (w *approvalWorld) stored(t *testing.T, change ...func(*infrav1.Terraform)) *infrav1.Terraform {
	t.Helper()
	tf := w.object(change...)
	NewWithT(t).Expect(w.people[approver].Create(t.Context(), tf)).To(Succeed())
	return tf
}

func (w *approvalWorld) patch(t *testing.T, who string, tf *infrav1.Terraform, change func(*infrav1.Terraform)) error {
	t.Helper()
	changed := tf.DeepCopy()
	change(changed)
	return w.people[who].Patch(t.Context(), changed, client.MergeFrom(tf))
}

// await waits until each of the policies has refused, or stamped, once.
func (w *approvalWorld) await(t *testing.T, change func(*infrav1.Terraform)) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() error {
		return w.people[editor].Create(t.Context(), w.object(change), client.DryRunAll)
	}, wait, 100*time.Millisecond).Should(MatchError(apierrors.IsForbidden, "IsForbidden"))
	g.Eventually(func(g Gomega) {
		tf := w.object(annotated(infrav1.ApprovePlanAnnotation, planID))
		g.Expect(w.people[approver].Create(t.Context(), tf, client.DryRunAll)).To(Succeed())
		g.Expect(tf.Annotations).To(HaveKeyWithValue(infrav1.ApprovedByAnnotation, approver))
	}, wait, 100*time.Millisecond).Should(Succeed())
	g.Eventually(func() error {
		return w.people[approver].Create(t.Context(), w.object(annotated(infrav1.ApprovedByAnnotation, approver)), client.DryRunAll)
	}, wait, 100*time.Millisecond).Should(MatchError(apierrors.IsForbidden, "IsForbidden"))
}

func annotated(key, value string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { metav1.SetMetaDataAnnotation(&tf.ObjectMeta, key, value) }
}

func spec(change func(*infrav1.TerraformSpec)) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) { change(&tf.Spec) }
}

func approvePlan(word string) func(*infrav1.Terraform) {
	return spec(func(s *infrav1.TerraformSpec) { s.ApprovePlan = word })
}

func protects(addresses ...string) func(*infrav1.Terraform) {
	return spec(func(s *infrav1.TerraformSpec) { s.Approval = &infrav1.ApprovalSpec{Protect: addresses} })
}

func hooks(url string) func(*infrav1.Terraform) {
	return spec(func(s *infrav1.TerraformSpec) {
		s.Webhooks = []infrav1.Webhook{{Stage: "post-planning", URL: url, TestExpression: "${{ .passed }}"}}
	})
}

func unlocks(how, id string) func(*infrav1.Terraform) {
	return spec(func(s *infrav1.TerraformSpec) { s.TfState = &infrav1.TfStateSpec{ForceUnlock: how, LockIdentifier: id} })
}

// door is a way to have something applied.
type door struct {
	before, open func(*infrav1.Terraform)
	// says names the door in the refusal.
	says  string
	where where
}

// where says which objects a door is in.
type where int

const (
	inAll where = iota
	// inStored: it can't be open in a new object.
	inStored
	// inEnding: the object is being deleted.
	inEnding
)

func (d *door) stored(t *testing.T, w *approvalWorld) *infrav1.Terraform {
	t.Helper()
	if d.where != inEnding {
		return w.stored(t, d.before)
	}
	tf := w.stored(t, d.before, func(tf *infrav1.Terraform) { tf.Finalizers = []string{infrav1.Finalizer} })
	NewWithT(t).Expect(w.people[approver].Delete(t.Context(), tf)).To(Succeed())
	NewWithT(t).Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(tf), tf)).To(Succeed())
	return tf
}

var annotationDoors = map[string]door{
	"approve-plan":             {nil, annotated(infrav1.ApprovePlanAnnotation, planID), infrav1.ApprovePlanAnnotation, inAll},
	"another approve-plan":     {annotated(infrav1.ApprovePlanAnnotation, "plan-x"), annotated(infrav1.ApprovePlanAnnotation, planID), infrav1.ApprovePlanAnnotation, inAll},
	"forceAt":                  {nil, annotated(meta.ForceRequestAnnotation, "now"), meta.ForceRequestAnnotation, inAll},
	"break-the-glass":          {nil, annotated(breakTheTape, "now"), breakTheTape, inAll},
	"an empty break-the-glass": {nil, annotated(breakTheTape, ""), breakTheTape, inAll},
}

var strictDoors = map[string]door{
	"auto":                      {nil, approvePlan("auto"), "spec.approvePlan: auto", inAll},
	"auto in place of safe":     {approvePlan("safe"), approvePlan("auto"), "spec.approvePlan: auto", inAll},
	"safe":                      {nil, approvePlan("safe"), "spec.approvePlan: safe", inAll},
	"the id of a plan":          {nil, approvePlan(planID), "spec.approvePlan: plan-", inAll},
	"the incumbent's short id":  {approvePlan("plan-x"), approvePlan("plan-main-3f9ac1d2e0"), "spec.approvePlan: plan-", inAll},
	"force":                     {nil, spec(func(s *infrav1.TerraformSpec) { s.Force = true }), "spec.force", inAll},
	"destroy":                   {nil, spec(func(s *infrav1.TerraformSpec) { s.Destroy = true }), "spec.destroy", inAll},
	"destroy on deletion":       {nil, spec(func(s *infrav1.TerraformSpec) { s.DestroyResourcesOnDeletion = true }), "spec.destroyResourcesOnDeletion", inAll},
	"break the glass":           {nil, spec(func(s *infrav1.TerraformSpec) { s.BreakTheGlass = true }), "spec.breakTheGlass", inAll},
	"unlock":                    {nil, unlocks("yes", "1"), "spec.tfstate.forceUnlock: yes", inAll},
	"unlock another lock":       {unlocks("yes", "1"), unlocks("yes", "2"), "spec.tfstate.forceUnlock: yes", inAll},
	"unlock what is in the way": {nil, unlocks("auto", ""), "spec.tfstate.forceUnlock: auto", inAll},
	"the state's guard":         {nil, annotated(infrav1.StateGuardOverrideAnnotation, "x"), "state-guard-override", inAll},
	"another webhook":           {hooks("https://a.example"), hooks("https://b.example"), "spec.webhooks", inStored},
	"no webhook":                {hooks("https://a.example"), spec(func(s *infrav1.TerraformSpec) { s.Webhooks = nil }), "spec.webhooks", inStored},
	"protect less":              {protects("a", "b"), protects("a"), "spec.approval.protect", inStored},
	"protect nothing":           {protects("a"), spec(func(s *infrav1.TerraformSpec) { s.Approval = nil }), "spec.approval.protect", inStored},
	"manual in a deletion":      {heldDestroy, approvePlan("manual"), "leaving spec.approvePlan: safe", inEnding},
	"no mode in a deletion":     {heldDestroy, approvePlan(""), "leaving spec.approvePlan: safe", inEnding},
	"the path in a deletion":    {destroys, spec(func(s *infrav1.TerraformSpec) { s.Path = "./other" }), "a change of spec.path during a deletion", inEnding},
	"a backend in a deletion": {destroys, spec(func(s *infrav1.TerraformSpec) {
		s.BackendConfig = &infrav1.BackendConfigSpec{SecretSuffix: "prod"}
	}), "a change of spec.backendConfig during a deletion", inEnding},
	"the path in another deletion": {nil, spec(func(s *infrav1.TerraformSpec) { s.Path = "./other" }), "a change of spec.path during a deletion", inEnding},
	"disable in a deletion":        {heldDestroy, approvePlan("disable"), "leaving spec.approvePlan: safe", inEnding},
}

func destroys(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true }

func heldDestroy(tf *infrav1.Terraform) {
	tf.Spec.ApprovePlan, tf.Spec.DestroyResourcesOnDeletion = "safe", true
}

// refuses holds that the door is shut for one who may edit, and open for one who may approve as well.
func (d *door) refuses(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	refused := And(MatchError(apierrors.IsForbidden, "IsForbidden"), MatchError(ContainSubstring("the verb approve")), MatchError(ContainSubstring(d.says)))
	tf := d.stored(t, w)
	g.Expect(w.patch(t, editor, tf, d.open)).To(refused, "a change by one who may edit")
	g.Expect(w.patch(t, approver, tf, d.open)).To(Succeed(), "a change by one who may approve")
	if d.where == inAll {
		g.Expect(w.people[editor].Create(t.Context(), w.object(d.open))).To(refused, "a new object by one who may edit")
		g.Expect(w.people[approver].Create(t.Context(), w.object(d.open))).To(Succeed(), "a new object by one who may approve")
	}
}

func applyApprovalPolicies(t *testing.T, strength string) {
	t.Helper()
	ensureNamespace(t, "flux-system")
	apply(t, "rbac")
	apply(t, "tenants")
	t.Cleanup(func() { awaitNoPolicies(t) })
	applyPolicies(t, "policies/"+strength)
}

// awaitNoPolicies waits until those of this test act no more: the next one must not take them for its own.
func awaitNoPolicies(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		w := &approvalWorld{namespace: "default"}
		g.Expect(api.Client.Create(context.Background(), w.object(annotated(infrav1.ApprovedByAnnotation, approver)), client.DryRunAll)).To(Succeed())
		tf := w.object(annotated(infrav1.ApprovePlanAnnotation, planID))
		g.Expect(api.Client.Create(context.Background(), tf, client.DryRunAll)).To(Succeed())
		g.Expect(tf.Annotations).NotTo(HaveKey(infrav1.ApprovedByAnnotation))
	}, wait, 100*time.Millisecond).Should(Succeed())
}

func TestApprovalPolicy_StrictShutsEveryDoor(t *testing.T) {
	applyApprovalPolicies(t, "strict")
	w := newApprovalWorld(t, map[string]string{strictLabel: "strict"})
	w.await(t, approvePlan("auto"))
	for _, doors := range []map[string]door{annotationDoors, strictDoors} {
		for name, d := range doors {
			t.Run(name, func(t *testing.T) { d.refuses(t, w) })
		}
	}
	t.Run("a plan that was rejected", func(t *testing.T) { refusesUnreject(t, w) })
	t.Run("the older version of the API", func(t *testing.T) { refusesOldVersion(t, w) })
	t.Run("a deletion that destroys", func(t *testing.T) { refusesDeletion(t, w) })
	t.Run("the status", func(t *testing.T) { refusesStatus(t, w) })
	t.Run("what is no approval is free", func(t *testing.T) { leavesFree(t, w) })
	t.Run("the controller works on", func(t *testing.T) { letsControllerWork(t, w) })
	t.Run("a namespace without the label", func(t *testing.T) {
		other := newApprovalWorld(t, nil)
		g := NewWithT(t)
		g.Expect(other.people[editor].Create(t.Context(), other.object(approvePlan("auto")))).To(Succeed())
		g.Expect(other.people[editor].Create(t.Context(), other.object(annotated(infrav1.ApprovePlanAnnotation, planID)))).NotTo(Succeed())
	})
}

func TestApprovalPolicy_AnnotationOnlyLeavesTheSpecToGit(t *testing.T) {
	applyApprovalPolicies(t, "annotation-only")
	w := newApprovalWorld(t, nil)
	w.await(t, annotated(infrav1.ApprovePlanAnnotation, planID))
	for name, d := range annotationDoors {
		t.Run(name, func(t *testing.T) { d.refuses(t, w) })
	}
	for name, d := range strictDoors {
		t.Run("free: "+name, func(t *testing.T) {
			tf := d.stored(t, w)
			NewWithT(t).Expect(w.patch(t, editor, tf, d.open)).To(Succeed())
		})
	}
	t.Run("a plan that was rejected", func(t *testing.T) { refusesUnreject(t, w) })
	t.Run("the status", func(t *testing.T) { refusesStatus(t, w) })
	t.Run("the controller works on", func(t *testing.T) { letsControllerWork(t, w) })
}

// refusesUnreject: taking back a rejection lets the plan go on, now or when it is pending again.
func refusesUnreject(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	tf := w.stored(t, annotated(infrav1.RejectPlanAnnotation, planID))
	forget := func(tf *infrav1.Terraform) { delete(tf.Annotations, infrav1.RejectPlanAnnotation) }
	pending := tf.DeepCopy()
	pending.Status.Plan.Pending = planID
	g.Expect(asController(t).Status().Patch(t.Context(), pending, client.MergeFrom(tf))).To(Succeed())
	g.Expect(w.patch(t, editor, pending, forget)).To(MatchError(ContainSubstring("the removal of " + infrav1.RejectPlanAnnotation)))
	g.Expect(w.patch(t, approver, pending, forget)).To(Succeed())

	old := w.stored(t, annotated(infrav1.RejectPlanAnnotation, "plan-gone"))
	another := old.DeepCopy()
	another.Status.Plan.Pending = planID
	g.Expect(w.patch(t, editor, old, annotated(infrav1.RejectPlanAnnotation, planID))).NotTo(Succeed(), "the first is not noted")
	another.Status.RejectedIDs = []string{"plan-gone"}
	g.Expect(asController(t).Status().Patch(t.Context(), another, client.MergeFrom(old))).To(Succeed())
	g.Expect(w.patch(t, editor, another, forget)).To(MatchError(ContainSubstring("the removal of "+infrav1.RejectPlanAnnotation)), "that plan may come back")
	g.Expect(w.patch(t, editor, another, annotated(infrav1.RejectPlanAnnotation, "plan-else"))).To(MatchError(ContainSubstring("the removal of " + infrav1.RejectPlanAnnotation)))
	g.Expect(w.patch(t, editor, another, annotated(infrav1.RejectPlanAnnotation, planID))).To(Succeed(), "what waits may be rejected, too")
}

// refusesOldVersion: the same object through v1alpha1, which drops what that version lacks.
func refusesOldVersion(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	guarded := protects("a")
	for _, patch := range []string{
		`{"spec":{"approvePlan":"auto"}}`, `{"spec":{"force":true}}`, `{"spec":{"path":"./net"}}`, `{"metadata":{"labels":{"a":"b"}}}`,
		fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, infrav1.ApprovePlanAnnotation, planID),
	} {
		tf := w.stored(t, guarded)
		write := func(who string) error {
			return w.people[who].Patch(t.Context(), inV1alpha1(tf), client.RawPatch("application/merge-patch+json", []byte(patch)))
		}
		g.Expect(write(editor)).To(MatchError(ContainSubstring("the verb approve")), patch)
		g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(tf), tf)).To(Succeed())
		g.Expect(tf.Spec.Approval).To(HaveField("Protect", ConsistOf("a")), patch)
		g.Expect(write(approver)).To(Succeed(), patch)
		g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(tf), tf)).To(Succeed())
		g.Expect(tf.Spec.Approval).To(BeNil(), "so it is a door")
	}
	ending := w.stored(t, guarded, func(tf *infrav1.Terraform) { tf.Finalizers = []string{infrav1.Finalizer} })
	g.Expect(w.people[editor].Delete(t.Context(), inV1alpha1(ending))).To(MatchError(ContainSubstring("the verb approve")))
	g.Expect(w.people[approver].Delete(t.Context(), inV1alpha1(ending))).To(Succeed())
	g.Expect(api.Client.Get(t.Context(), client.ObjectKeyFromObject(ending), ending)).To(Succeed())
	g.Expect(ending.Spec.Approval).To(BeNil(), "a deletion that waits for a finalizer is a write")
}

func inV1alpha1(tf *infrav1.Terraform) *metav1.PartialObjectMetadata {
	old := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: tf.Name}}
	old.SetGroupVersionKind(infrav1.GroupVersion.WithKind(infrav1.TerraformKind))
	old.APIVersion = infrav1.GroupVersion.Group + "/v1alpha1"
	return old
}

func refusesDeletion(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	destroys := spec(func(s *infrav1.TerraformSpec) { s.DestroyResourcesOnDeletion = true })
	tf := w.stored(t, destroys)
	g.Expect(w.people[editor].Delete(t.Context(), tf)).To(MatchError(ContainSubstring("a deletion that destroys")))
	g.Expect(w.people[editor].DeleteAllOf(t.Context(), &infrav1.Terraform{}, client.InNamespace(w.namespace))).
		To(MatchError(ContainSubstring("a deletion that destroys")), "nor with all others")
	g.Expect(w.people[approver].Delete(t.Context(), tf)).To(Succeed())

	held := w.stored(t, destroys, approvePlan("safe"))
	g.Expect(w.people[editor].Delete(t.Context(), held)).To(Succeed(), "under safe the destroy waits for approval")
	kept := w.stored(t, destroys)
	g.Expect(w.patch(t, editor, kept, spec(func(s *infrav1.TerraformSpec) { s.DestroyResourcesOnDeletion = false }))).To(Succeed())
	g.Expect(w.people[editor].Delete(t.Context(), kept)).To(Succeed(), "what is kept may be let go")
}

// refusesStatus: not even with the right to write it, nor with the right to approve.
func refusesStatus(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	tf := w.stored(t)
	forged := tf.DeepCopy()
	forged.Status.Approval = &infrav1.Approval{PlanID: planID, By: approver, How: infrav1.ApprovalByAnnotation, At: metav1.Now()}
	for name, c := range w.people {
		g.Expect(c.Status().Patch(t.Context(), forged.DeepCopy(), client.MergeFrom(tf))).To(MatchError(apierrors.IsForbidden, "IsForbidden"), name)
	}
	g.Expect(api.Client.Status().Patch(t.Context(), forged.DeepCopy(), client.MergeFrom(tf))).
		To(MatchError(ContainSubstring("is written by the controller")), "an administrator")
}

// leavesFree: work that approves nothing, and closing doors.
func leavesFree(t *testing.T, w *approvalWorld) {
	t.Helper()
	open := []func(*infrav1.Terraform){
		approvePlan("auto"), annotated(infrav1.ApprovePlanAnnotation, planID), annotated(breakTheTape, "now"), protects("a"), unlocks("auto", ""),
		spec(func(s *infrav1.TerraformSpec) {
			s.Force, s.Destroy, s.DestroyResourcesOnDeletion, s.BreakTheGlass = true, true, true, true
		}),
	}
	free := map[string]func(*infrav1.Terraform){
		"another path":       spec(func(s *infrav1.TerraformSpec) { s.Path = "./net" }),
		"suspend":            spec(func(s *infrav1.TerraformSpec) { s.Suspend = true }),
		"a request":          annotated(meta.ReconcileRequestAnnotation, "now"),
		"a cancel":           annotated(infrav1.CancelRunAnnotation, "net-1"),
		"a rejection":        annotated(infrav1.RejectPlanAnnotation, planID),
		"manual":             approvePlan("manual"),
		"disable":            approvePlan("disable"),
		"replan":             approvePlan("replan"),
		"protect more":       protects("a", "b"),
		"a webhook more":     hooks("https://a.example"),
		"no unlock":          unlocks("no", ""),
		"no approve-plan":    func(tf *infrav1.Terraform) { delete(tf.Annotations, infrav1.ApprovePlanAnnotation) },
		"no break-the-glass": func(tf *infrav1.Terraform) { delete(tf.Annotations, breakTheTape) },
		"no flag at all": spec(func(s *infrav1.TerraformSpec) {
			s.Force, s.Destroy, s.DestroyResourcesOnDeletion, s.BreakTheGlass = false, false, false, false
		}),
	}
	for name, change := range free {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(w.patch(t, editor, w.stored(t, open...), change)).To(Succeed())
		})
	}
	NewWithT(t).Expect(w.people[editor].Create(t.Context(), w.object())).To(Succeed(), "a new object")
	ending := door{before: heldDestroy, where: inEnding}
	NewWithT(t).Expect(w.patch(t, editor, ending.stored(t, w), spec(func(s *infrav1.TerraformSpec) {
		s.ApprovePlan, s.DestroyResourcesOnDeletion = "manual", false
	}))).To(Succeed(), "a deletion that no longer destroys")
	ending.before = destroys
	NewWithT(t).Expect(w.patch(t, editor, ending.stored(t, w), spec(func(s *infrav1.TerraformSpec) { s.Suspend = true }))).To(Succeed(), "a pause of a deletion")
}

// letsControllerWork: its account has no verb approve, and needs none.
func letsControllerWork(t *testing.T, w *approvalWorld) {
	t.Helper()
	g := NewWithT(t)
	c := asController(t)
	tf := w.stored(t, approvePlan("auto"), annotated(infrav1.ApprovePlanAnnotation, planID), spec(func(s *infrav1.TerraformSpec) { s.Force = true }))
	guarded := tf.DeepCopy()
	guarded.Finalizers = []string{infrav1.Finalizer}
	g.Expect(c.Patch(t.Context(), guarded, client.MergeFrom(tf))).To(Succeed())
	recorded := guarded.DeepCopy()
	recorded.Status.Approval = &infrav1.Approval{PlanID: planID, By: approver, How: infrav1.ApprovalByAnnotation, At: metav1.Now()}
	g.Expect(c.Status().Patch(t.Context(), recorded, client.MergeFrom(guarded))).To(Succeed())
	g.Expect(w.people[approver].Delete(t.Context(), recorded)).To(Succeed())
	gone := recorded.DeepCopy()
	gone.Finalizers = nil
	g.Expect(c.Patch(t.Context(), gone, client.MergeFrom(recorded))).To(Succeed())
}
