package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backups"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// person follows docs/restore-state.md to the letter: what she types is what stands there, but for the names.
type person struct {
	s    *story.Story
	dir  string
	said string // what has been typed in this shell so far that sets something
	page map[string][]string
}

func reader(t *testing.T, s *story.Story) *person {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "restore-state.md"))
	s.Expect(err).NotTo(HaveOccurred())
	p := &person{s: s, dir: t.TempDir(), page: map[string][]string{}}
	for section := range strings.SplitSeq(string(text), "\n#") {
		title, body, _ := strings.Cut(strings.TrimLeft(section, "# "), "\n")
		for _, block := range shellBlock.FindAllStringSubmatch(body, -1) {
			p.page[title] = append(p.page[title], block[1])
		}
	}
	s.Expect(p.block("1. Stop", 0)).To(Equal("NAMESPACE=infra NAME=networking\n"))
	p.said = fmt.Sprintf("NAMESPACE=%s NAME=net\n", s.Tenant.Namespace)
	return p
}

func (p *person) block(title string, number int) string {
	p.s.Expect(len(p.page[title])).To(BeNumerically(">", number), "docs/restore-state.md has lost a block of %q", title)
	return p.page[title][number]
}

// types one block of a section. Variables and functions that blocks before have set are there, as in one shell.
func (p *person) types(title string, number int) string {
	block := p.block(title, number)
	bin, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	p.s.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(p.s.Ctx, "bash", "-euo", "pipefail", "-c", p.said+block)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+system.Kubeconfig(),
		"TF_CLI_CONFIG_FILE="+filepath.Join(p.dir, "none.tofurc"))
	out, err := cmd.CombinedOutput()
	p.s.Expect(err).NotTo(HaveOccurred(), "%s\n%s", block, out)
	if strings.HasPrefix(block, "VERSION=") || strings.HasPrefix(block, "about()") {
		p.said += block
	}
	return string(out)
}

// fetches stops the object, chooses the version with that serial (0: the newest), and fetches it.
func (p *person) fetches(serial int64) {
	p.types("1. Stop", 1)
	list := p.types("2. Choose", 0)
	if serial == 0 {
		p.types("2. Choose", 1)
	} else {
		version := regexp.MustCompile(fmt.Sprintf(`\b%d-[0-9a-f]{8}\s*\n`, serial)).FindString(list)
		p.s.Expect(version).NotTo(BeEmpty(), list)
		p.said += "VERSION=" + strings.TrimSpace(version) + "\n"
	}
	p.types("3. Fetch", 0)
	p.types("The state is in a Secret", 0)
}

func (p *person) puts() { p.types("The state is in a Secret", 1) }

// pushes it with the engine, from a folder with the backend that the page shows.
func (p *person) pushes() {
	p.s.Expect(os.WriteFile(filepath.Join(p.dir, "backend.tf"), fmt.Appendf(nil,
		"terraform {\n  backend \"kubernetes\" {\n    secret_suffix = \"net\"\n    namespace = %q\n    config_path = %q\n  }\n}\n",
		p.s.Tenant.Namespace, system.Kubeconfig()), 0o600)).To(Succeed())
	p.s.Expect(os.WriteFile(filepath.Join(p.dir, "none.tofurc"), nil, 0o600)).To(Succeed())
	p.types("Another backend", 0)
}

func (p *person) goesOn() { p.types("5. Go on", 0) }

func (p *person) agrees() { p.types("5. Go on", 1) }

func loses(s *story.Story) {
	s.Expect(system.Client.Delete(s.Ctx, s.Secret(stateSecret))).To(Succeed())
}

func damages(s *story.Story) {
	secret := s.Secret(stateSecret)
	secret.Data["tfstate"] = secret.Data["tfstate"][:100]
	s.Expect(system.Client.Update(s.Ctx, secret)).To(Succeed())
}

