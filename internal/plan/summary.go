package plan

import (
	"fmt"
	"strings"
)

// Summary counts the changes of a plan. A change that does two things (a move with an update, an import with an
// update, a forgotten object that is created anew) counts for both.
type Summary struct {
	// Add counts created objects, those of a replacement not included.
	Add int
	// Change counts objects that are updated in place.
	Change int
	// Replace counts objects that are destroyed and created, in either order.
	Replace int
	// Destroy counts destroyed objects, deposed ones included, those of a replacement not.
	Destroy int
	// Import counts objects that are taken into the state.
	Import int
	// Forget counts objects that leave the state and live on.
	Forget int
	// Move counts objects that change their address only or besides.
	Move int
	// Invoke counts invoked provider actions.
	Invoke int
	// Outputs counts changed output values.
	Outputs int
}

// Summary counts the changes.
func (c *Changes) Summary() Summary {
	var s Summary
	for _, e := range c.Entries {
		switch e.Kind {
		case KindOutput:
			s.Outputs++
		case KindInvocation:
			s.Invoke++
		case KindResource:
			s.countResource(e)
		}
	}
	return s
}

func (s *Summary) countResource(c Change) {
	if c.Imports {
		s.Import++
	}
	if c.PreviousAddress != "" {
		s.Move++
	}
	switch verbOf(c.Actions) {
	case verbCreate:
		s.Add++
	case verbUpdate, verbUnknown:
		s.Change++
	case verbReplace, verbCreateFirst:
		s.Replace++
	case verbDestroy:
		s.Destroy++
	case verbForget:
		s.Forget++
	case verbForgetCreate:
		s.Add++
		s.Forget++
	case verbNone, verbRead:
	}
}

// String is the summary for a column of kubectl: "+3 ~1 -0". Replacements follow the updates, as in "+3 ~1 ±1 -0", and
// what is rarer stands at the end, as in "+0 ~0 -0 import 1 forget 2 move 1 invoke 1"; each only when there are any. When outputs
// are all that changes it is "+0 ~0 -0 (outputs)".
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "+%d ~%d", s.Add, s.Change)
	if s.Replace > 0 {
		fmt.Fprintf(&b, " ±%d", s.Replace)
	}
	fmt.Fprintf(&b, " -%d", s.Destroy)
	for _, rare := range s.rare() {
		fmt.Fprintf(&b, " %s %d", rare.word, rare.n)
	}
	if s.onlyOutputs() {
		b.WriteString(" (outputs)")
	}
	return b.String()
}

// Human is the summary as a sentence says it: "3 to add, 1 to change, 0 to destroy", with "1 to replace" and the like
// only when there are any, and "1 output changes" when outputs are all that changes.
func (s Summary) Human() string {
	parts := []string{fmt.Sprintf("%d to add", s.Add), fmt.Sprintf("%d to change", s.Change)}
	if s.Replace > 0 {
		parts = append(parts, fmt.Sprintf("%d to replace", s.Replace))
	}
	parts = append(parts, fmt.Sprintf("%d to destroy", s.Destroy))
	for _, rare := range s.rare() {
		parts = append(parts, fmt.Sprintf("%d to %s", rare.n, rare.word))
	}
	if s.onlyOutputs() {
		parts = append(parts, plural(s.Outputs, "output changes", "outputs change"))
	}
	return strings.Join(parts, ", ")
}

type counted struct {
	word string
	n    int
}

func (s Summary) rare() []counted {
	var rare []counted
	for _, c := range []counted{{"import", s.Import}, {"forget", s.Forget}, {"move", s.Move}, {"invoke", s.Invoke}} {
		if c.n > 0 {
			rare = append(rare, c)
		}
	}
	return rare
}

func (s Summary) onlyOutputs() bool {
	return s.Outputs > 0 && s == Summary{Outputs: s.Outputs}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}
