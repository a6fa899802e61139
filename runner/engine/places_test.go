package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestNewRequest(t *testing.T) {
	for _, tc := range []struct {
		why        string
		spec       *v1alpha2.EngineSpec
		want, fail string
		allows     []string
		refuses    []string
	}{
		{why: "nothing asked for: what the image has", allows: []string{"1.12.6", "1.5.7", "1.13.0-beta1"}, refuses: []string{"1.4.6"}, want: " >= 1.5.0"},
		{why: "the default name is tofu", spec: &v1alpha2.EngineSpec{}, want: "tofu >= 1.5.0", allows: []string{"1.12.6"}, refuses: []string{"1.4.6"}},
		{
			why: "an exact version is that one", spec: &v1alpha2.EngineSpec{Name: "terraform", Version: "1.5.7"},
			want: "terraform 1.5.7", allows: []string{"1.5.7"}, refuses: []string{"1.5.6", "1.5.7-rc1", "1.6.0"},
		},
		{
			why: "a pre-release can be named", spec: &v1alpha2.EngineSpec{Version: "1.13.0-beta1"},
			want: "tofu 1.13.0-beta1", allows: []string{"1.13.0-beta1"}, refuses: []string{"1.13.0"},
		},
		{
			why: "two digits are no version but a rule, which is exact, too", spec: &v1alpha2.EngineSpec{Version: "1.12"},
			want: "tofu 1.12", allows: []string{"1.12.0"}, refuses: []string{"1.12.6", "1.13.0"},
		},
		{
			why: "a constraint takes no pre-release", spec: &v1alpha2.EngineSpec{Name: "terraform", Version: "~> 1.5"},
			want: "terraform ~> 1.5", allows: []string{"1.5.7", "1.13.3"}, refuses: []string{"1.4.0", "2.0.0", "1.14.0-rc1"},
		},
		{
			why: "several rules hold together", spec: &v1alpha2.EngineSpec{Version: ">= 1.10, < 1.12"},
			want: "tofu >= 1.10, < 1.12", allows: []string{"1.11.5"}, refuses: []string{"1.12.6"},
		},
		{
			why: "what can't be driven is refused at once", spec: &v1alpha2.EngineSpec{Name: "terraform", Version: "0.13.7"},
			fail: "spec.engine.version: terraform 0.13.7 can't be driven by this controller, >= 1.5.0 can",
		},
		{
			why: "nonsense is named", spec: &v1alpha2.EngineSpec{Version: "latest"},
			fail: `spec.engine.version: "latest" is neither a version, like 1.12.6, nor a constraint, like ~> 1.12.0`,
		},
	} {
		t.Run(tc.why, func(t *testing.T) {
			g := NewWithT(t)
			got, err := NewRequest(tc.spec)
			if tc.fail != "" {
				g.Expect(err).To(MatchError(tc.fail))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.String()).To(Equal(tc.want))
			for _, text := range tc.allows {
				g.Expect(got.allows(parsed(t, text))).To(BeTrue(), text)
			}
			for _, text := range tc.refuses {
				g.Expect(got.allows(parsed(t, text))).To(BeFalse(), text)
			}
		})
	}
}

// putEngine puts a program into a folder that says that it is of that version, and writes down that it was asked.
func putEngine(t *testing.T, path, version string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(saying(version)), 0o700); err != nil {
		t.Fatal(err)
	}
}

func saying(version string) string {
	return fmt.Sprintf("#!/bin/sh\nenv >/dev/null; echo >> \"$0\".asked; echo '{\"terraform_version\":\"%s\"}'\n", version)
}

