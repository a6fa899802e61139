package plan

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

// digestVersion is part of every digest. A new version of the encoding gets a new one, so that digests of two
// encodings never meet; an approval given under the old one has to be given again.
const digestVersion = "terraform-controller plan change v1"

var errFloat = errors.New("plan was decoded without json.Number")

// Digests are the digests of the changes, sorted, each once.
func (c *Changes) Digests() []string {
	digests := make([]string, 0, len(c.Entries))
	for _, e := range c.Entries {
		digests = append(digests, e.Digest)
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}

// Content stands for all the changes together, and what they rest on: hex SHA-256 over their digests, sorted, each once. Two
// plans of one object with the same content do the same.
func (c *Changes) Content() string {
	digests := c.Digests()
	for _, part := range c.Ground {
		digests = append(digests, part.Digest)
	}
	return contentOf(digests)
}

func contentOf(digests []string) string {
	digests = slices.Sorted(slices.Values(digests))
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(digests), "\n")))
	return hex.EncodeToString(sum[:])
}

func changeDigest(c Change, ch *tfjson.Change, key []byte) (string, error) {
	fields := []field{
		{name: "kind", value: string(c.Kind)},
		{name: "address", value: c.Address},
		{name: "deposed", value: c.DeposedKey},
		{name: "previous", value: c.PreviousAddress},
		{name: "actions", value: texts(c.Actions)},
		{name: "replace", value: texts(c.ReplacePaths)},
		{name: "import", value: importFacts(ch.Importing)},
		{name: "after", value: ch.After, marks: ch.AfterSensitive},
		{name: "unknown", value: pruned(ch.AfterUnknown)},
	}
	if verbOf(c.Actions).endsObject() {
		fields = append(fields, field{name: "before", value: ch.Before, marks: ch.BeforeSensitive})
	}
	return digest(fields, key)
}

func invocationDigest(inv *tfjson.ActionInvocation, key []byte) (string, error) {
	fields := []field{
		{name: "kind", value: string(KindInvocation)},
		{name: "address", value: inv.Address},
		{name: "config", value: inv.ConfigValues, marks: inv.ConfigSensitive},
		{name: "unknown", value: pruned(inv.ConfigUnknown)},
	}
	if t := inv.LifecycleActionTrigger; t != nil {
		fields = append(fields,
			field{name: "resource", value: t.TriggeringResourceAddress},
			field{name: "event", value: t.ActionTriggerEvent},
			field{name: "place", value: fmt.Sprintf("%d.%d", t.ActionTriggerBlockIndex, t.ActionsListIndex)})
	}
	return digest(fields, key)
}

type field struct {
	name  string
	value any
	// marks say which parts of value are sensitive, in the engine's form.
	marks any
}

func digest(fields []field, key []byte) (string, error) {
	var b bytes.Buffer
	b.WriteString(digestVersion)
	for _, f := range fields {
		b.WriteString("\n" + f.name + " ")
		if err := canonical(&b, f.value, f.marks); err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(b.Bytes())
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func importFacts(imp *tfjson.Importing) any {
	if imp == nil {
		return nil
	}
	return map[string]any{"id": imp.ID, "identity": imp.Identity, "unknown": imp.Unknown}
}

func texts[T ~string](list []T) []any {
	values := make([]any, 0, len(list))
	for _, s := range list {
		values = append(values, string(s))
	}
	return values
}

// canonical writes a value as JSON with sorted keys and numbers as given. A sensitive value has a "!" in front, which
// is no JSON, so that a value which stops being sensitive is another change.
func canonical(b *bytes.Buffer, value, marks any) error {
	if value != nil && hides(marks, value) {
		b.WriteByte('!')
		marks = nil
	}
	switch v := value.(type) {
	case json.Number:
		b.WriteString(v.String())
	case float64:
		return errFloat
	case []any:
		return canonicalList(b, v, marks)
	case map[string]any:
		return canonicalMap(b, v, marks)
	case nil, bool, string:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode %T: %w", v, err)
		}
		b.Write(text)
	default:
		return fmt.Errorf("plan holds a %T", v)
	}
	return nil
}

func canonicalList(b *bytes.Buffer, list []any, marks any) error {
	b.WriteByte('[')
	for i, item := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := canonical(b, item, at(marks, i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func canonicalMap(b *bytes.Buffer, m map[string]any, marks any) error {
	b.WriteByte('{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := canonical(b, key, nil); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := canonical(b, m[key], under(marks, key)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
