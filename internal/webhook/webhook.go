// Package webhook asks the webhooks of spec.webhooks about a plan. Where they are, and what their answers mean, is said by
// users; so nothing of an answer is shown but what errorMessageTemplate makes of one, and everything is bounded.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/egress"
)

const (
	// DefaultTimeout is that of one call.
	DefaultTimeout = 10 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
	// maxMessage bounds what is said about an answer, in bytes.
	maxMessage = 2048
)

// Caller calls webhooks.
type Caller struct {
	// Guard says which addresses may be called.
	Guard *egress.Guard
	// Certificates is a folder with <host>/tls.crt, tls.key and ca.crt; all are optional.
	Certificates string
	// Timeout of one call.
	Timeout time.Duration
}

// Question about one plan.
type Question struct {
	// Object whose plan it is, with its webhooks.
	Object *v1alpha2.Terraform
	// Plan in the engine's JSON format; nil when there is none to be sent.
	Plan json.RawMessage
}

// Ask asks all webhooks in their order, until one does not agree or can't be asked: the message says why, and holds neither
// credentials nor anything of an answer that its user does not show. "" means that all agree.
func (c *Caller) Ask(ctx context.Context, q Question) (message string) {
	for i := range q.Object.Spec.Webhooks {
		hook := &q.Object.Spec.Webhooks[i]
		if !hook.IsEnabled() {
			continue
		}
		if err := c.ask(ctx, hook, q); err != nil {
			return bounded(describe(i, hook, err))
		}
	}
	return ""
}

// deniedError is the answer of a webhook that does not agree.
type deniedError struct{ message string }

func (e *deniedError) Error() string { return e.message }

// describe puts the webhook before what went wrong with it; what users say about an answer stands alone.
func describe(i int, hook *v1alpha2.Webhook, err error) string {
	if denied, ok := errors.AsType[*deniedError](err); ok && denied.message != "" {
		return denied.message
	}
	where := fmt.Sprintf("spec.webhooks[%d]", i)
	if u, parseErr := url.Parse(hook.URL); parseErr == nil && u.Host != "" {
		where += " (" + u.Host + ")"
	}
	return where + ": " + err.Error()
}

func bounded(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	cut := message[:maxMessage]
	for len(cut) > 0 && cut[len(cut)-1]&0xC0 == 0x80 {
		cut = cut[:len(cut)-1]
	}
	if len(cut) > 0 && cut[len(cut)-1] >= 0xC0 {
		cut = cut[:len(cut)-1]
	}
	return cut + "..."
}

func (c *Caller) ask(ctx context.Context, hook *v1alpha2.Webhook, q Question) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	test, err := newExpression(ctx, "testExpression", hook.TestExpression)
	if err != nil {
		return err
	}
	body, err := payload(hook, q)
	if err != nil {
		return err
	}
	answer, err := c.post(ctx, hook.URL, body)
	if err != nil {
		return err
	}
	agreed, err := test.agrees(answer)
	if err != nil || agreed {
		return err
	}
	return denial(ctx, hook, answer)
}

// denial is what the user says about an answer that does not agree.
func denial(ctx context.Context, hook *v1alpha2.Webhook, answer map[string]any) error {
	template, err := newExpression(ctx, "errorMessageTemplate", hook.ErrorMessageTemplate)
	if err != nil {
		return fmt.Errorf("does not agree to the plan; %w", err)
	}
	message, err := template.render(answer)
	if err != nil {
		return fmt.Errorf("does not agree to the plan; %w", err)
	}
	if message == "" {
		return errors.New("does not agree to the plan")
	}
	return &deniedError{message}
}
