package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

const (
	askAgainMin    = time.Second
	webhooksDigits = 16
)

// concludeWebhooks says what the webhooks say of the pending plan, and keeps the condition Plan in step with it.
func (o *observation) concludeWebhooks(tf *infrav1.Terraform) {
	p := &o.facts.Plan
	if !tf.Spec.AsksWebhooks() {
		tf.Status.Webhooks = nil
	}
	p.Gate, p.GateMessage, p.AskIn = decide.GateOf(&tf.Status, webhooksDigest(tf), askAgain(tf), o.now)
	decide.Judge(tf, p, o.now)
}

// askAgain is the time after which webhooks that do not agree are asked again. They are others' servers.
func askAgain(tf *infrav1.Terraform) time.Duration { return max(tf.GetRetryInterval(), askAgainMin) }

// webhooksDigest stands for the webhooks that are to be asked, and for what the pending plan was made for; "" when there are none.
func webhooksDigest(tf *infrav1.Terraform) string {
	if !tf.Spec.AsksWebhooks() {
		return ""
	}
	data, err := json.Marshal(tf.Spec.Webhooks)
	if err != nil {
		return "" // plain strings are always encoded
	}
	sum := sha256.Sum256(append([]byte(tf.Status.Plan.Target+"\n"), data...))
	return hex.EncodeToString(sum[:])[:webhooksDigits]
}

// withoutAddresses leaves what a run has to know of webhooks: not where they are, as there may be credentials in it.
func withoutAddresses(hooks []infrav1.Webhook) {
	for i := range hooks {
		hooks[i] = infrav1.Webhook{Stage: hooks[i].Stage, Enabled: hooks[i].Enabled, PayloadType: hooks[i].PayloadType}
	}
}
