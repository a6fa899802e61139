package plan

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

var here = Scope{Spec: &v1alpha2.TerraformSpec{}}

func groundFor(t *testing.T, text string, scope Scope) map[string]string {
	t.Helper()
	g := NewWithT(t)
	p, err := Decode([]byte(text))
	g.Expect(err).NotTo(HaveOccurred())
	c, err := FromJSON(p, testKey, scope)
	g.Expect(err).NotTo(HaveOccurred())
	parts := map[string]string{}
	for _, part := range c.Ground {
		g.Expect(part.Digest).To(HaveLen(64))
		parts[part.Name] = part.Digest
	}
	g.Expect(parts).To(HaveLen(4))
	return parts
}

// TestGround_IsWhatNoChangeShows: each row differs in one thing, and in one part.
func TestGround_IsWhatNoChangeShows(t *testing.T) {
	const text = `{"format_version":"1.2","terraform_version":"1.12.6","variables":{"cmd":{"value":"echo benign"},"n":{"value":9007199254740993},"none":{}},
"configuration":{"root_module":{"module_calls":{
	"a":{"source":"./a","module":{"module_calls":{"b":{"source":"..\\..\\shared/b","module":{}}}}},
	"far":{"source":"git::https://example.com/x","module":{"module_calls":{"c":{"source":"./c","module":{}}}}}},
	"resources":[{"address":"x.y","provisioners":[{"expressions":{"command":{"references":["local.cmd"]}}}]}]}}}`
	scope := func() Scope {
		return Scope{
			Spec:    &v1alpha2.TerraformSpec{ServiceAccountName: "tf-runner", ApprovePlan: "manual", TfVarsFiles: []string{"./envs/prod.tfvars"}},
			Module:  "net",
			Sources: map[string]string{"tfconfig/m-/main.tf": "1"},
			Files:   map[string]string{"net/main.tf": "1", "shared/b/run.sh": "1", "network/main.tf": "1", "far/c/x.tf": "1", "net.yaml": "1", "envs/prod.tfvars": "1"},
		}
	}
	const config, variables, files, spec = "the configuration", "the values of variables", "the files of the module", "the spec"
	for name, tc := range map[string]struct {
		reason string
		part   string
		old    string
		now    string
		change func(*Scope)
	}{
		"nothing":         {reason: "the same is the same"},
		"expression":      {"another reference", config, "local.cmd", "local.cmb", nil},
		"source":          {"a local, or the literal part of a template, is seen in the sources only", config, "", "", func(s *Scope) { s.Sources["tfconfig/m-/main.tf"] = "2" }},
		"another source":  {"an override adds to what there is", config, "", "", func(s *Scope) { s.Sources["tfconfig/m-/x_override.tf"] = "1" }},
		"variable":        {"a provisioner runs what it says", variables, "benign", "other", nil},
		"large number":    {"digits count that a float64 drops", variables, "9007199254740993", "9007199254740992", nil},
		"file":            {"a script is run by its name", files, "", "", func(s *Scope) { s.Files["net/run.sh"] = "1" }},
		"file of a local": {"a module that is called by path belongs to it", files, "", "", func(s *Scope) { s.Files["shared/b/run.sh"] = "2" }},
		"file of values":  {"ephemeral variables of it are in no plan", files, "", "", func(s *Scope) { s.Files["envs/prod.tfvars"] = "2" }},
		"other module":    {"it is somebody else's, though its name begins alike", "", "", "", func(s *Scope) { s.Files["network/main.tf"] = "2" }},
		"far away":        {"a path within a module from elsewhere is no path here", "", "", "", func(s *Scope) { s.Files["far/c/x.tf"] = "2" }},
		"beside":          {"it is in no folder of the module", "", "", "", func(s *Scope) { s.Files["net.yaml"] = "2" }},
		"account":         {"it is applied as somebody else", spec, "", "", func(s *Scope) { s.Spec.ServiceAccountName = "admin" }},
		"approval":        {"approving moves nothing", "", "", "", func(s *Scope) { s.Spec.ApprovePlan = "plan-main-1" }},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			changed := scope()
			if tc.change != nil {
				tc.change(&changed)
			}
			was, is := groundFor(t, text, scope()), groundFor(t, strings.Replace(text, tc.old, tc.now, 1), changed)
			for part, sum := range was {
				g.Expect(is[part] != sum).To(Equal(part == tc.part), "%s: %s", tc.reason, part)
			}
		})
	}
}

func TestGround_HasAllFilesWhereTheModuleCanReachThem(t *testing.T) {
	const alone = `{"format_version":"1.2","terraform_version":"1.12.6"}`
	calls := func(source string) string {
		return strings.Replace(alone, "}", `,"configuration":{"root_module":{"module_calls":{"a":{"source":"`+source+`","module":{}}}}}}`, 1)
	}
	for name, tc := range map[string]struct{ text, module string }{
		"at the root":      {alone, "."},
		"by absolute path": {calls("/home/runner/net/modules/a"), "net"},
		"around the root":  {calls("../../infra-net/modules/a"), "net"},
		"as a file":        {calls("file:///home/runner/net/modules/a"), "net"},
	} {
		t.Run(name, func(t *testing.T) {
			was := groundFor(t, tc.text, Scope{Spec: here.Spec, Module: tc.module, Files: map[string]string{"modules/a/run.sh": "1"}})
			is := groundFor(t, tc.text, Scope{Spec: here.Spec, Module: tc.module, Files: map[string]string{"modules/a/run.sh": "2"}})
			NewWithT(t).Expect(is["the files of the module"]).NotTo(Equal(was["the files of the module"]))
		})
	}
}

func planFile(t testing.TB, entries ...[2]string) []byte {
	t.Helper()
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	for _, entry := range entries {
		w, err := archive.Create(entry[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(entry[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestSources(t *testing.T) {
	g := NewWithT(t)
	found, err := Sources(planFile(t, [2]string{"tfplan", "x"}, [2]string{"tfconfig/m-/main.tf", "a"}, [2]string{"tfconfig/m-net/main.tf", "b"}))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(2))
	g.Expect(found[SourceName("main.tf")]).To(HavePrefix("ca978112"), "SHA-256 of a")

	found, err = Sources([]byte(`{"encrypted_plan":"..."}`))
	g.Expect(err).NotTo(HaveOccurred(), "what is encrypted, the engine alone can read")
	g.Expect(found).To(BeEmpty())

	_, err = Sources(planFile(t, [2]string{"tfconfig/m-/main.tf", "a"}, [2]string{"tfconfig/m-/main.tf", "b"}))
	g.Expect(err).To(MatchError("read the plan file: it holds tfconfig/m-/main.tf twice"), "nobody knows which of them is applied")
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add(planFile(f, [2]string{"tfplan", "x"}, [2]string{"tfconfig/m-/main.tf", "a"}))
	f.Add(planFile(f, [2]string{"tfconfig/m-/main.tf", "a"}, [2]string{"tfconfig/m-/main.tf", "b"}))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, err := Sources(file)
		if err != nil && found != nil {
			t.Errorf("sources beside the error %v", err)
		}
		for name, sum := range found {
			if len(sum) != 64 || !strings.HasPrefix(name, "tfconfig/") {
				t.Errorf("%q has the digest %q", name, sum)
			}
		}
	})
}
