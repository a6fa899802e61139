package runner_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestSession_ShellGetsWhatTheRunHas(t *testing.T) {
	g := NewWithT(t)
	const token = "it's $(no) `command`"
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.Engine = &v1alpha2.EngineSpec{Version: "1.11.8"}
		s.ModuleCredentials = []v1alpha2.ModuleCredential{
			{URL: "https://re-gistry.example.com", SecretRef: meta.LocalObjectReference{Name: "registry"}},
			{URL: "https://registry.example.com:8443", SecretRef: meta.LocalObjectReference{Name: "registry"}},
		}
	})
	w.createSecret("registry", map[string]string{"token": token})
	w.mountTofu("1.11.8")
	environment := filepath.Join(w.cfg.Root, ".break-glass.env")
	run := w.inSession(func(*v1alpha2.TerraformRun) {}, func(run *v1alpha2.TerraformRun) {
		g.Expect(run.Status.Session.Environment).To(Equal(environment))
		info, err := os.Stat(environment)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		shell := exec.CommandContext(t.Context(), "sh", "-euc", `. "$0"; echo "$TF_TOKEN_re__gistry_example_com"; command -v tofu; cat "$GIT_CONFIG_GLOBAL" "$TF_CLI_CONFIG_FILE" >/dev/null`, environment)
		shell.Env = []string{"PATH=/usr/bin:/bin"}
		said, err := shell.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(said))
		g.Expect(string(said)).To(Equal(token + "\n" + filepath.Join(w.cfg.Engines.Folder, "tofu_1.11.8", "tofu") + "\n"))
		g.Expect(os.Remove(filepath.Join(w.cfg.Root, ".break-glass"))).To(Succeed())
	})
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
	g.Expect(environment).NotTo(BeAnExistingFile())
	g.Expect(asJSON(t, run)).NotTo(ContainSubstring("(no)"))
	g.Expect(w.log.String()).NotTo(ContainSubstring("(no)"))
}
