package controllers

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

func asksWebhooks(hooks ...infrav1.Webhook) *infrav1.Terraform {
	tf := &infrav1.Terraform{}
	tf.Spec.Webhooks = hooks
	tf.Status.Plan = infrav1.PlanStatus{Pending: "plan-1", Target: "here", Run: "run-1"}
	return tf
}

func TestWebhooksDigest(t *testing.T) {
	g := NewWithT(t)
	hook := infrav1.Webhook{URL: "https://policy"}
	was := webhooksDigest(asksWebhooks(hook))
	g.Expect(was).To(HaveLen(webhooksDigits))
	g.Expect(webhooksDigest(asksWebhooks(hook))).To(Equal(was))
	g.Expect(webhooksDigest(asksWebhooks(hook, infrav1.Webhook{URL: "https://another"}))).NotTo(Equal(was), "one more has not been asked")
	hook.TestExpression = "${{ .other }}"
	g.Expect(webhooksDigest(asksWebhooks(hook))).NotTo(Equal(was), "what an answer means has changed")
	moved := asksWebhooks(infrav1.Webhook{URL: "https://policy"})
	moved.Status.Plan.Target = "there"
	g.Expect(webhooksDigest(moved)).NotTo(Equal(was), "a plan may look the same for another spec")
	hook.Enabled = ptr.To(false)
	g.Expect(webhooksDigest(asksWebhooks(hook))).To(BeEmpty())
	g.Expect(webhooksDigest(asksWebhooks())).To(BeEmpty())
}

func TestConcludeWebhooks(t *testing.T) {
	g := NewWithT(t)
	tf := asksWebhooks(infrav1.Webhook{URL: "https://policy"})
	conclude := func() decide.Plan {
		o := &observation{now: noon}
		o.facts.Plan = decide.Plan{ID: "plan-1"}
		o.concludeWebhooks(tf)
		return o.facts.Plan
	}
	g.Expect(conclude().Gate).To(Equal(decide.GateUnasked))
	tf.Status.Webhooks = &infrav1.WebhookVerdict{PlanID: "plan-1", Run: "run-1", Digest: webhooksDigest(tf), Message: "no", At: metav1.NewTime(noon)}
	g.Expect(conclude()).To(Equal(decide.Plan{ID: "plan-1", Gate: decide.GateShut, GateMessage: "no", AskIn: 15 * time.Second}))
	tf.Spec.Webhooks = nil
	g.Expect(conclude().Gate).To(Equal(decide.GateOpen))
	g.Expect(tf.Status.Webhooks).To(BeNil(), "a verdict goes with the webhooks")
}

func TestFrozen_KnowsNoAddressesOfWebhooks(t *testing.T) {
	g := NewWithT(t)
	tf := asksWebhooks(infrav1.Webhook{Stage: "post-planning", URL: "https://user:s3cret@policy/?s3cret", PayloadType: infrav1.PayloadPlanOnly, TestExpression: "s3cret", ErrorMessageTemplate: "s3cret"})
	spec := frozen(&tf.Spec, false)
	text, err := json.Marshal(spec)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("s3cret"))
	g.Expect(spec.SendsPlan()).To(BeTrue(), "the run has to leave the plan for them")
	g.Expect(tf.Spec.Webhooks[0].URL).To(ContainSubstring("s3cret"), "the object is not changed")
}

func TestWebhookReconciler_TakesOrdersAtAnyTime(t *testing.T) {
	g := NewWithT(t)
	r := &WebhookReconciler{}
	early, late := client.ObjectKey{Namespace: "a", Name: "early"}, client.ObjectKey{Namespace: "a", Name: "late"}
	r.Order(early)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	g.Expect(r.attach(t.Context(), queue)).To(Succeed())
	r.Order(late)
	r.Order(late)
	for _, key := range []client.ObjectKey{early, late} {
		got, _ := queue.Get()
		g.Expect(got).To(Equal(ctrl.Request{NamespacedName: key}))
	}
	g.Expect(queue.Len()).To(BeZero(), "an order is given once")
}

func TestWebhookReconciler_LeavesPlacesToOtherNamespaces(t *testing.T) {
	g := NewWithT(t)
	r := &WebhookReconciler{}
	for range webhooksPerNamespace {
		g.Expect(r.begin("slow")).To(BeTrue())
	}
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "slow", Name: "x"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).To(Equal(webhookTurn), "it waits for its turn without a worker")
	g.Expect(r.begin("other")).To(BeTrue())
	r.end("slow")
	g.Expect(r.begin("slow")).To(BeTrue())
}
