package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const head = `package x

import "` + compat.Path + `"

`

func TestScan_FindsTheTestsOfARow(t *testing.T) {
	for _, tc := range []struct {
		name, source, why string
		want              map[string][]shower
		err               string
	}{
		{
			name: "in a test", source: head + `func TestA(t *testing.T) { compat.Shows(t, "a", "b") }`,
			want: map[string][]shower{"a": {{"TestA", "x/x_test.go"}}, "b": {{"TestA", "x/x_test.go"}}},
			why:  "the plain case",
		},
		{
			name: "in a subtest", source: head + `func TestA(t *testing.T) { t.Run("s", func(t *testing.T) { compat.Shows(t, "a") }) }`,
			want: map[string][]shower{"a": {{"TestA", "x/x_test.go"}}},
			why:  "a subtest is found under the name that go test -run takes",
		},
		{
			name: "in a helper", source: head + `func helper(t *testing.T) { compat.Shows(t, "a") }`,
			err: "helper: compat.Shows belongs into the test itself", why: "nobody knows which tests call a helper",
		},
		{
			name: "a variable", source: head + `func TestA(t *testing.T) { compat.Shows(t, id) }`,
			err: "TestA: the ids of compat.Shows have to be written out", why: "the source is read, not run",
		},
		{name: "another package", source: `package x; func TestA(t *testing.T) { compat.Shows(t, "a") }`, want: map[string][]shower{}, why: "not ours"},
		{name: "no Go", source: head + `func {`, err: "expected 'IDENT'", why: "a file that can't be read may hide a row"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			root := t.TempDir()
			for _, folder := range []string{"x", "x/testdata", "build"} {
				g.Expect(os.MkdirAll(filepath.Join(root, folder), 0o755)).To(Succeed())
				file := filepath.Join(root, folder, "x_test.go")
				g.Expect(os.WriteFile(file, []byte(tc.source), 0o644)).To(Succeed())
			}
			found, err := scan(root)
			if tc.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(tc.err)), tc.why)
				return
			}
			g.Expect(err).NotTo(HaveOccurred(), tc.why)
			g.Expect(found).To(Equal(tc.want), tc.why)
		})
	}
}

func TestCheck_NamesEveryRowThatIsNotTrue(t *testing.T) {
	g := NewWithT(t)
	groups := []compat.Group{{Rows: []compat.Row{
		{ID: "shown", Verdict: compat.Same}, {ID: "bare", Verdict: compat.Fixed}, {ID: "absent", Verdict: compat.Missing}, {ID: "told", Verdict: compat.Missing},
		{ID: "done", Verdict: compat.Missing, Why: "In work: soon."},
	}}}
	by := []shower{{"TestA", "a_test.go"}}
	err := check(groups, map[string][]shower{"shown": by, "told": by, "done": by, "mistyped": by})
	g.Expect(err).To(MatchError(`row "bare" is "fixed", but no test shows it
row "done" is in work, but TestA shows it
TestA (a_test.go) shows "mistyped", which is no row`))
	g.Expect(check(groups[:1], map[string][]shower{"shown": by, "bare": by})).To(Succeed())
}

func TestRender_LinksTheTests(t *testing.T) {
	g := NewWithT(t)
	groups := []compat.Group{{Title: "Spec", About: "All of it.", Rows: []compat.Row{{ID: "a", Verdict: compat.Same, Why: "one | two\nthree"}}}}
	by := []shower{{"TestB", "x/b_test.go"}, {"TestA", "x/a_test.go"}, {"TestB", "x/b_test.go"}}
	text := render(groups, map[string][]shower{"a": by})
	g.Expect(text).To(HaveSuffix("1 rows: 1 same, 0 fixed, 0 added, 0 not.\n\n## Spec\n\nAll of it.\n\n" +
		"| what | is | how it is here | shown by |\n|---|---|---|---|\n" +
		"| `a` | same | one \\| two three | [TestA](../x/a_test.go), [TestB](../x/b_test.go) |\n"))
}
