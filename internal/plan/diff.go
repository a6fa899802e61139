package plan

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

const (
	hiddenText  = "(sensitive value)"
	unknownText = "(known after apply)"
	indent      = "    "
)

// side is a value before or after the change, with its marks.
type side struct {
	value any
	// unknown marks what the apply will tell; only after the change.
	unknown any
	// sensitive are the side's own marks, hidden those of both sides.
	sensitive, hidden any
}

func beforeSide(c *tfjson.Change) side {
	return side{value: c.Before, sensitive: c.BeforeSensitive, hidden: union(c.BeforeSensitive, c.AfterSensitive)}
}

func afterSide(c *tfjson.Change) side {
	return side{
		value:     c.After,
		unknown:   c.AfterUnknown,
		sensitive: c.AfterSensitive,
		hidden:    union(c.BeforeSensitive, c.AfterSensitive),
	}
}

func (s side) under(key string) side {
	m, _ := s.value.(map[string]any)
	return side{value: m[key], unknown: under(s.unknown, key), sensitive: under(s.sensitive, key), hidden: under(s.hidden, key)}
}

func (s side) at(i int) side {
	var item any
	if list, _ := s.value.([]any); i < len(list) {
		item = list[i]
	}
	return side{value: item, unknown: at(s.unknown, i), sensitive: at(s.sensitive, i), hidden: at(s.hidden, i)}
}

// absent says that there is nothing on this side: no value, and none to come.
func (s side) absent() bool {
	return s.value == nil && !marksAny(s.unknown)
}

// keys of an object, those whose value is still unknown included; nil when it is none, or is shown as a whole.
func (s side) keys() []string {
	m, ok := s.value.(map[string]any)
	if !ok || s.unknown == true || hides(s.hidden, s.value) {
		return nil
	}
	keys := slices.Collect(maps.Keys(m))
	if unknown, ok := s.unknown.(map[string]any); ok {
		keys = slices.AppendSeq(keys, maps.Keys(unknown))
	}
	return keys
}

// length of a list; zero when it is none, or is shown as a whole.
func (s side) length() int {
	list, ok := s.value.([]any)
	if !ok || s.unknown == true || hides(s.hidden, s.value) {
		return 0
	}
	return len(list)
}

// segment is one step of an attribute's path.
type segment struct {
	name string
	// index says that the step leads into a list.
	index bool
}

// differ writes the attributes of one change.
type differ struct {
	*renderer
	replacePaths []any
	// redactor knows the secrets of the whole plan, and the shorter ones of this change.
	redactor *redactor
}

func (r *renderer) differ(c *tfjson.Change) *differ {
	own := secretSet{}
	own.addChange(c)
	d := &differ{renderer: r, replacePaths: c.ReplacePaths, redactor: newRedactor(slices.Collect(maps.Keys(own)))}
	d.redactor.base = r.secrets
	return d
}

func (d *differ) redact(text string) string { return d.redactor.redact(d.hide(text)) }

// diff writes a line for each part of the value that changes.
func (d *differ) diff(path []segment, before, after side) {
	if unchanged(before, after) {
		return
	}
	switch oldKeys, newKeys := before.keys(), after.keys(); {
	case descends(len(oldKeys), len(newKeys), before, after):
		keys := slices.Concat(oldKeys, newKeys)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			d.diff(append(path, segment{name: key}), before.under(key), after.under(key))
		}
	case descends(before.length(), after.length(), before, after):
		for i := range max(before.length(), after.length()) {
			d.diff(append(path, segment{name: strconv.Itoa(i), index: true}), before.at(i), after.at(i))
		}
	default:
		d.leaf(path, before, after)
	}
}

// descends says that both sides can be gone into part by part: each has parts, or there is nothing on it.
func descends(parts, newParts int, before, after side) bool {
	return parts+newParts > 0 && (parts > 0 || before.absent()) && (newParts > 0 || after.absent())
}

func unchanged(before, after side) bool {
	return !marksAny(after.unknown) &&
		reflect.DeepEqual(before.value, after.value) &&
		reflect.DeepEqual(pruned(before.sensitive), pruned(after.sensitive))
}

func (d *differ) leaf(path []segment, before, after side) {
	name := d.pathText(path)
	switch {
	case before.absent() && after.absent():
		return
	case !marksAny(after.unknown) && reflect.DeepEqual(before.value, after.value):
		note := "  # becomes sensitive"
		if marksAny(before.sensitive) {
			note = "  # is no longer sensitive"
		}
		d.add(indent + "~ " + name + " = " + hiddenText + note)
	case d.multiline(path, before, after):
	case before.absent():
		d.add(indent + "+ " + name + " = " + d.show(after) + d.reason(path))
	case after.absent():
		d.add(indent + "- " + name + " = " + d.show(before) + d.reason(path))
	default:
		d.add(indent + "~ " + name + " = " + d.show(before) + " -> " + d.show(after) + d.reason(path))
	}
}

// reason marks a line that is part of what forces a replacement, or that holds it.
func (d *differ) reason(path []segment) string {
	for _, candidate := range d.replacePaths {
		steps, _ := candidate.([]any)
		if len(steps) > 0 && overlap(path, steps) {
			return "  # forces replacement"
		}
	}
	return ""
}

func overlap(path []segment, steps []any) bool {
	for i := range min(len(path), len(steps)) {
		if path[i].name != scalarName(steps[i]) {
			return false
		}
	}
	return true
}

func scalarName(step any) string {
	switch v := step.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// pathText is a path as the engine would write it. What is marked in a plan are values: hide alone knows of names.
func (r *renderer) pathText(path []segment) string {
	var b strings.Builder
	for i, s := range path {
		name := r.hide(s.name)
		switch {
		case s.index:
			b.WriteString("[" + s.name + "]")
		case !isWord(name):
			b.WriteString("[" + quoted(name) + "]")
		case i > 0:
			b.WriteString("." + name)
		default:
			b.WriteString(name)
		}
	}
	if b.Len() == 0 {
		return "(value)"
	}
	return b.String()
}

func isWord(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
