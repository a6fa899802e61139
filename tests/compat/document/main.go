// Command document writes docs/compatibility.md: the rows of tests/compat with the tests that show them.
package main

import (
	"fmt"
	"os"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage, in the repository's root: document FILE")
		os.Exit(2)
	}
	if err := write(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(root, file string) error {
	groups, err := compat.Groups()
	if err != nil {
		return err
	}
	found, err := scan(root)
	if err != nil {
		return err
	}
	if err := check(groups, found); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(render(groups, found)), 0o644); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	return nil
}
