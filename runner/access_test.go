package runner

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// accessTest is an access whose environment is a map, with git and ssh as they see it.
type accessTest struct {
	*access
	*WithT
	t   *testing.T
	env map[string]string
}

func newAccess(t *testing.T, env map[string]string) *accessTest {
	t.Helper()
	helper := filepath.Join(t.TempDir(), "helper")
	a := &accessTest{WithT: NewWithT(t), t: t, env: env}
	a.Expect(os.WriteFile(helper, []byte("#!/bin/sh\n[ $1 = git-credential ] && [ $3 = get ] && cat $2\n"), 0o700)).To(Succeed())
	a.access = &access{
		dir: filepath.Join(t.TempDir(), "demo.access"), helper: helper,
		getenv: func(name string) string { return env[name] },
		setenv: func(name, value string) error { env[name] = value; return nil },
	}
	return a
}

func (a *accessTest) run(stdin, name string, args ...string) string {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	for key, value := range a.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "failed: " + string(out)
	}
	return string(out)
}

func (a *accessTest) asks(url string) string {
	return a.run("url="+url+"\n\n", "git", "credential", "fill")
}

func TestAccess_GitTakesTheCredentialsOfTheLongestURL(t *testing.T) {
	a := newAccess(t, map[string]string{})
	a.Expect(a.place([]inputs.Credential{
		{URL: "https://git.example.com/platform", Username: "platform", Password: `p"l\a$t`},
		{URL: "https://git.example.com", Username: "all", Password: "of-all"},
		{URL: "https://git.example.com/tokens", BearerToken: "of-tokens", CA: []byte("the CA")},
		{URL: "https://git.example.com/tokens/not", Username: "not", Password: "with-a-token"},
	})).To(Succeed())
	for url, want := range map[string]string{
		"https://git.example.com/platform/vpc.git": "username=platform\npassword=p\"l\\a$t\n",
		"https://git.example.com/platforms/x.git":  "username=all\npassword=of-all\n",
		"https://git.example.com/other.git":        "username=all\npassword=of-all\n",
		"https://git.example.com/tokens/not/x.git": "username=not\npassword=with-a-token\n",
	} {
		a.Expect(a.asks(url)).To(ContainSubstring(want), url)
	}
	a.Expect(a.asks("https://elsewhere.example.com/x.git")).To(HavePrefix("failed: "))
	setting := func(name, url string) string { return a.run("", "git", "config", "--get-urlmatch", name, url) }
	a.Expect(setting("http.extraHeader", "https://git.example.com/tokens/x.git")).To(Equal("Authorization: Bearer of-tokens\n"))
	a.Expect(setting("http.extraHeader", "https://git.example.com/tokens/not/x.git")).To(Equal("\n"))
	a.Expect(setting("http.sslCAInfo", "https://git.example.com/tokens/x.git")).To(ContainSubstring(a.path("ca/")))
	a.Expect(setting("http.sslCAInfo", "https://git.example.com/platform/x.git")).To(HavePrefix("failed: "))
}

func TestAccess_SSHTakesAKeyForAHostAPortOrAPath(t *testing.T) {
	a := newAccess(t, map[string]string{})
	key := inputs.Credential{Identity: []byte("key"), KnownHosts: []byte("hosts")}
	of := func(url string) inputs.Credential { key.URL = url; return key }
	a.Expect(a.place([]inputs.Credential{
		of("ssh://git@git.example.com"), of("ssh://git@git.example.com/platform/vpc.git"), of("ssh://deploy@git.example.com:2222"),
	})).To(Succeed())
	for _, tc := range []struct{ source, url, host, files string }{
		{"ssh://git@git.example.com/other.git", "ssh://git@git.example.com/other.git", "git.example.com", "0"},
		{"ssh://deploy@git.example.com:2222/x.git", "ssh://deploy@git.example.com-1/x.git", "git.example.com-1", "1"},
		{"ssh://deploy@git.example.com:22220/x.git", "ssh://deploy@git.example.com:22220/x.git", "git.example.com", "0"},
		{"ssh://git@git.example.com/platform/vpc.git", "ssh://git@git.example.com-2/platform/vpc.git", "git.example.com-2", "2"},
		{"git@git.example.com:platform/vpc.git", "ssh://git@git.example.com-2/platform/vpc.git", "git.example.com-2", "2"},
	} {
		a.Expect(a.run("", "git", "ls-remote", "--get-url", tc.source)).To(Equal(tc.url + "\n"))
		a.Expect(strings.Split(a.run("", "ssh", "-G", "-F", a.path("ssh_config"), tc.host), "\n")).To(ContainElements("hostname git.example.com",
			"identityfile "+a.path(tc.files+".identity"), "userknownhostsfile "+a.path(tc.files+".known_hosts"),
			"stricthostkeychecking true", "batchmode yes", "identitiesonly yes"))
	}
	a.Expect(a.run("", "ssh", "-G", "-F", a.path("ssh_config"), "git.example.com-1")).To(ContainSubstring("\nport 2222\n"))
	a.Expect(a.run("", "git", "config", "core.sshCommand")).To(Equal("ssh -F " + a.path("ssh_config") + "\n"))
}

