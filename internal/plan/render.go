package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

// Render is the plan as a person reads it, without secrets, in at most limit bytes of UTF-8.
//
// Each change is a block: its sign and address, then the attributes that change, one a line, as path = before -> after.
// Signs: + create, ~ update, -/+ destroy then create, +/- create then destroy, - destroy, "." forget, ./+ forget and
// create anew, = move or import without a change, <= read during the apply, ! invoke a provider action, ? unknown. Blocks
// are sorted by address, outputs come after them, a summary closes the text.
//
// Hidden is what is marked sensitive at any depth, before or after the change, what merely repeats such a value in an unmarked
// attribute, and what hide knows, but in addresses. A text that is too long is cut between lines and ends with a line that says how much is left
// out; truncated is then true. No text fits in a limit of zero.
func Render(p *tfjson.Plan, hide func(string) string, limit int) (text string, truncated bool) {
	if p == nil {
		return "", false
	}
	r := &renderer{secrets: newRedactor(Secrets(p)), hide: hide}
	r.resources(p)
	r.invocations(p)
	r.outputs(p)
	r.add(closing(p))
	return bounded(r.lines, limit)
}

type renderer struct {
	secrets *redactor
	hide    func(string) string
	lines   []string
}

func (r *renderer) add(line string) {
	r.lines = append(r.lines, line)
}

func (r *renderer) resources(p *tfjson.Plan) {
	changes := slices.DeleteFunc(slices.Clone(p.ResourceChanges), func(rc *tfjson.ResourceChange) bool {
		return rc == nil || rc.Change == nil || !applies(rc) && verbOf(rc.Change.Actions) != verbRead
	})
	slices.SortStableFunc(changes, func(a, b *tfjson.ResourceChange) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.DeposedKey, b.DeposedKey))
	})
	for _, rc := range changes {
		v := verbOf(rc.Change.Actions)
		r.add(v.sign() + " " + visible(Change{Address: rc.Address, DeposedKey: rc.DeposedKey}.Label()) + r.notes(rc))
		if v != verbForget && v != verbNone && v != verbRead {
			r.differ(rc.Change).diff(nil, beforeSide(rc.Change), afterSide(rc.Change))
		}
		r.add("")
	}
}

// notes are what a block's first line says besides the address.
func (r *renderer) notes(rc *tfjson.ResourceChange) string {
	var b strings.Builder
	if moved(rc) {
		b.WriteString(" (moved from " + visible(rc.PreviousAddress) + ")")
	}
	if imp := rc.Change.Importing; imp != nil {
		b.WriteString(" (import " + quoted(r.secrets.redact(r.hide(imp.ID))) + ")")
	}
	switch verbOf(rc.Change.Actions) {
	case verbForget:
		b.WriteString(" (leaves the state, is not destroyed)")
	case verbForgetCreate:
		b.WriteString(" (the old object leaves the state, is not destroyed)")
	case verbRead:
		b.WriteString(" (read during the apply)")
	case verbUnknown:
		fmt.Fprintf(&b, " (unknown actions %q)", rc.Change.Actions)
	default:
	}
	if rc.ActionReason != tfjson.ActionReasonNone {
		b.WriteString("  # " + visible(strings.ReplaceAll(string(rc.ActionReason), "_", " ")))
	}
	return b.String()
}

func (r *renderer) invocations(p *tfjson.Plan) {
	for _, inv := range p.ActionInvocations {
		if inv == nil {
			continue
		}
		line := "! " + visible(inv.Address)
		if t := inv.LifecycleActionTrigger; t != nil {
			line += " (" + visible(t.ActionTriggerEvent) + " of " + visible(t.TriggeringResourceAddress) + ")"
		}
		r.add(line)
		c := &tfjson.Change{After: inv.ConfigValues, AfterSensitive: inv.ConfigSensitive, AfterUnknown: inv.ConfigUnknown}
		r.differ(c).diff(nil, beforeSide(c), afterSide(c))
		r.add("")
	}
}

func (r *renderer) outputs(p *tfjson.Plan) {
	first := true
	for _, name := range slices.Sorted(maps.Keys(p.OutputChanges)) {
		c := p.OutputChanges[name]
		if c == nil || verbOf(c.Actions) == verbNone {
			continue
		}
		if first {
			r.add("Outputs:")
			first = false
		}
		r.differ(c).diff([]segment{{name: name}}, beforeSide(c), afterSide(c))
	}
	if !first {
		r.add("")
	}
}

// closing is the last line. It needs no digests, so that a plan can be shown where no key is at hand.
func closing(p *tfjson.Plan) string {
	var c Changes
	for _, e := range entriesOf(p) {
		c.Entries = append(c.Entries, e.Change)
	}
	if c.Empty() {
		return "No changes."
	}
	return "Plan: " + c.Summary().Human() + "."
}

// bounded joins the lines. When they don't fit, the last line of the whole stays, as it sums up the plan.
func bounded(lines []string, limit int) (string, bool) {
	whole := strings.Join(lines, "\n") + "\n"
	if len(whole) <= limit {
		return whole, false
	}
	last := lines[len(lines)-1]
	tail := func(kept int) string {
		return fmt.Sprintf("... %s left out. %s\n", plural(len(lines)-1-kept, "line", "lines"), last)
	}
	room := limit - len(tail(0))
	kept, size := 0, 0
	for kept < len(lines)-1 && size+len(lines[kept])+1 <= room {
		size += len(lines[kept]) + 1
		kept++
	}
	return Truncate(whole[:size]+tail(kept), max(limit, 0)), true
}
