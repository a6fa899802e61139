package v1alpha2

import "testing"

func TestWebhooks_WhoIsAskedAndWhoIsSentThePlan(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		reason      string
		hook        Webhook
		asks, sends bool
	}{
		{"a webhook is enabled, and sent all, unless it says otherwise", Webhook{}, true, true},
		{"explicitly", Webhook{Enabled: &yes, PayloadType: PayloadPlanOnly}, true, true},
		{"the spec alone", Webhook{PayloadType: PayloadSpecOnly}, true, false},
		{"switched off", Webhook{Enabled: &no}, false, false},
		{"a word nobody knows is refused when it is asked, not passed over", Webhook{PayloadType: "All"}, true, true},
	} {
		spec := TerraformSpec{Webhooks: []Webhook{{Enabled: &no}, tc.hook}}
		if spec.AsksWebhooks() != tc.asks || spec.SendsPlan() != tc.sends {
			t.Errorf("%s: asks %v, sends %v", tc.reason, spec.AsksWebhooks(), spec.SendsPlan())
		}
	}
	if (&TerraformSpec{}).AsksWebhooks() {
		t.Error("there is nobody to ask")
	}
}
