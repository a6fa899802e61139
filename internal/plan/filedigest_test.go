package plan

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFileDigest_LeavesOutWhatApproves(t *testing.T) {
	const object = "apiVersion: infra.contrib.fluxcd.io/v1alpha2\nkind: Terraform\nmetadata:\n  name: net\n  annotations:\n    a: b\nspec:\n  path: ./\n"
	const approval = "  approvePlan: plan-main-b8e362c206-01234567\n"
	annotated := strings.Replace(object, "    a: b\n", "    a: b\n    infra.contrib.fluxcd.io/approve-plan: plan-main-b8e362c206-01234567\n", 1)
	const second = "---\nkind: Other\n---\n"
	script := strings.Replace(object, "spec:\n", "spec:\n  run: |\n    a &&\n    b\n", 1)
	for name, tc := range map[string]struct {
		reason, file, was, is string
		same                  bool
	}{
		"field":         {"the approval of the object beside the module", "net.yaml", object, object + approval, true},
		"another id":    {"it comes with each plan", "net.yaml", object + approval, object + "  approvePlan: plan-ä+b/c-b8e362c206-76543210\n", true},
		"quoted":        {"in quotes", "net.yml", object, object + "  \"approvePlan\": 'plan-feature/x-b8e362c206-01234567'\r\n", true},
		"at the end":    {"without a line break", "net.yaml", object, strings.TrimSpace(object) + "\n" + strings.TrimSuffix(approval, "\n"), true},
		"annotation":    {"in the other place", "net.yaml", object, annotated, true},
		"from empty":    {"the field may have stood there", "net.yaml", object + "  approvePlan: \"\"\n", object + approval, true},
		"alone":         {"the only annotation", "net.yaml", strings.Replace(annotated, "    a: b\n", "", 1), strings.Replace(strings.Replace(annotated, "    a: b\n", "", 1), "01234567", "76543210", 1), true},
		"from manual":   {"in either way", "net.yaml", object + "  approvePlan: manual\n", object + "  approvePlan:\n", true},
		"second object": {"there are several in a file", "net.yaml", object + second + object, object + second + object + approval, true},

		"mode":         {"it approves more than a plan", "net.yaml", object, object + "  approvePlan: auto\n", false},
		"no id":        {"a token has the form of one", "net.yaml", object, object + "  approvePlan: plan-main\n", false},
		"with a sting": {"nor may anything follow", "net.yaml", object, object + strings.Replace(approval, "\n", " # x\n", 1), false},
		"open quote":   {"it would swallow what follows", "net.yaml", object, object + "  approvePlan: \"plan-main-b8e362c206-01234567\n  \"\n", false},
		"shell":        {"what a shell would do counts", "net.yaml", object, object + "  approvePlan: plan-$(evil)-01234567\n", false},
		"script":       {"in a text it is no field", "net.yaml", script, strings.Replace(script, "    b\n", "    approvePlan: manual\n    b\n", 1), false},
		"odd break":    {"lines are counted otherwise then", "net.yaml", object + "# \r x\n", object + "# \r x\n" + approval, false},
		"other object": {"it approves nothing", "p.yaml", "kind: Job\nspec:\n  a: b\n", "kind: Job\nspec:\n  a: b\n" + approval, false},
		"neighbours":   {"what is left would be one text", "net.yaml", object + "  run: deploy\n    --all\n", object + "  run: deploy\n  approvePlan:\n    --all\n", false},
		"children":     {"what is below would be another's", "net.yaml", object + "    a: x\n", strings.Replace(object, "  path: ./\n", "  path: ./\n  approvePlan:\n", 1) + "    a: x\n", false},
		"no YAML":      {"it can't be told what it is", "net.yaml", object + "}\n", object + "}\n" + approval, false},
		"no manifest":  {"a script is no place to approve", "run.sh", object, object + approval, false},
		"large":        {"it is no object", "net.yaml", object + strings.Repeat("# x\n", 1<<18), object + strings.Repeat("# x\n", 1<<18) + approval, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			was, err := FileDigest(tc.file, strings.NewReader(tc.was))
			g.Expect(err).NotTo(HaveOccurred())
			is, err := FileDigest(tc.file, strings.NewReader(tc.is))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(is == was).To(Equal(tc.same), tc.reason)
		})
	}
}

func FuzzFileDigest(f *testing.F) {
	f.Add("apiVersion: infra.contrib.fluxcd.io/v1alpha2\nkind: Terraform\nspec:\n  approvePlan: plan-main-b8e362c206-01234567\n")
	f.Add("a: |\n  approvePlan: manual\n--- \n*a")
	f.Fuzz(func(t *testing.T, text string) {
		kept := string(withoutApproval([]byte(text)))
		gone := strings.Count(text, "\n") - strings.Count(kept, "\n")
		if len(kept) > len(text) || gone > strings.Count(text, "approve") {
			t.Errorf("of %q is left %q", text, kept)
		}
	})
}
