package engine

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/lock"
)

// MaxDiagnostics is how many diagnostics of a command are kept.
const MaxDiagnostics = 20

// Class says what a failure means to the run.
type Class int

const (
	// ClassOther is a failure like any other.
	ClassOther Class = iota
	// ClassLocked says that someone else holds the lock of the state.
	ClassLocked
	// ClassPlanUnusable says that a saved plan can't be applied, now or ever; a new one has to be made.
	ClassPlanUnusable
	// ClassRemote says that the engine would have begun the work elsewhere, see PlanOptions.Here. Nothing was begun.
	ClassRemote
	// ClassStateUnread says that the engine could not read the state. That may be for its lock, when the holder has written nothing of
	// itself that an engine can read.
	ClassStateUnread
	// ClassStateNotSaved says that the engine could not write the state; it may have left errored.tfstate.
	ClassStateNotSaved
)

// classes tells failures apart by the summary of a diagnostic, and where that is not enough by a part of its detail: the
// engines give neither a type nor a code. The texts are those of OpenTofu 1.12 and Terraform 1.5 to 1.13, which share them. A
// summary ends with "*" where it goes on.
var classes = []struct {
	summary, detail string
	class           Class
}{
	// Also when two clients race for a lease of the kubernetes backend; the detail then has no "Lock Info".
	{"Error acquiring the state lock", "", ClassLocked},
	{"Error loading state", "", ClassStateUnread},
	// The serial of the state is not the one in the plan.
	{"Saved plan is stale", "", ClassPlanUnusable},
	// The lineage of the state is not the one in the plan.
	{"Saved plan does not match the given state", "", ClassPlanUnusable},
	// The lock file is not the one in the plan.
	{"Inconsistent dependency lock file", "", ClassPlanUnusable},
	{"Saved plan has no dependency lock information", "", ClassPlanUnusable},
	// The providers of the plan's lock file are not to be had any more.
	{"Failed to *", "the previously-selected version", ClassPlanUnusable},
	{"Failed to *", "doesn't match any of the checksums", ClassPlanUnusable},
	// A variable has got another value, or can't be read any more.
	{"Mismatch between input and plan variable value", "", ClassPlanUnusable},
	{"Invalid variable value in plan", "", ClassPlanUnusable},
	// Another version of the engine has written the plan, or the file is damaged.
	{`Failed to load "*`, "", ClassPlanUnusable},
	{"Failed to read plan from plan file", "", ClassPlanUnusable},
	{"Invalid plan file", "", ClassPlanUnusable},
	{"Custom parallelism values are currently not supported", "", ClassRemote},
	{"Failed to save state", "", ClassStateNotSaved},
	{"Failed to persist state to backend", "", ClassStateNotSaved},
}

// Error is the failure of a command of the engine. It wraps what made the command end: an *exec.ExitError, or an error
// that answers to the context's (errors.Is).
type Error struct {
	// Command is the name of the command, like "plan".
	Command string
	// Diagnostics are the engine's errors, then its warnings; at most MaxDiagnostics.
	Diagnostics []v1alpha2.Diagnostic
	// Errors is how many errors there were in all.
	Errors int
	// Class of the failure: of the first error that has one.
	Class Class
	// Lock is what was told of the lock that someone else holds; nil when no such lock was told of. It is as it was written: by
	// these words a lock is released.
	Lock *v1alpha2.LockInfo
	err  error
}

// Error names the command, what made it end, and its first error.
func (e *Error) Error() string {
	text := "engine command " + e.Command + ": " + e.cause()
	if len(e.Diagnostics) > 0 {
		text += ": " + Describe(e.Diagnostics[0])
	}
	return text
}

// cause is without the engine's output, which terraform-exec appends to the error.
func (e *Error) cause() string {
	line, _, _ := strings.Cut(e.err.Error(), "\n")
	return line
}

// Unwrap gives what made the command end.
func (e *Error) Unwrap() error { return e.err }

// ClassOf is the class of the failure in err's chain, ClassOther when there is none.
func ClassOf(err error) Class {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.Class
	}
	return ClassOther
}

func classify(d v1alpha2.Diagnostic) Class {
	if d.Severity != severityError {
		return ClassOther
	}
	detail := strings.Join(strings.Fields(d.Detail), " ") // texts for people are broken into lines
	for _, c := range classes {
		start, open := strings.CutSuffix(c.summary, "*")
		if (d.Summary == c.summary || open && strings.HasPrefix(d.Summary, start)) && strings.Contains(detail, c.detail) {
			return c.class
		}
	}
	return ClassOther
}

