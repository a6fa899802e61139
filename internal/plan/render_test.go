package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
)

var update = flag.Bool("update", false, "write the golden files anew")

// planNames are the plans of testdata/plans; see the README there.
var planNames = []string{
	"create", "change", "unchanged", "tainted", "destroy", "outputs", "create_first", "deposed",
}

func readPlan(t testing.TB, name string) *tfjson.Plan {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "plans", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRender_Golden(t *testing.T) {
	for _, name := range planNames {
		t.Run(name, func(t *testing.T) {
			got, truncated := Render(readPlan(t, name), asIs, 1<<20)
			if truncated {
				t.Error("a small plan was truncated")
			}
			for _, secret := range []string{"hunter2", "123456", "654321", "carol"} {
				if strings.Contains(got, secret) {
					t.Errorf("%s is shown", secret)
				}
			}
			checkGolden(t, name, got)
		})
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func asIs(text string) string { return text }

// attributesOf renders one update and returns the lines of its attributes.
func attributesOf(t *testing.T, change string) string {
	t.Helper()
	p, err := Decode([]byte(`{"format_version":"1.2","resource_changes":[{"address":"a.b","change":` + change + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := Render(p, asIs, 1<<20)
	_, block, _ := strings.Cut(text, "\n")
	block, _, _ = strings.Cut(block, "\n\nPlan:")
	return block
}

func TestRender_Attributes(t *testing.T) {
	cases := map[string]struct{ reason, change, want string }{
		"hidden before only": {
			"A value that stops being sensitive is not shown for that.",
			`{"actions":["update"],"before":{"a":"x-1"},"after":{"a":"x-2"},"before_sensitive":{"a":true}}`,
			"    ~ a = (sensitive value) -> (sensitive value)",
		},
		"hidden after only": {
			"Nor is what becomes sensitive.",
			`{"actions":["update"],"before":{"a":"x-1"},"after":{"a":"x-2"},"after_sensitive":{"a":true}}`,
			"    ~ a = (sensitive value) -> (sensitive value)",
		},
		"becomes sensitive": {
			"The value is the same, and still something changes.",
			`{"actions":["update"],"before":{"a":["x"]},"after":{"a":["x"]},"after_sensitive":{"a":[true]}}`,
			"    ~ a[0] = (sensitive value)  # becomes sensitive",
		},
		"no longer sensitive": {
			"A reviewer has to know.",
			`{"actions":["update"],"before":{"a":"x"},"after":{"a":"x"},"before_sensitive":{"a":true}}`,
			"    ~ a = (sensitive value)  # is no longer sensitive",
		},
		"hidden as a whole": {
			"One mark for all.",
			`{"actions":["create"],"after":{"a":{"b":["x"]}},"after_sensitive":true}`,
			"    + (value) = (sensitive value)",
		},
		"hidden deep in a compact value": {
			"A value that becomes unknown is written on one line.",
			`{"actions":["update"],"before":{"a":{"b":["x",{"c d":"y"}]}},"before_sensitive":{"a":{"b":[true]}},"after_unknown":{"a":true},"after":{}}`,
			`    ~ a = {b = [(sensitive value), {["c d"] = "y"}]} -> (known after apply)`,
		},
		"marks of another shape": {
			"Rather too much is hidden than too little.",
			`{"actions":["create"],"after":{"a":["x"]},"after_sensitive":{"a":{"k":true}}}`,
			"    + a = (sensitive value)",
		},
		"echo": {
			"Providers repeat a value where it is not marked.",
			`{"actions":["create"],"after":{"a":"pass1","b":"user:pass1@host","c":["cGFzczE="]},"after_sensitive":{"a":true}}`,
			"    + a = (sensitive value)\n    + b = \"user:***@host\"\n    + c[0] = \"***\"",
		},
		"echo in a text": {
			"The same, on one of several lines.",
			`{"actions":["create"],"after":{"a":"pass1","b":"x\ny: pass1\n"},"after_sensitive":{"a":true}}`,
			"    + a = (sensitive value)\n    + b = text\n      + x\n      + y: ***",
		},
		"replace path into a list": {
			"The element is named, its siblings are not.",
			`{"actions":["delete","create"],"before":{"a":[1,2]},"after":{"a":[3,4]},"replace_paths":[["a",1]]}`,
			"    ~ a[0] = 1 -> 3\n    ~ a[1] = 2 -> 4  # forces replacement",
		},
		"replace path above": {
			"All of the block forces it.",
			`{"actions":["delete","create"],"before":{"a":{"b":1}},"after":{"a":{"b":2}},"replace_paths":[["a"]]}`,
			"    ~ a.b = 1 -> 2  # forces replacement",
		},
		"other type": {
			"An object that becomes a list.",
			`{"actions":["update"],"before":{"a":{"b":1}},"after":{"a":[true,null]}}`,
			"    ~ a = {b = 1} -> [true, null]",
		},
		"keys": {
			"What is no word is quoted, with nothing that a terminal would act on.",
			"{\"actions\":[\"create\"],\"after\":{\"a\":{\"x/y\":1,\"\\u001b[2J\":2,\"\":3}}}",
			"    + a[\"\"] = 3\n    + a[\"\\x1b[2J\"] = 2\n    + a[\"x/y\"] = 1",
		},
		"text": {
			"Only the lines that change, and two around them.",
			`{"actions":["update"],"before":{"a":"1\n2\n3\n4\n5\n6\n7\n"},"after":{"a":"1\n2\n3\nx\u202e\n5\n6\n7\n"}}`,
			"    ~ a = text\n        2\n        3\n      - 4\n      + x\\u202e\n        5\n        6",
		},
		"last newline": {
			"The lines are the same, the texts are not.",
			`{"actions":["update"],"before":{"a":"1\n2\n"},"after":{"a":"1\n2"}}`,
			`    ~ a = "1\n2\n" -> "1\n2"`,
		},
		"removed": {
			"A value that goes.",
			`{"actions":["update"],"before":{"a":"x","b":1},"after":{"a":null,"b":1}}`,
			`    - a = "x"`,
		},
		"emptied": {
			"An empty object is not none.",
			`{"actions":["update"],"before":{"a":{"b":1}},"after":{"a":{}}}`,
			`    ~ a = {b = 1} -> {}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, attributesOf(t, tc.change)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRender_LongValuesDiffer(t *testing.T) {
	long := strings.Repeat("é", maxValue)
	got := attributesOf(t, `{"actions":["update"],"before":{"a":"`+long+`1"},"after":{"a":"`+long+`2"}}`)
	before, after, _ := strings.Cut(got, " -> ")
	if len(got) > 3*maxValue || strings.HasSuffix(before, after) || !strings.Contains(got, "... (8193 bytes, sha256 ") {
		t.Errorf("two long values look like this: %.50s ... %s -> ... %s", got, before[len(before)-40:], after[len(after)-40:])
	}
}

func TestRender_Invocations(t *testing.T) {
	p, err := Decode([]byte(onePlan))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := Render(p, asIs, 1<<20)
	checkGolden(t, "kinds", got)
}

func TestRender_KeepsToItsLimit(t *testing.T) {
	p := readPlan(t, "change")
	whole, _ := Render(p, asIs, 1<<20)
	for limit := -1; limit <= len(whole)+1; limit++ {
		got, truncated := Render(p, asIs, limit)
		if len(got) > max(limit, 0) || !utf8.ValidString(got) {
			t.Fatalf("limit %d: %d bytes, valid UTF-8: %v", limit, len(got), utf8.ValidString(got))
		}
		if truncated != (limit < len(whole)) {
			t.Fatalf("limit %d of %d: truncated = %v", limit, len(whole), truncated)
		}
		if limit > 200 && truncated {
			checkCut(t, whole, got)
		}
	}
}

// checkCut wants whole lines of the text, and one that says how many are missing.
func checkCut(t *testing.T, whole, got string) {
	t.Helper()
	i := strings.LastIndex(got, "... ")
	if i < 0 || !strings.HasPrefix(whole, got[:i]) || i > 0 && got[i-1] != '\n' {
		t.Fatalf("not cut between lines: %q", got)
	}
	if !strings.HasSuffix(got, "to move.\n") || !strings.Contains(got[i:], "left out") {
		t.Fatalf("the last line says %q", got[i:])
	}
}

func TestRender_HidesBeforeItCuts(t *testing.T) {
	const secret = "correct-horse-battery"
	padding := strings.Repeat("x", maxValue-12)
	cases := map[string]struct{ reason, change string }{
		"value": {"Half of a secret is not known as one.", `"after":{"a":"` + padding + secret + `"}`},
		"list":  {"Nor is it in a list.", `"after":{"a":["` + padding + secret + `"]}`},
		"line":  {"Nor in a line of a text.", `"after":{"a":"one\n` + padding + secret + `\nthree"}`},
		"key":   {"Nor in a key.", `"before":{"a":1},"after":{"a":{"` + padding + secret + `":"b"}}`},
		"name":  {"Nor in the name of what changes.", `"after":{"a":{"/` + padding + secret + `":"b"}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := Decode([]byte(`{"format_version":"1.2","resource_changes":[{"address":"a.b","change":{"actions":["update"],` + tc.change + `}}]}`))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := Render(p, hiding(secret), 1<<20)
			if strings.Contains(got, secret[:5]) || !strings.Contains(got, mask) {
				t.Errorf("%s got %q", tc.reason, got[max(0, len(got)-200):])
			}
		})
	}
}

func TestRender_NoPlan(t *testing.T) {
	if text, truncated := Render(nil, asIs, 100); text != "" || truncated {
		t.Errorf("no plan gives %q", text)
	}
}

func TestSecrets(t *testing.T) {
	cases := map[string]struct {
		reason, plan string
		want         []string
	}{
		"variables": {"The author says that they are secret, short ones too.", "create", []string{"123456", "carol", "hunter2-secret"}},
		"outputs":   {"Outputs alone hold no secrets of their own.", "outputs", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Secrets(readPlan(t, tc.plan))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
	p, err := Decode([]byte(`{"format_version":"1.2","resource_changes":[{"address":"a.b","change":{"actions":["create"],
		"after":{"data":{"mode":"true","key":"0123456789"}},"after_sensitive":{"data":true}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0123456789"}, Secrets(p)); diff != "" {
		t.Errorf("a short value that a provider marks would blot out the plan (-want +got):\n%s", diff)
	}
	if Secrets(nil) != nil {
		t.Error("no plan holds secrets")
	}
}

func FuzzRender(f *testing.F) {
	f.Add(`{"actions":["update"],"before":{"a":[1]},"after":{"a":{"b":"c\nd"}},"after_sensitive":{"a":[true]},"after_unknown":{"z":true}}`, 200)
	f.Add(`{"actions":["delete","create"],"replace_paths":[["a",0],7,null]}`, 0)
	f.Fuzz(func(t *testing.T, change string, limit int) {
		p, err := Decode([]byte(`{"format_version":"1.2","resource_changes":[{"address":"a.b","change":` + change + `}]}`))
		if err != nil {
			return
		}
		text, truncated := Render(p, asIs, limit)
		if len(text) > max(limit, 0) || !utf8.ValidString(text) {
			t.Errorf("limit %d, truncated %v: %q", limit, truncated, text)
		}
		if c, err := FromJSON(p, testKey, here); err == nil && !c.Empty() && c.Content() == (&Changes{}).Content() {
			t.Error("a change has no content")
		}
	})
}
