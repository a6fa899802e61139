package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// maxLine is the longest line that is looked at, in bytes; longer ones are left out.
	maxLine = 8 << 20
	// maxMessage is the longest message that is passed on, in bytes.
	maxMessage = 16 << 10
	// maxDetail is the longest detail of a diagnostic that is kept, in bytes.
	maxDetail = 4 << 10
)

// EventType says what the engine reports. Other types than these exist and are passed on as they are.
type EventType string

// The types of the engine's machine-readable UI (https://opentofu.org/docs/internals/machine-readable-ui).
const (
	// EventText is a line that is no JSON.
	EventText          EventType = ""
	EventVersion       EventType = "version"
	EventDiagnostic    EventType = "diagnostic"
	EventPlannedChange EventType = "planned_change"
	EventResourceDrift EventType = "resource_drift"
	EventChangeSummary EventType = "change_summary"
	EventOutputs       EventType = "outputs"
	EventApplyStart    EventType = "apply_start"
	EventApplyProgress EventType = "apply_progress"
	EventApplyComplete EventType = "apply_complete"
	EventApplyErrored  EventType = "apply_errored"
)

// Event is one message of the engine.
type Event struct {
	Type EventType
	// Message is the engine's own words.
	Message string
	// Diagnostic is set for EventDiagnostic.
	Diagnostic *v1alpha2.Diagnostic
	// Address and Action are set where the event is about a resource. Action alone is the operation of an
	// EventChangeSummary: plan or apply (said when all of it is done).
	Address string
	Action  string
	// Elapsed is how long it has taken so far, in whole seconds.
	Elapsed time.Duration
}

// String is the event as a line of a log.
func (e Event) String() string {
	switch e.Type {
	case EventApplyStart:
		return e.Address + ": " + e.Action + " started"
	case EventApplyProgress:
		return fmt.Sprintf("%s: %s (%s so far)", e.Address, e.Action, e.Elapsed)
	case EventApplyComplete:
		return fmt.Sprintf("%s: %s (%s)", e.Address, e.Action, e.Elapsed)
	case EventApplyErrored:
		return fmt.Sprintf("%s: %s failed (%s)", e.Address, e.Action, e.Elapsed)
	case EventDiagnostic:
		return e.Diagnostic.Severity + ": " + Describe(*e.Diagnostic)
	default:
		return e.Message
	}
}

// Describe is a diagnostic in one line: FILE:LINE: SUMMARY: first line of the detail; what is unknown is left out. Where that line
// ends in "...", as does "Cloning into 'x'...", the last lines of its paragraph are added: they say what came of it.
func Describe(d v1alpha2.Diagnostic) string {
	var b strings.Builder
	switch {
	case d.File != "":
		fmt.Fprintf(&b, "%s:%d: ", d.File, d.Line)
	case d.Address != "":
		b.WriteString(d.Address + ": ")
	}
	b.WriteString(d.Summary)
	detail, rest, _ := strings.Cut(strings.TrimSpace(d.Detail), "\n")
	if strings.HasSuffix(detail, "...") {
		detail = strings.TrimSpace(detail + " " + outcome(rest))
	}
	if detail != "" {
		b.WriteString(": " + detail)
	}
	return b.String()
}

// outcome is the end of a paragraph.
func outcome(text string) string {
	paragraph, _, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	lines := strings.Split(strings.TrimSpace(paragraph), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], " ")
}

// wireMessage is what is read of a message.
type wireMessage struct {
	Type       EventType       `json:"type"`
	Message    string          `json:"@message"`
	Diagnostic *wireDiagnostic `json:"diagnostic"`
	Hook       *wireChange     `json:"hook"`
	Change     *wireChange     `json:"change"`
	// Changes is the summary; its operation is "plan" or "apply".
	Changes *struct {
		Operation string `json:"operation"`
	} `json:"changes"`
}

type wireDiagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
	Range    *struct {
		Filename string `json:"filename"`
		Start    struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
}

type wireChange struct {
	Resource struct {
		Addr string `json:"addr"`
	} `json:"resource"`
	Action  string  `json:"action"`
	Elapsed float64 `json:"elapsed_seconds"`
}

// parse reads one line, as it is. A line that is no message of the engine becomes an EventText.
func parse(line []byte) Event {
	var m wireMessage
	if line[0] != '{' || json.Unmarshal(line, &m) != nil || m.Type == "" && m.Message == "" {
		return Event{Message: string(line)}
	}
	e := Event{Type: m.Type, Message: m.Message}
	if m.Type == EventDiagnostic && m.Diagnostic == nil {
		e.Type = EventText
	}
	if m.Diagnostic != nil {
		e.Diagnostic = m.Diagnostic.diagnostic()
	}
	if m.Changes != nil {
		e.Action = m.Changes.Operation
	}
	for _, c := range []*wireChange{m.Hook, m.Change} {
		if c != nil {
			e.Address, e.Action = c.Resource.Addr, c.Action
			e.Elapsed = time.Duration(c.Elapsed * float64(time.Second)).Round(time.Second)
		}
	}
	return e
}

func (d *wireDiagnostic) diagnostic() *v1alpha2.Diagnostic {
	found := &v1alpha2.Diagnostic{
		Severity: d.Severity,
		Summary:  d.Summary,
		Detail:   d.Detail,
		Address:  d.Address,
	}
	if d.Range != nil {
		found.File, found.Line = d.Range.Filename, d.Range.Start.Line
	}
	return found
}

// stream is a writer for the engine's output that passes on an event for each line, as it is. It never holds more than maxLine.
// It is written to by one goroutine at a time.
type stream struct {
	emit    func(Event)
	pending []byte
	skip    bool
	// applied says that the engine has reported a complete apply.
	applied bool
}

// Write takes any part of the output. It never fails.
func (s *stream) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte("\n"))
		s.add(part)
		if whole {
			s.flush()
		}
		rest = after
	}
	return len(p), nil
}

func (s *stream) add(part []byte) {
	if s.skip {
		return
	}
	if len(s.pending)+len(part) > maxLine {
		s.pending, s.skip = nil, true
		return
	}
	s.pending = append(s.pending, part...)
}

// flush ends the line.
func (s *stream) flush() {
	line := bytes.TrimSpace(s.pending)
	switch {
	case s.skip:
		s.emit(Event{Message: fmt.Sprintf("(a line of more than %d MiB was left out)", maxLine>>20)})
	case len(line) > 0:
		event := parse(line)
		s.applied = s.applied || event.Type == EventChangeSummary && event.Action == "apply"
		s.emit(event)
	}
	s.pending, s.skip = s.pending[:0], false
	if cap(s.pending) > maxMessage {
		s.pending = nil
	}
}
