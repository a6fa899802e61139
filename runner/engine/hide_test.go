package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

const secret = "correct-horse-battery-staple"

// TestHide_ComesBeforeTheCut lets an engine say a secret where its text is cut, and looks for parts of it in all that leaves the package.
func TestHide_ComesBeforeTheCut(t *testing.T) {
	pad := func(n int) string { return strings.Repeat("x ", n/2) + "<" }
	tail := secret[10:] + strings.Repeat("y", 8<<10-len(secret[10:]))
	for _, tc := range []struct{ name, why, out, errOut string }{
		{"message", "the end of it is cut off", said("log", pad(maxMessage-10)+secret, ""), ""},
		{"text", "a line that is no JSON is a message, too", pad(maxMessage-10) + secret, ""},
		{"summary", "a diagnostic's summary has its bound", said("diagnostic", "x", diagnosed(pad(maxDetail-10)+secret, "x", "x", "x")), ""},
		{"detail", "and its detail", said("diagnostic", "x", diagnosed("x", pad(maxDetail-10)+secret, "x", "x")), ""},
		{"address", "and its address", said("diagnostic", "x", diagnosed("x", "x", pad(maxDetail-10)+secret, "x")), ""},
		{"file", "and its file", said("diagnostic", "x", diagnosed("x", "x", "x", pad(maxDetail-10)+secret)), ""},
		{"resource", "the address of a resource", `{"type":"apply_start","@message":"x","hook":{"resource":{"addr":"` + pad(maxDetail-10) + secret + `"}}}`, ""},
		{"output", "the engine itself has cut its beginning off", said("diagnostic", "x", diagnosed("x", "exit status 1. Output: "+tail, "x", "x")), ""},
		{"character", "and that inside of a character", said("diagnostic", "x", diagnosed("x", "exit status 1. Output: \uFFFD\uFFFD"+tail, "x", "x")), ""},
		{"for people", "a command without JSON", "", "Error: x\n\n" + pad(maxDetail-10) + secret},
		{"wrapped", "its lines are broken for people", "", "Error: x\n\n" + strings.Repeat("x", maxDetail-10) + "\n" + secret},
		{"stderr", "the last line of what is kept", "", strings.Repeat("x\n", (maxStderr-30)/2) + "\nError: x\n\n <" + secret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			events, failure := sayAll(t, tc.out, tc.errOut)
			shown := fmt.Sprintf("%+v %v", events, failure.Diagnostics)
			for _, e := range events {
				shown += fmt.Sprintf("%v %+v", e, e.Diagnostic)
			}
			shown += failure.Error() + failure.err.Error()
			g.Expect(len(shown)).To(BeNumerically(">", 50), "it is said")
			for _, part := range []string{secret[:8], secret[len(secret)-8:]} {
				g.Expect(strings.Index(shown, part)).To(Equal(-1), tc.why)
			}
		})
	}
}

func said(kind, message, diagnostic string) string {
	text := `{"type":"` + kind + `","@message":"` + message + `"`
	if diagnostic != "" {
		text += `,"diagnostic":` + diagnostic
	}
	return text + "}"
}

func diagnosed(summary, detail, address, file string) string {
	return fmt.Sprintf(`{"severity":"error","summary":"%s","detail":"%s","address":"%s","range":{"filename":"%s"}}`, summary, detail, address, file)
}

// sayAll is what is shown of a plan that says this, and fails.
func sayAll(t *testing.T, out, errOut string) ([]Event, *Error) {
	t.Helper()
	f := newFake(t, Tofu, "1.12.6", "cat out; cat err >&2; exit 1")
	for name, text := range map[string]string{"out": out, "err": errOut} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var events []Event
	_, err := f.engine(t, Options{
		Hide: plan.Redactor([]string{secret, "state", "Lock", "runner-7"}), Observe: func(e Event) { events = append(events, e) },
	}).Plan(t.Context(), PlanOptions{})
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("no failure of the engine: %v", err)
	}
	return events, failure
}

// A Secret may hold any word, and so one of those by which the engine's failures are known.
func TestHide_LeavesAFailureWhatItIs(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{
		said("diagnostic", "x", diagnosed("Error acquiring the state lock", `Error message: the state is already locked by another terraform client\nLock Info:\n  ID:        7\n  Who:       me@runner-7`, "", "")),
		"\nError: Error acquiring the state lock\n\nError message: the state is already locked by another terraform client\nLock Info:\n  ID:        7\n  Who:       me@runner-7\n",
	} {
		out, errOut := text, ""
		if text[0] != '{' {
			out, errOut = "", text
		}
		_, failure := sayAll(t, out, errOut)
		g.Expect(failure.Class).To(Equal(ClassLocked))
		g.Expect(failure.Lock).To(Equal(&v1alpha2.LockInfo{ID: "7", Who: "me@runner-7"}), "by these words it is released")
		g.Expect(failure).To(MatchError("engine command plan: exit status 1: Error acquiring the *** lock: Error message: the *** is already locked by another terraform client"))
		g.Expect(failure.Diagnostics[0].Detail).To(And(ContainSubstring("*** Info"), ContainSubstring("me@***")))
	}
}

func TestHide_KeepsApartWhatLooksTheSame(t *testing.T) {
	g := NewWithT(t)
	started := func(key string) string {
		return `{"type":"apply_start","@message":"x","hook":{"resource":{"addr":"a[\"` + key + `\"]"},"action":"create"}}`
	}
	f := newFake(t, Tofu, "1.12.6", "echo '"+strings.ReplaceAll(started("first-key")+"\n"+started("other-key"), `\`, `\\`)+"'")
	progress := &Progress{}
	var events []string
	_, err := f.engine(t, Options{
		Hide: plan.Redactor([]string{"first-key", "other-key"}), Progress: progress, Observe: func(e Event) { events = append(events, e.String()) },
	}).Plan(t.Context(), PlanOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(events).To(Equal([]string{`a["***"]: create started`, `a["***"]: create started`}))
	g.Expect(progress.InFlight()).To(HaveLen(2))
}
