package runner

import (
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
)

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExtras_TravelFromPlanToApply(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	write(t, root, map[string]string{"main.tf": "a", "old.zip": "old", "m/main.tf": "b"})
	before, err := snapshot(root)
	g.Expect(err).NotTo(HaveOccurred())
	packed, err := packNew(root, before)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(packed).To(BeNil(), "most plans make nothing")

	write(t, root, map[string]string{
		"m/out/fn.zip": "zip", "old.zip": "newer", "m/.terraform/providers/x": "no", ".terraform/y": "no",
		"m/tfplan": "no", "m/.terraform.lock.hcl": "no",
	})
	g.Expect(os.Symlink("/etc/passwd", filepath.Join(root, "link"))).To(Succeed())
	packed, err = packNew(root, before)
	g.Expect(err).NotTo(HaveOccurred())

	other := t.TempDir()
	write(t, other, map[string]string{"main.tf": "a", "old.zip": "old", "m/main.tf": "b"})
	g.Expect(unpack(other, packed)).To(Succeed())
	found, err := snapshot(other)
	g.Expect(err).NotTo(HaveOccurred())
	names := slices.Sorted(maps.Keys(found))
	for i := range names {
		names[i], _ = filepath.Rel(other, names[i])
	}
	g.Expect(names).To(Equal([]string{"m/main.tf", "m/out/fn.zip", "main.tf", "old.zip"}))
	content, err := os.ReadFile(filepath.Join(other, "old.zip"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).To(Equal("newer"))
}

func TestExtras_HaveALimit(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	noise := make([]byte, maxExtras+1)
	_, err := rand.Read(noise)
	g.Expect(err).NotTo(HaveOccurred())
	write(t, root, map[string]string{"big": string(noise)})
	_, err = packNew(root, files{})
	g.Expect(err).To(MatchError(errExtrasTooLarge))
	g.Expect(unpack(root, nil)).To(Succeed(), "most plans have none")
	g.Expect(unpack(root, []byte("no archive"))).NotTo(Succeed())
}