func TestPlaces_FindWhatIsWanted(t *testing.T) {
	type at map[string]string
	for _, tc := range []struct {
		why     string
		path    at
		folder  at
		cache   at
		want    v1alpha2.EngineSpec
		found   string
		version string
		says    string
		asked   []string
	}{
		{
			why: "the one of the image is taken when it will do, and nothing else is asked", path: at{"tofu": "1.12.6"},
			folder: at{"tofu_1.12.7/tofu": "1.12.7"}, want: v1alpha2.EngineSpec{Version: "~> 1.12.0"},
			found: "path/tofu", version: "1.12.6", asked: []string{"path/tofu"},
		},
		{
			why: "else one of the folder, the newest that will do; a folder that is named otherwise is not asked", path: at{"tofu": "1.12.6"},
			folder: at{"tofu_1.11.4/tofu": "1.11.4", "tofu_1.11.10/tofu": "1.11.10", "tofu_1.10.0/tofu": "1.10.0", "terraform_1.11.12/terraform": "1.11.12"},
			want:   v1alpha2.EngineSpec{Version: "~> 1.11.0"},
			found:  "folder/tofu_1.11.10/tofu", version: "1.11.10", asked: []string{"path/tofu", "folder/tofu_1.11.10/tofu"},
		},
		{
			why: "a plain binary in the folder is found, too", path: at{"tofu": "1.12.6"}, folder: at{"terraform": "1.5.7"},
			want: v1alpha2.EngineSpec{Name: "terraform"}, found: "folder/terraform", version: "1.5.7",
		},
		{
			why: "what was installed before is found", path: at{"tofu": "1.12.6"}, cache: at{"terraform_1.5.7/terraform": "1.5.7"},
			want: v1alpha2.EngineSpec{Name: "terraform", Version: "1.5.7"}, found: "cache/terraform_1.5.7/terraform", version: "1.5.7",
		},
		{
			why: "what it says counts, not what its folder is called", folder: at{"tofu_1.11.4/tofu": "1.12.0"},
			want: v1alpha2.EngineSpec{Version: "1.11.4"},
			says: "spec.engine: no tofu 1.11.4 was found, and downloads are not allowed here; there is tofu 1.12.0 (ROOT/folder/tofu_1.11.4/tofu). " +
				"Ask for one of those, use an image that has it on its PATH, or mount it as <name>_<version>/<name> below the folder that ENGINES_DIR names (ROOT/folder)",
		},
		{
			why: "all that there is is told", path: at{"tofu": "1.12.6"}, folder: at{"terraform_1.5.7/terraform": "1.5.7"},
			want: v1alpha2.EngineSpec{Name: "terraform", Version: ">= 1.9"},
			says: "no terraform >= 1.9 was found, and downloads are not allowed here; there is terraform 1.5.7 (ROOT/folder/terraform_1.5.7/terraform). Ask",
		},
		{
			why: "a broken one is none", path: at{"tofu": ""}, want: v1alpha2.EngineSpec{},
			says: "no tofu >= 1.5.0 was found, and downloads are not allowed here; there is no engine at all. Ask",
		},
	} {
		t.Run(tc.why, func(t *testing.T) {
			g := NewWithT(t)
			root := t.TempDir()
			for dir, engines := range map[string]at{"path": tc.path, "folder": tc.folder, "cache": tc.cache} {
				for file, version := range engines {
					putEngine(t, filepath.Join(root, dir, file), version)
				}
			}
			t.Setenv("PATH", filepath.Join(root, "path")+":/usr/bin:/bin")
			places := &Places{Folder: filepath.Join(root, "folder"), Cache: filepath.Join(root, "cache")}
			request, err := NewRequest(&tc.want)
			g.Expect(err).NotTo(HaveOccurred())
			got, err := places.Find(t.Context(), request)
			if tc.says != "" {
				g.Expect(err).To(BeAssignableToTypeOf(&NotFoundError{}))
				g.Expect(err.Error()).To(ContainSubstring(replaceRoot(tc.says, root)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Path).To(Equal(filepath.Join(root, tc.found)))
			g.Expect(got.Identity.Version).To(Equal(tc.version))
			if tc.asked != nil {
				g.Expect(askedIn(t, root)).To(ConsistOf(tc.asked))
			}
		})
	}
}
