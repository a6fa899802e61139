package v1alpha2

import "slices"

// Payloads of webhooks.
const (
	PayloadSpecAndPlan = "SpecAndPlan"
	PayloadSpecOnly    = "SpecOnly"
	PayloadPlanOnly    = "PlanOnly"
)

// IsEnabled says whether the webhook is asked; the default is yes.
func (w *Webhook) IsEnabled() bool { return w.Enabled == nil || *w.Enabled }

// GetPayloadType is what is sent.
func (w *Webhook) GetPayloadType() string {
	if w.PayloadType == "" {
		return PayloadSpecAndPlan
	}
	return w.PayloadType
}

// TakesPlan says whether the webhook is asked, and sent the plan.
func (w *Webhook) TakesPlan() bool { return w.IsEnabled() && w.GetPayloadType() != PayloadSpecOnly }

// AsksWebhooks says whether a webhook is to be asked about plans.
func (s *TerraformSpec) AsksWebhooks() bool {
	return slices.ContainsFunc(s.Webhooks, func(w Webhook) bool { return w.IsEnabled() })
}

// SendsPlan says whether a webhook is to be sent the plan.
func (s *TerraformSpec) SendsPlan() bool {
	return slices.ContainsFunc(s.Webhooks, func(w Webhook) bool { return w.TakesPlan() })
}
