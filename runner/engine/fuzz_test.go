package engine

import (
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzStream: however the engine's output is cut, the same events come of it, none too long for a log or a status.
func FuzzStream(f *testing.F) {
	for _, text := range []string{
		"", "\n", "plain text\n", "{}\n", "{\"type\":\"version\",\"terraform\":\"1.12.6\"}\n", "{\"@message\":\"x\",\"type\":\"diagnostic\"}\n",
		"{\"@level\":\"error\",\"@message\":\"Error: x\",\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":\"x\",\"detail\":\"y\\nz\",\"range\":{\"filename\":\"a.tf\",\"start\":{\"line\":3}}}}\n",
		"{\"type\":\"apply_progress\",\"hook\":{\"resource\":{\"addr\":\"a.b\"},\"action\":\"create\",\"elapsed_seconds\":1e300}}\n",
		"{\"type\":\"change_summary\",\"changes\":{\"add\":1,\"operation\":\"apply\"}}\nhalf a line", "{\"type\":\"diagnostic\",\"diagnostic\":{}}\n", "{\"type\":1}\n", "null\n", "\xff\xfe\n", "{\n",
	} {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		whole, parts := eventsOf(text, len(text)+1), eventsOf(text, max(size, 1))
		if !reflect.DeepEqual(whole, parts) {
			t.Errorf("in parts of %d:\n%+v\nas a whole:\n%+v", size, parts, whole)
		}
		progress := &Progress{}
		for _, e := range whole {
			progress.Observe(e)
			if len(e.Message) > maxMessage+3 {
				t.Errorf("a message of %d bytes", len(e.Message))
			}
			if e.Type == EventDiagnostic && e.Diagnostic == nil {
				t.Error("a diagnostic that is none")
			}
			if text := e.String(); len(text) > 1<<20 && !utf8.ValidString(text) {
				t.Errorf("a line of %d bytes", len(text))
			}
		}
		_, _, _, _ = progress.Done(), progress.Failed(), progress.InFlight(), progress.NotStarted()
	})
}

func eventsOf(text []byte, size int) []Event {
	var events []Event
	s := &stream{emit: func(e Event) { events = append(events, hider(nil).event(e)) }}
	for len(text) > 0 {
		n := min(size, len(text))
		_, _ = s.Write(text[:n])
		text = text[n:]
	}
	s.flush()
	return events
}

// FuzzDiagnosticsOfText: what an engine prints for people is read within bounds.
func FuzzDiagnosticsOfText(f *testing.F) {
	for _, text := range []string{"", "Error: x", "╷\n│ Error: x\n│\n│   on main.tf line 3:\n│ detail\n╵\n", "Warning: y\n\non a line 99999999999999999999", "Error:", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range fromText(text) {
			d = hider(nil).diagnostic(d)
			if len(d.Summary) > maxDetail+3 || len(d.Detail) > maxDetail+3 {
				t.Errorf("a diagnostic of %d and %d bytes", len(d.Summary), len(d.Detail))
			}
			_ = Describe(d)
		}
	})
}
