package main

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const introduction = `<!-- Written by "make generate" from tests/compat/rows and the tests that name them. Do not edit. -->
# Compatibility with tofu-controller

What users of tofu-controller 0.16.5 rely on, row by row. Each row is shown by tests, which ` + "`make test`" + ` runs: a row
whose behaviour is lost fails there, and a row without a test fails ` + "`make verify`" + `.

| | |
|---|---|
| same | as it was |
| fixed | it was wrong, or not as documented; it is as one would expect |
| added | there was nothing like it |
| not | it is not there, or does not apply, and why |

`

// inWork begins the reason of a row that somebody is building: with a test for it the row has to get its verdict.
const inWork = "In work"

// check says what keeps the document from being true.
func check(groups []compat.Group, found map[string][]shower) error {
	var problems []error
	known := map[string]bool{}
	for _, group := range groups {
		for _, row := range group.Rows {
			known[row.ID] = true
			shown := len(found[row.ID]) > 0
			if strings.HasPrefix(row.Why, inWork) && shown {
				problems = append(problems, fmt.Errorf("row %q is in work, but %s shows it", row.ID, found[row.ID][0].test))
			}
			if row.Verdict != compat.Missing && !shown {
				problems = append(problems, fmt.Errorf("row %q is %q, but no test shows it", row.ID, row.Verdict))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if !known[id] {
			problems = append(problems, fmt.Errorf("%s (%s) shows %q, which is no row", found[id][0].test, found[id][0].file, id))
		}
	}
	return errors.Join(problems...)
}

func render(groups []compat.Group, found map[string][]shower) string {
	var text strings.Builder
	text.WriteString(introduction)
	text.WriteString(counts(groups))
	for _, group := range groups {
		fmt.Fprintf(&text, "\n## %s\n\n", group.Title)
		if group.About != "" {
			fmt.Fprintf(&text, "%s\n\n", strings.TrimSpace(group.About))
		}
		text.WriteString("| what | is | how it is here | shown by |\n|---|---|---|---|\n")
		for _, row := range group.Rows {
			fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", name(row.ID), row.Verdict, cell(row.Why), links(found[row.ID]))
		}
	}
	return text.String()
}

func counts(groups []compat.Group) string {
	count := map[compat.Verdict]int{}
	rows := 0
	for _, group := range groups {
		for _, row := range group.Rows {
			count[row.Verdict]++
			rows++
		}
	}
	return fmt.Sprintf("%d rows: %d same, %d fixed, %d added, %d not.\n",
		rows, count[compat.Same], count[compat.Fixed], count[compat.Added], count[compat.Missing])
}

// name is an id as it stands in a table.
func name(id string) string {
	return "`" + strings.ReplaceAll(id, "|", `\|`) + "`"
}

func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

func links(showers []shower) string {
	var all []string
	for _, by := range showers {
		all = append(all, fmt.Sprintf("[%s](%s)", by.test, path.Join("..", by.file)))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
