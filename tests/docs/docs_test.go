// Package docs holds the documentation against the tree: a test that a page names as its witness is there, and a link
// leads somewhere.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const root = "../.."

var (
	testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9_]*)`")
	link     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
)

// walk calls visit with each file of the project that has that ending.
func walk(t *testing.T, ending string, visit func(path string, content []byte)) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "bin", "build", ".git":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ending) {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			visit(path, content)
		}
		return err
	})).To(Succeed())
}

func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	walk(t, "_test.go", func(path string, content []byte) {
		file, err := parser.ParseFile(token.NewFileSet(), path, content, parser.SkipObjectResolution)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil {
				found[f.Name.Name] = true
			}
		}
	})
	return found
}

func TestDocs_NameTestsThatThereAre(t *testing.T) {
	g := NewWithT(t)
	there, named := tests(t), 0
	walk(t, ".md", func(path string, content []byte) {
		for _, name := range testName.FindAllStringSubmatch(string(content), -1) {
			named++
			g.Expect(there).To(HaveKey(name[1]), "%s names a test that there is not", path)
		}
	})
	g.Expect(named).To(BeNumerically(">", 20), "the pages were found")
}

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	g := NewWithT(t)
	links := 0
	walk(t, ".md", func(path string, content []byte) {
		for _, found := range link.FindAllStringSubmatch(string(content), -1) {
			if strings.Contains(found[1], "://") || strings.HasPrefix(found[1], "mailto:") {
				continue
			}
			links++
			_, err := os.Stat(filepath.Join(filepath.Dir(path), found[1]))
			g.Expect(err).NotTo(HaveOccurred(), "%s", path)
		}
	})
	g.Expect(links).To(BeNumerically(">", 5))
}