func TestAccess_SSHTakesAKeyForNoOthersPath(t *testing.T) {
	a := newAccess(t, map[string]string{})
	key := inputs.Credential{Identity: []byte("key"), KnownHosts: []byte("hosts")}
	of := func(url string) inputs.Credential { key.URL = url; return key }
	a.Expect(a.place([]inputs.Credential{of("ssh://git@a.example.com/acme"), of("ssh://git@b.example.com:2222/acme/"), of("ssh://git@c.example.com/acme/vpc.git")})).To(Succeed())
	for _, tc := range []struct{ reason, source, url string }{
		{"below a folder", "ssh://git@a.example.com/acme/x.git", "ssh://git@a.example.com-0/acme/x.git"},
		{"below a folder, in short", "git@a.example.com:acme/x.git", "ssh://git@a.example.com-0/acme/x.git"},
		{"the repository", "ssh://git@a.example.com/acme.git", "ssh://git@a.example.com-0/acme.git"},
		{"another folder", "ssh://git@a.example.com/acme-public/x", "ssh://git@a.example.com/acme-public/x"},
		{"another folder, in short", "git@a.example.com:acme-public/x", "git@a.example.com:acme-public/x"},
		{"at a port", "ssh://git@b.example.com:2222/acme/x", "ssh://git@b.example.com-1/acme/x"},
		{"another at a port", "ssh://git@b.example.com:2222/acme2/x", "ssh://git@b.example.com:2222/acme2/x"},
		{"one repository", "git@c.example.com:acme/vpc.git", "ssh://git@c.example.com-2/acme/vpc.git"},
		{"another repository", "git@c.example.com:acme/vpc-old.git", "git@c.example.com:acme/vpc-old.git"},
	} {
		a.Expect(a.run("", "git", "ls-remote", "--get-url", tc.source)).To(Equal(tc.url+"\n"), tc.reason)
	}
}

func TestAccess_LeavesWhatTheUserHasBroughtAlong(t *testing.T) {
	own := filepath.Join(t.TempDir(), "gitconfig")
	a := newAccess(t, map[string]string{"GIT_CONFIG_GLOBAL": own, "SSL_CERT_DIR": "/company"})
	a.Expect(os.WriteFile(own, []byte("[user]\n\tname = of the user\n"), 0o600)).To(Succeed())
	list := []inputs.Credential{{URL: "https://re-gistry.example.com:8443", Token: "of-the-registry", CA: []byte("the CA")}}
	a.Expect(a.place(list)).To(Succeed())
	a.Expect(a.run("", "git", "config", "user.name")).To(Equal("of the user\n"))
	want := map[string]string{
		"GIT_CONFIG_GLOBAL": a.path("gitconfig"), "SSL_CERT_DIR": "/company:" + a.path("ca"),
		"TF_TOKEN_re__gistry_example_com:8443": "of-the-registry",
	}
	a.Expect(a.env).To(Equal(want))

	before := maps.Clone(a.env)
	a.Expect(a.place(list)).To(Succeed())
	a.Expect(a.env["SSL_CERT_DIR"]).To(Equal(before["SSL_CERT_DIR"]), "a second run of the pod adds nothing")
	a.Expect(a.run("", "git", "config", "user.name")).To(HavePrefix("failed: "), "what was named before is not known any more, but nothing includes itself")
}

func TestAccess_IsForThisUserOnlyAndGoes(t *testing.T) {
	a := newAccess(t, map[string]string{})
	a.Expect(a.place(nil)).To(Succeed())
	a.Expect(a.env).To(BeEmpty())
	a.Expect(a.dir).NotTo(BeADirectory())
	a.Expect(a.place([]inputs.Credential{{URL: "https://a.example.com", Username: "a", Password: "b", CA: []byte("c"), Certificate: []byte("d"), Key: []byte("e")}})).To(Succeed())
	a.Expect(a.env["SSL_CERT_DIR"]).To(Equal("/etc/ssl/certs:/etc/pki/tls/certs:" + a.path("ca")))
	a.Expect(filepath.WalkDir(a.dir, func(path string, entry os.DirEntry, err error) error {
		a.Expect(err).NotTo(HaveOccurred())
		info, err := entry.Info()
		a.Expect(err).NotTo(HaveOccurred())
		a.Expect(info.Mode().Perm()&0o077).To(BeZero(), path)
		return nil
	})).To(Succeed())
	a.Expect(a.remove()).To(Succeed())
	a.Expect(a.dir).NotTo(BeADirectory())
}
