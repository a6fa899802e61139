package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// shower is a test that shows a row.
type shower struct {
	test string
	file string
}

// scan finds the tests of each row: calls of compat.Shows in functions whose name begins with Test.
func scan(root string) (map[string][]shower, error) {
	found := map[string][]shower{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && skipped(entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return scanFile(path, filepath.ToSlash(name), found)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	return found, nil
}

func skipped(folder string) bool {
	return folder == "bin" || folder == "build" || folder == "testdata" || strings.HasPrefix(folder, ".")
}

func scanFile(path, name string, found map[string][]shower) error {
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte(`"`+compat.Path+`"`)) {
		return err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, text, 0)
	if err != nil {
		return err
	}
	for _, declaration := range parsed.Decls {
		function, isFunction := declaration.(*ast.FuncDecl)
		if !isFunction {
			continue
		}
		ids, err := shownBy(function)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, function.Name.Name, err)
		}
		for _, id := range ids {
			found[id] = append(found[id], shower{test: function.Name.Name, file: name})
		}
	}
	return nil
}

// shownBy are the rows that a function names, also within its subtests.
func shownBy(function *ast.FuncDecl) (ids []string, err error) {
	ast.Inspect(function, func(node ast.Node) bool {
		call, isCall := node.(*ast.CallExpr)
		if !isCall || !isShows(call.Fun) || err != nil {
			return true
		}
		if !strings.HasPrefix(function.Name.Name, "Test") {
			err = fmt.Errorf("compat.Shows belongs into the test itself")
			return false
		}
		for _, argument := range call.Args[1:] {
			id, bad := literal(argument)
			if bad != nil {
				err = bad
				return false
			}
			ids = append(ids, id)
		}
		return true
	})
	return ids, err
}

func isShows(function ast.Expr) bool {
	selector, ok := function.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "Shows" {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == "compat"
}

func literal(argument ast.Expr) (string, error) {
	value, ok := argument.(*ast.BasicLit)
	if !ok || value.Kind != token.STRING {
		return "", fmt.Errorf("the ids of compat.Shows have to be written out")
	}
	return strconv.Unquote(value.Value)
}
