package engine

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// The lines were written by OpenTofu 1.12.6.
func TestStream_ReadsWhatTheEngineSays(t *testing.T) {
	for _, tc := range []struct {
		name, why, line string
		want            Event
		text            string
	}{
		{
			name: "version", why: "the first line of each command",
			line: `{"@level":"info","@message":"OpenTofu 1.12.6","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:30.106925Z","tofu":"1.12.6","type":"version","ui":"1.2"}`,
			want: Event{Type: EventVersion, Message: "OpenTofu 1.12.6"},
			text: "OpenTofu 1.12.6",
		},
		{
			name: "init", why: "init gives its messages no type",
			line: `{"@level":"info","@message":"Initializing the backend...","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:30.066512Z"}`,
			want: Event{Message: "Initializing the backend..."},
			text: "Initializing the backend...",
		},
		{
			name: "planned change", why: "tells what an apply is about to do",
			line: `{"@level":"info","@message":"terraform_data.slow: Plan to create","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:30.119113Z","change":{"resource":{"addr":"terraform_data.slow","module":"","resource":"terraform_data.slow","implied_provider":"terraform","resource_type":"terraform_data","resource_name":"slow","resource_key":null},"action":"create"},"type":"planned_change"}`,
			want: Event{Type: EventPlannedChange, Message: "terraform_data.slow: Plan to create", Address: "terraform_data.slow", Action: "create"},
			text: "terraform_data.slow: Plan to create",
		},
		{
			name: "apply start", why: "shown as address: action",
			line: `{"@level":"info","@message":"terraform_data.a: Creating...","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:30.158456Z","hook":{"resource":{"addr":"terraform_data.a","module":"","resource":"terraform_data.a","implied_provider":"terraform","resource_type":"terraform_data","resource_name":"a","resource_key":null},"action":"create"},"type":"apply_start"}`,
			want: Event{Type: EventApplyStart, Message: "terraform_data.a: Creating...", Address: "terraform_data.a", Action: "create"},
			text: "terraform_data.a: create started",
		},
		{
			name: "apply complete", why: "shown with its time, without the id",
			line: `{"@level":"info","@message":"terraform_data.slow: Creation complete after 2s [id=c7a68afb-fef8-6080-3971-59e846f4b62a]","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.162933Z","hook":{"resource":{"addr":"terraform_data.slow","module":"","resource":"terraform_data.slow","implied_provider":"terraform","resource_type":"terraform_data","resource_name":"slow","resource_key":null},"action":"create","id_key":"id","id_value":"c7a68afb-fef8-6080-3971-59e846f4b62a","elapsed_seconds":2},"type":"apply_complete"}`,
			want: Event{Type: EventApplyComplete, Message: "terraform_data.slow: Creation complete after 2s [id=c7a68afb-fef8-6080-3971-59e846f4b62a]", Address: "terraform_data.slow", Action: "create", Elapsed: 2 * time.Second},
			text: "terraform_data.slow: create (2s)",
		},
		{
			name: "apply errored", why: "shown as failed",
			line: `{"@level":"info","@message":"terraform_data.b: Creation errored after 0s","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.429193Z","hook":{"resource":{"addr":"terraform_data.b","module":"","resource":"terraform_data.b","implied_provider":"terraform","resource_type":"terraform_data","resource_name":"b","resource_key":null},"action":"create","elapsed_seconds":0},"type":"apply_errored"}`,
			want: Event{Type: EventApplyErrored, Message: "terraform_data.b: Creation errored after 0s", Address: "terraform_data.b", Action: "create"},
			text: "terraform_data.b: create failed (0s)",
		},
		{
			name: "summary", why: "its operation says that the apply is complete",
			line: `{"@level":"info","@message":"Apply complete! Resources: 2 added, 0 changed, 0 destroyed.","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.164021Z","changes":{"add":2,"change":0,"import":0,"remove":0,"forget":0,"operation":"apply"},"type":"change_summary"}`,
			want: Event{Type: EventChangeSummary, Message: "Apply complete! Resources: 2 added, 0 changed, 0 destroyed.", Action: "apply"},
			text: "Apply complete! Resources: 2 added, 0 changed, 0 destroyed.",
		},
		{
			name: "outputs", why: "values of outputs are not shown",
			line: `{"@level":"info","@message":"Outputs: 2","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.164077Z","outputs":{"o":{"sensitive":false,"type":"string","value":"x"},"s":{"sensitive":true,"type":"string"}},"type":"outputs"}`,
			want: Event{Type: EventOutputs, Message: "Outputs: 2"},
			text: "Outputs: 2",
		},
		{
			name: "error in the module", why: "a diagnostic has file and line, the snippet is not kept",
			line: `{"@level":"error","@message":"Error: Invalid expression","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.242371Z","diagnostic":{"severity":"error","summary":"Invalid expression","detail":"Expected the start of an expression, but found an invalid expression token.","range":{"filename":"bad.tf","start":{"line":2,"column":11,"byte":43},"end":{"line":3,"column":1,"byte":44}},"snippet":{"context":"resource \"terraform_data\" \"b\"","code":"  input = ","start_line":2,"highlight_start_offset":10,"highlight_end_offset":10,"values":[]}},"type":"diagnostic"}`,
			want: Event{Type: EventDiagnostic, Message: "Error: Invalid expression", Diagnostic: &v1alpha2.Diagnostic{
				Severity: "error", Summary: "Invalid expression", File: "bad.tf", Line: 2,
				Detail: "Expected the start of an expression, but found an invalid expression token."}},
			text: "error: bad.tf:2: Invalid expression: Expected the start of an expression, but found an invalid expression token.",
		},
		{
			name: "error of a resource", why: "a diagnostic has the address of its resource",
			line: `{"@level":"error","@message":"Error: local-exec provisioner error","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.430466Z","diagnostic":{"severity":"error","summary":"local-exec provisioner error","detail":"Error running command 'exit 3': exit status 3. Output: ","address":"terraform_data.b","range":{"filename":"bad.tf","start":{"line":2,"column":30,"byte":62},"end":{"line":2,"column":31,"byte":63}}},"type":"diagnostic"}`,
			want: Event{Type: EventDiagnostic, Message: "Error: local-exec provisioner error", Diagnostic: &v1alpha2.Diagnostic{
				Severity: "error", Summary: "local-exec provisioner error", Address: "terraform_data.b", File: "bad.tf", Line: 2,
				Detail: "Error running command 'exit 3': exit status 3. Output: "}},
			text: "error: bad.tf:2: local-exec provisioner error: Error running command 'exit 3': exit status 3. Output:",
		},
		{
			name: "error without place", why: "what is not known is left out",
			line: `{"@level":"error","@message":"Error: Saved plan is stale","@module":"tofu.ui","@timestamp":"2026-11-24T08:22:32.199008Z","diagnostic":{"severity":"error","summary":"Saved plan is stale","detail":"The given plan file can no longer be applied because the state was changed by another operation after the plan was created."},"type":"diagnostic"}`,
			want: Event{Type: EventDiagnostic, Message: "Error: Saved plan is stale", Diagnostic: &v1alpha2.Diagnostic{
				Severity: "error", Summary: "Saved plan is stale",
				Detail: "The given plan file can no longer be applied because the state was changed by another operation after the plan was created."}},
			text: "error: Saved plan is stale: The given plan file can no longer be applied because the state was changed by another operation after the plan was created.",
		},
		{
			name: "text", why: "a warning about the CLI configuration comes before all JSON",
			line: "  Warning: Unable to open CLI configuration file  ",
			want: Event{Message: "Warning: Unable to open CLI configuration file"},
			text: "Warning: Unable to open CLI configuration file",
		},
		{
			name: "other JSON", why: "what is not a message of the engine is passed on as text",
			line: `{"some": "thing"}`,
			want: Event{Message: `{"some": "thing"}`},
			text: `{"some": "thing"}`,
		},
		{
			name: "broken JSON", why: "a process that is killed ends in the middle of a line",
			line: `{"@level":"info","@message":"terraf`,
			want: Event{Message: `{"@level":"info","@message":"terraf`},
			text: `{"@level":"info","@message":"terraf`,
		},
		{
			name: "diagnostic without one", why: "a message that lacks what its type promises does no harm",
			line: `{"@message":"odd","type":"diagnostic"}`,
			want: Event{Message: "odd"},
			text: "odd",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			got := events(tc.line + "\n")
			g.Expect(got).To(Equal([]Event{tc.want}), tc.why)
			g.Expect(got[0].String()).To(Equal(tc.text), tc.why)
		})
	}
}

