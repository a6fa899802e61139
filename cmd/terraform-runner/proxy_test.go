package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestProxyEnvironment_IsTheSameForAllPrograms(t *testing.T) {
	for _, tc := range []struct {
		why       string
		env, want map[string]string
	}{
		{"without a proxy there is nothing to complete", map[string]string{"NO_PROXY": "a", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, nil},
		{
			"the API server is never asked through it", map[string]string{"HTTPS_PROXY": "http://p", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
			map[string]string{"HTTPS_PROXY": "http://p", "https_proxy": "http://p", "NO_PROXY": "10.0.0.1", "no_proxy": "10.0.0.1"},
		},
		{
			"small letters count, and what is to be reached without it stays",
			map[string]string{"http_proxy": "http://p", "no_proxy": ".svc,10.0.0.0/8", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
			map[string]string{"HTTP_PROXY": "http://p", "http_proxy": "http://p", "NO_PROXY": ".svc,10.0.0.0/8,10.0.0.1", "no_proxy": ".svc,10.0.0.0/8,10.0.0.1"},
		},
		{
			"where the two differ, capital letters count", map[string]string{"HTTP_PROXY": "http://a", "http_proxy": "http://b", "NO_PROXY": "c"},
			map[string]string{"HTTP_PROXY": "http://a", "http_proxy": "http://a", "NO_PROXY": "c", "no_proxy": "c"},
		},
	} {
		NewWithT(t).Expect(proxyEnvironment(func(name string) string { return tc.env[name] })).To(Equal(tc.want), tc.why)
	}
}

func TestGitCredential_AnswersAndForgetsNothing(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "credential")
	const answer = "username=a\npassword=b\n"
	g.Expect(os.WriteFile(file, []byte(answer), 0o600)).To(Succeed())
	for operation, want := range map[string]string{"get": answer, "store": "", "erase": ""} {
		out, err := program(t, nil, "git-credential", file, operation).CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(out)).To(Equal(want), operation)
		g.Expect(os.ReadFile(file)).To(BeEquivalentTo(answer))
	}
	out, err := program(t, nil, "git-credential", file+".absent", "get").CombinedOutput()
	g.Expect(err).To(HaveOccurred())
	g.Expect(string(out)).To(ContainSubstring("read the credentials for git"))
}