const (
	severityError   = "error"
	severityWarning = "warning"
)

// finding is a diagnostic as it is shown, and what it said before: a secret may be one of the words that it is known by.
type finding struct {
	v1alpha2.Diagnostic
	class Class
	lock  *v1alpha2.LockInfo
}

// collector keeps the diagnostics of one command, within bounds.
type collector struct {
	errors, warnings []finding
	errorCount       int
}

// add takes in a diagnostic, as it was said and as it is shown.
func (c *collector) add(said, shown v1alpha2.Diagnostic) {
	list := &c.warnings
	if said.Severity == severityError {
		c.errorCount++
		list = &c.errors
	}
	if len(*list) == MaxDiagnostics {
		return
	}
	info, _ := lock.FromText(said.Summary + "\n" + said.Detail)
	*list = append(*list, finding{shown, classify(said), info})
}

// failure is what was found, with what made the command end.
func (c *collector) failure(command string, err error) *Error {
	f := &Error{Command: command, Errors: c.errorCount, err: err}
	for _, found := range c.all() {
		f.Diagnostics = append(f.Diagnostics, found.Diagnostic)
		f.Class, f.Lock = cmp.Or(f.Class, found.class), cmp.Or(f.Lock, found.lock)
	}
	return f
}

// all are the errors, then the warnings, each by place, those without one first: the engine's order changes from one
// time to the next, and a message that changes with it would look like news.
func (c *collector) all() []finding {
	for _, list := range [][]finding{c.errors, c.warnings} {
		slices.SortStableFunc(list, byPlace)
	}
	all := slices.Concat(c.errors, c.warnings)
	return all[:min(len(all), MaxDiagnostics)]
}

func byPlace(a, b finding) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Address, b.Address),
		strings.Compare(a.Summary, b.Summary), strings.Compare(a.Detail, b.Detail))
}

// place is how the engine's texts for people say where: "  on main.tf line 2, in resource ...".
var place = regexp.MustCompile(`(?m)^\s*on (\S+) line (\d+)`)

// fromText reads the diagnostics, as they are, of a command that has no JSON form: "Error: SUMMARY", an empty line, the detail. Where there is none a text
// that begins with "Error SOMETHING: " is one: so Terraform before 1.9 says that it can't make the first state, as a lock is held.
func fromText(text string) []v1alpha2.Diagnostic {
	var found []v1alpha2.Diagnostic
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(unboxed(line), " ")
		if summary, ok := strings.CutPrefix(line, "Error: "); ok {
			found = append(found, v1alpha2.Diagnostic{Severity: severityError, Summary: summary})
		} else if summary, ok := strings.CutPrefix(line, "Warning: "); ok {
			found = append(found, v1alpha2.Diagnostic{Severity: severityWarning, Summary: summary})
		} else if len(found) > 0 {
			found[len(found)-1].Detail += line + "\n"
		}
	}
	if plain := strings.TrimSpace(text); len(found) == 0 && strings.HasPrefix(plain, "Error ") {
		summary, detail, _ := strings.Cut(plain, ": ")
		found = []v1alpha2.Diagnostic{{Severity: severityError, Summary: summary, Detail: detail}}
	}
	for i := range found {
		settle(&found[i])
	}
	return found
}

func settle(d *v1alpha2.Diagnostic) {
	if at := place.FindStringSubmatch(d.Detail); at != nil {
		d.File = at[1]
		d.Line, _ = strconv.Atoi(at[2])
	}
	d.Detail = unwrapped(strings.TrimSpace(d.Detail))
}

// unboxed is a line without the box that engines draw on a terminal.
func unboxed(line string) string {
	trimmed := strings.TrimLeft(line, "│╷╵")
	if trimmed == line {
		return line
	}
	return strings.TrimPrefix(trimmed, " ")
}

// textWidth is where the engines break the lines of their texts for people.
const textWidth = 78

// unwrapped takes those breaks out again: a line was broken where the next word had no room.
func unwrapped(text string) string {
	var b strings.Builder
	room := 0 // of the line before; 0 when nothing goes on from it
	for i, line := range strings.Split(text, "\n") {
		word, _, _ := strings.Cut(line, " ")
		switch {
		case i == 0:
		case word != "" && room > 0 && len(word) >= room:
			b.WriteString(" ")
		default:
			b.WriteString("\n")
		}
		b.WriteString(line)
		room = 0
		if word != "" && len(line) < textWidth { // indented lines are lists and snippets
			room = textWidth - len(line)
		}
	}
	return b.String()
}
