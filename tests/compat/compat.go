// Package compat has the list of what users of tofu-controller rely on, and lets a test say which rows of it it shows.
// docs/compatibility.md is made of both.
package compat

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

// Path is what test files import.
const Path = "github.com/terraform-controller/terraform-controller/tests/compat"

// Verdict is how a row compares with tofu-controller.
type Verdict string

const (
	// Same: it is as it was.
	Same Verdict = "same"
	// Fixed: it was wrong, and is as one would expect.
	Fixed Verdict = "fixed"
	// Added: there was nothing like it.
	Added Verdict = "added"
	// Missing: it is not there, or does not apply; the row says why.
	Missing Verdict = "not"
)

// Row is one thing to rely on.
type Row struct {
	ID      string  `json:"id"`
	Verdict Verdict `json:"is"`
	// Why is what a reader has to know: what it means, or what differs.
	Why string `json:"why"`
}

// Group is a chapter of rows.
type Group struct {
	Title string `json:"title"`
	About string `json:"about,omitempty"`
	Rows  []Row  `json:"rows"`
}

//go:embed rows/*.yaml
var files embed.FS

// Groups are all rows, in the order of the files' names. They are checked: no row is there twice, each has a verdict and a
// reason.
func Groups() ([]Group, error) {
	names, err := fs.Glob(files, "rows/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the rows: %w", err)
	}
	var groups []Group
	known := map[string]bool{}
	for _, name := range names {
		group, err := read(name, known)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func read(name string, known map[string]bool) (Group, error) {
	var group Group
	text, err := files.ReadFile(name)
	if err != nil {
		return group, err
	}
	if err := yaml.UnmarshalStrict(text, &group); err != nil {
		return group, err
	}
	for _, row := range group.Rows {
		if err := row.check(); err != nil {
			return group, err
		}
		if known[row.ID] {
			return group, fmt.Errorf("row %q is there twice", row.ID)
		}
		known[row.ID] = true
	}
	return group, nil
}

func (r Row) check() error {
	switch r.Verdict {
	case Same, Fixed, Added, Missing:
	default:
		return fmt.Errorf("row %q: %q is none of same, fixed, added, not", r.ID, r.Verdict)
	}
	if r.ID == "" || r.Why == "" {
		return fmt.Errorf("row %q needs an id and a why", r.ID)
	}
	return nil
}

var known = sync.OnceValues(func() (map[string]bool, error) {
	groups, err := Groups()
	ids := map[string]bool{}
	for _, group := range groups {
		for _, row := range group.Rows {
			ids[row.ID] = true
		}
	}
	return ids, err
})

// Shows says that this test shows these rows: it fails when the behaviour is not there. The ids have to be written out, for
// the document is made by reading the source; an unknown id fails the test.
func Shows(t testing.TB, ids ...string) {
	t.Helper()
	rows, err := known()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !rows[id] {
			t.Fatalf("tests/compat/rows has no row %q", id)
		}
	}
}
