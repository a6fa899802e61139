package plan

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzDecode: whatever "show -json" prints, nothing of it panics, and what can't be understood is no plan without changes.
func FuzzDecode(f *testing.F) {
	plans, err := filepath.Glob("testdata/plans/*.json")
	if err != nil || len(plans) == 0 {
		f.Fatal("no plans in testdata", err)
	}
	for _, name := range plans {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, text := range []string{
		"", "null", "{}", `{"format_version":"1.2"}`, `{"format_version":"1.2","resource_changes":[null]}`, `{"format_version":"1.2","resource_changes":[{"address":"a.b"}]}`,
		`{"format_version":"1.2","output_changes":{"a":null}}`, `{"format_version":"1.2","variables":{"a":null},"configuration":{"root_module":{"variables":{"a":{"sensitive":true}}}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Decode(text)
		if err != nil {
			return
		}
		rendered, _ := Render(p, asIs, 1<<16)
		if len(rendered) > 1<<16 || !utf8.ValidString(rendered) {
			t.Errorf("rendered as %d bytes", len(rendered))
		}
		_ = Redact(rendered, Secrets(p))
		changes, err := FromJSON(p, testKey, here)
		if err != nil {
			return
		}
		_ = changes.Summary().String() + changes.Summary().Human()
		if digests := changes.Digests(); (len(digests) == 0) != changes.Empty() {
			t.Errorf("%d changes have %d digests", len(changes.Entries), len(digests))
		}
	})
}