// events are those of an output that comes in parts of a few bytes.
func events(output string) []Event {
	var got []Event
	s := &stream{emit: func(e Event) { got = append(got, e) }}
	for part := range strings.SplitSeq(output, "") {
		_, _ = s.Write([]byte(part))
	}
	s.flush()
	return got
}

func TestStream_TakesLongLinesWithinBounds(t *testing.T) {
	g := NewWithT(t)
	var got []Event
	s := &stream{emit: func(e Event) { got = append(got, e) }}
	write := func(text string) {
		n, err := s.Write([]byte(text))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(Equal(len(text)))
	}
	write(`{"@message":"start","type":"log","padding":"` + strings.Repeat("x", 4<<20) + `"}` + "\n")
	for range 12 {
		write(strings.Repeat("y", 1<<20))
		g.Expect(cap(s.pending)).To(BeNumerically("<=", 2*maxLine), "memory is bounded while a line goes on")
	}
	write("\nafter\n\n\nlast")
	s.flush()
	var texts []string
	for _, e := range got {
		texts = append(texts, e.String())
	}
	g.Expect(texts).To(Equal([]string{"start", "(a line of more than 8 MiB was left out)", "after", "last"}))
}

func TestHider_BoundsWhatIsShown(t *testing.T) {
	g := NewWithT(t)
	long := strings.Repeat("ä", 100_000)
	got := hider(nil).event(events(`{"@message":"` + long + `","type":"diagnostic","diagnostic":{"severity":"error","summary":"` + long + `","detail":"` + long + `"}}`)[0])
	g.Expect(len(got.Message)).To(BeNumerically("<=", maxMessage+3))
	g.Expect(len(got.Diagnostic.Summary)).To(BeNumerically("<=", maxDetail+3))
	g.Expect(len(got.Diagnostic.Detail)).To(BeNumerically("<=", maxDetail+3))
	g.Expect(got.Diagnostic.Detail).To(HaveSuffix("ä..."), "no rune is cut in two")
}

func TestDescribe_SaysWhatCameOfAnUnfinishedSentence(t *testing.T) {
	for detail, want := range map[string]string{
		"One.\nTwo.":              "One.",
		"Cloning into 'x'...":     "Cloning into 'x'...",
		"Cloning into 'x'...\n\n": "Cloning into 'x'...",
		"exited with 128: Cloning into 'x'...\nfatal: Authentication failed for 'y'\n":                                  "exited with 128: Cloning into 'x'... fatal: Authentication failed for 'y'",
		"Cloning into 'x'...\n@@@\r\n@@@\r\nHost key verification failed.\r\nfatal: Could not read.\n\nPlease check.\n": "Cloning into 'x'... Host key verification failed. fatal: Could not read.",
	} {
		NewWithT(t).Expect(Describe(v1alpha2.Diagnostic{Summary: "Failed", Detail: detail})).To(Equal("Failed: " + want))
	}
}
