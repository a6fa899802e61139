package runner

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestContents(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	names := []string{"main.tf", "f\xfcr/main.tf", "f\xf6r/main.tf", "run.sh"}
	for _, name := range names {
		path := filepath.Join(folder, name)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(path, []byte("a"), 0o600)).To(Succeed())
	}
	g.Expect(os.Symlink("/etc/passwd", filepath.Join(folder, "link"))).To(Succeed())

	was, err := contents(folder)
	g.Expect(err).NotTo(HaveOccurred(), "names need not be UTF-8")
	g.Expect(was).To(HaveLen(len(names)))
	for _, name := range names {
		g.Expect(was[name]).To(HavePrefix("ca978112"), "SHA-256 of a: %q", name)
	}
	g.Expect(os.Chmod(filepath.Join(folder, "run.sh"), 0o700)).To(Succeed())
	is, err := contents(folder)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(is["run.sh"]).NotTo(Equal(was["run.sh"]), "what can be executed now may be executed")
}
