package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// errNoPlan is for a run that has left no plan for webhooks.
var errNoPlan = errors.New("the run that made the plan has not left it for webhooks, or is gone; ask for a new plan")

// payload is what a webhook is sent: the object without its status, the plan, or both, with the plan as status.tfplan.
func payload(hook *v1alpha2.Webhook, q Question) ([]byte, error) {
	kind := hook.GetPayloadType()
	if kind != v1alpha2.PayloadSpecOnly && q.Plan == nil {
		return nil, errNoPlan
	}
	switch kind {
	case v1alpha2.PayloadPlanOnly:
		return q.Plan, nil
	case v1alpha2.PayloadSpecOnly:
		return encode(q.Object, nil)
	case v1alpha2.PayloadSpecAndPlan:
		return encode(q.Object, &status{q.Plan})
	}
	return nil, fmt.Errorf("payloadType %q is none of %s, %s, %s", kind, v1alpha2.PayloadSpecAndPlan, v1alpha2.PayloadSpecOnly, v1alpha2.PayloadPlanOnly)
}

type status struct {
	Plan json.RawMessage `json:"tfplan"`
}

// encode is the object without its status, and without credentials that stand in it.
func encode(tf *v1alpha2.Terraform, st *status) ([]byte, error) {
	shown := tf.DeepCopy()
	shown.ManagedFields = nil
	delete(shown.Annotations, corev1.LastAppliedConfigAnnotation)
	if shown.Spec.Cloud != nil {
		shown.Spec.Cloud.Token = ""
	}
	for i := range shown.Spec.Webhooks {
		shown.Spec.Webhooks[i].URL = withoutCredentials(shown.Spec.Webhooks[i].URL)
	}
	return json.Marshal(struct {
		APIVersion string  `json:"apiVersion"`
		Kind       string  `json:"kind"`
		Metadata   any     `json:"metadata"`
		Spec       any     `json:"spec"`
		Status     *status `json:"status,omitempty"`
	}{v1alpha2.GroupVersion.String(), v1alpha2.TerraformKind, shown.ObjectMeta, shown.Spec, st})
}

// withoutCredentials is a URL without what may be a secret in it; "" when it is none.
func withoutCredentials(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
