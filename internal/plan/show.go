package plan

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxValue bounds one value on a line, in bytes, so that one file does not push all other changes out of sight.
	maxValue = 4096
	// contextLines of a text are shown around lines that change.
	contextLines = 2
)

// show writes a value on one line.
func (d *differ) show(s side) string {
	switch {
	case s.unknown == true:
		return unknownText
	case s.value != nil && hides(s.hidden, s.value):
		return hiddenText
	}
	switch v := s.value.(type) {
	case nil:
		return "null"
	case string:
		return quoted(d.redact(v))
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return d.redact(v.String())
	case float64:
		return d.redact(strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		return d.showList(s, v)
	case map[string]any:
		return d.showMap(s, v)
	}
	return fmt.Sprintf("(a %T)", s.value)
}

func (d *differ) showList(s side, list []any) string {
	items := make([]string, 0, len(list))
	for i := range list {
		items = append(items, d.show(s.at(i)))
	}
	text := "[" + strings.Join(items, ", ") + "]"
	return shortened(text, text)
}

func (d *differ) showMap(s side, m map[string]any) string {
	items := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		items = append(items, d.pathText([]segment{{name: key}})+" = "+d.show(s.under(key)))
	}
	if len(items) == 0 {
		return "{}"
	}
	text := "{" + strings.Join(items, ", ") + "}"
	return shortened(text, text)
}

// multiline writes texts of several lines as the lines that change. It leaves all else to the caller.
func (d *differ) multiline(path []segment, before, after side) bool {
	old, okOld := d.textLines(before)
	now, okNow := d.textLines(after)
	if !okOld || !okNow || len(old) < 2 && len(now) < 2 || slices.Equal(old, now) {
		return false
	}
	sign := "~ "
	if before.absent() {
		sign = "+ "
	} else if after.absent() {
		sign = "- "
	}
	d.add(indent + sign + d.pathText(path) + " = text" + d.reason(path))
	head := common(old, now)
	tail := commonEnd(old[head:], now[head:])
	d.text("    ", old[max(0, head-contextLines):head])
	d.text("  - ", old[head:len(old)-tail])
	d.text("  + ", now[head:len(now)-tail])
	d.text("    ", old[len(old)-tail:len(old)-tail+min(tail, contextLines)])
	return true
}

func (d *differ) text(prefix string, lines []string) {
	for _, line := range lines {
		d.add(strings.TrimRight(indent+prefix+shortened(visible(line), line), " "))
	}
}

// textLines are the lines of a plain text, none for an absent one.
func (d *differ) textLines(s side) ([]string, bool) {
	if s.absent() {
		return nil, true
	}
	text, ok := s.value.(string)
	if !ok || marksAny(s.unknown) || hides(s.hidden, s.value) {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(d.redact(text), "\n"), "\n"), true
}

func common(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func commonEnd(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// quoted writes a text in quotes, with escapes for whatever a terminal would act on or not show.
func quoted(s string) string {
	return shortened(strconv.Quote(s), s)
}

// shortened cuts the written form of a long value. Size and hash tell two values apart that begin alike.
func shortened(written, value string) string {
	if len(written) <= maxValue {
		return written
	}
	return fmt.Sprintf("%s... (%d bytes, sha256 %.4x)", Truncate(written, maxValue), len(value), sha256.Sum256([]byte(value)))
}

// visible escapes what a terminal would act on or not show, such as control characters and changes of direction.
func visible(s string) string {
	if strings.IndexFunc(s, hiddenRune) < 0 {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var b strings.Builder
	for _, c := range s {
		if hiddenRune(c) {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func hiddenRune(c rune) bool {
	return c != '\t' && !strconv.IsPrint(c)
}
