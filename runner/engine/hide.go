package engine

import (
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// hider makes what is secret unreadable in the engine's texts, see Options.Hide; nil leaves them as they are. It comes before any bound: half
// of a secret is not known as one.
type hider func(text string, cuts ...int) string

func (h hider) text(s string, limit int, cuts ...int) string {
	if h != nil {
		s = h(s, cuts...)
	}
	return bounded(s, limit)
}

func (h hider) event(e Event) Event {
	e.Message, e.Address = h.text(e.Message, maxMessage), h.text(e.Address, maxDetail)
	if e.Diagnostic != nil {
		shown := h.diagnostic(*e.Diagnostic)
		e.Diagnostic = &shown
	}
	return e
}

func (h hider) diagnostic(d v1alpha2.Diagnostic) v1alpha2.Diagnostic {
	d.Summary, d.Detail = h.text(d.Summary, maxDetail), h.text(d.Detail, maxDetail, outputsIn(d.Detail)...)
	d.Address, d.File = h.text(d.Address, maxDetail), h.text(d.File, maxDetail)
	return d
}

// error is the same error with another text.
func (h hider) error(err error) error {
	return &hiddenError{text: h.text(err.Error(), maxMessage), err: err}
}

type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }

func (e *hiddenError) Unwrap() error { return e.err }

// outputMark stands before what the engines tell of the output of a local-exec that has failed.
const (
	outputMark = "Output: "
	// maxOutputs bounds how many are looked at: each is compared with the end of every secret.
	maxOutputs = 16
)

// outputsIn is where outputs begin in a detail. Of a long one the engines keep the last kilobytes only: it may begin with the end of a secret,
// or within a character, which then is the replacement character.
func outputsIn(detail string) (cuts []int) {
	for at := 0; len(cuts) < maxOutputs; {
		next := strings.Index(detail[at:], outputMark)
		if next < 0 {
			return cuts
		}
		at += next + len(outputMark)
		cuts = append(cuts, len(detail)-len(strings.TrimLeft(detail[at:], "\uFFFD")))
	}
	return cuts
}

func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