// TestRestore_TheNewestStateComesBack: by the page's commands, and the next plan finds nothing to change.
func TestRestore_TheNewestStateComesBack(t *testing.T) {
	compat.Shows(t, "spec.stateBackups", "use.back-up-and-restore-state")
	cases := map[string]struct {
		harm    func(*story.Story)
		refusal string
		mend    func(*person)
	}{
		"a lost one, with kubectl":    {loses, "the state is gone", (*person).puts},
		"a cut one, with kubectl":     {damages, "it ends too early", (*person).puts},
		"a lost one, with the engine": {loses, "the state is gone", (*person).pushes},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
			s.Create(story.Auto, s.NamespaceVariable())
			applied := s.Applied(s.Revision())
			made := &corev1.ConfigMap{}
			s.Expect(system.Client.Get(s.Ctx, s.Key("settings"), made)).To(Succeed())
			tc.harm(s)
			s.Request()
			s.Refuses(infrav1.ReasonStateGuard, tc.refusal)

			p := reader(t, s)
			p.fetches(0)
			tc.mend(p)
			p.goesOn()
			tf := s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
			s.Expect(tf.Status.State.Serial-applied.Status.State.Serial).To(BeElementOf(int64(0), int64(1)), "the engine counts a push")
			tf.Status.State.Serial = applied.Status.State.Serial
			s.Expect(tf.Status.State).To(Equal(applied.Status.State), "it is the state that the apply has left")
			s.Expect(tf.Status.AppliesStarted).To(Equal(applied.Status.AppliesStarted), "nothing had to be changed")
			s.Expect(tf.Status.StateOverride).To(BeNil(), "and nothing to be overridden")
			found := &corev1.ConfigMap{}
			s.Expect(system.Client.Get(s.Ctx, s.Key("settings"), found)).To(Succeed())
			s.Expect(found.UID).To(Equal(made.UID))
			s.Expect(found.ResourceVersion).To(Equal(made.ResourceVersion))
			s.RestsQuietly()

			s.Change(func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
			s.DeleteObject()
			s.Expect(isGone(s, found, "settings")).To(BeTrue(), "the state that came back is one to destroy from")
			s.LeavesNothing()
		})
	}
}

// TestRestore_AnOlderStateNeedsAWord: the guard does not know that it is meant, until it is told.
func TestRestore_AnOlderStateNeedsAWord(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	first := s.Applied(s.Revision())
	_, err := s.Tenant.Commit(s.Ctx, "another greeting", map[string]string{"main.tf": strings.Replace(story.Greeting, "world", "moon", 1)})
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(func() int64 { return s.Get().Status.AppliesCompleted }).Should(BeEquivalentTo(2))
	second := s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
	s.Expect(second.Status.State.Serial).To(BeNumerically(">", first.Status.State.Serial))
	loses(s)
	s.Request()
	s.Refuses(infrav1.ReasonStateGuard, "the state is gone")
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "" })

	p := reader(t, s)
	p.fetches(first.Status.State.Serial)
	p.puts()
	p.goesOn()
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonStateGuard, ContainSubstring("the state is older than it was"))
	s.Expect(conditions.GetMessage(tf, meta.ReadyCondition)).To(MatchRegexp(`: older-[0-9a-f]{8}$`))
	p.agrees()
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonDriftDetected, ContainSubstring("set approvePlan"))
	s.Expect(s.Get().Status.State.Serial).To(Equal(first.Status.State.Serial))
}

// TestRestore_BackupsStayWithTheStateOfAnObjectThatLeavesItsResources, and a new object of its name goes on with both.
func TestRestore_BackupsStayWithTheStateOfAnObjectThatLeavesItsResources(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	s.Applied(s.Revision())
	s.DeleteObject()
	s.LeavesNothing()
	gone := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "net"}}
	kept, err := backups.List(s.Ctx, system.Client, gone)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(kept).To(HaveLen(1))
	loses(s)

	p := reader(t, s)
	p.types("2. Choose", 0)
	p.types("2. Choose", 1)
	p.types("3. Fetch", 0)
	p.types("The state is in a Secret", 0)
	p.puts()
	s.Create(story.Auto)
	tf := s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
	s.Expect(tf.Status.AppliesStarted).To(BeZero(), "all is there")
	s.Expect(tf.Status.State.Serial).To(Equal(kept[0].Serial))
}
