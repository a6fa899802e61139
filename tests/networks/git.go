package networks

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/gitkit"
	"github.com/fluxcd/pkg/gittestserver"
)

// Git is a git server, over HTTPS or SSH.
type Git struct {
	// URL of the server.
	URL string
	// HostKey is a line of known_hosts, for SSH.
	HostKey string

	t    *testing.T
	root string
}

// HTTPS serves git over HTTPS to those who have the password, or who have it as a bearer token.
func (a *Authority) HTTPS(username, password string) *Git {
	a.t.Helper()
	root := a.t.TempDir()
	server := gittestserver.NewGitServer(root).Auth(username, password)
	server.AddHTTPMiddlewares(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer "+password {
				r.SetBasicAuth(username, password)
			}
			next.ServeHTTP(w, r)
		})
	})
	cert, key := a.Pair()
	a.must(server.StartHTTPS(cert, key, []byte(a.PEM), "127.0.0.1"))
	a.t.Cleanup(server.StopHTTP)
	return &Git{t: a.t, root: root, URL: server.HTTPAddress()}
}

// SSH serves git over SSH to those who have the key; publicKey is a line of authorized_keys. There is one such server at a time.
func SSH(t *testing.T, publicKey string) *Git {
	t.Helper()
	root, keys := t.TempDir(), t.TempDir()
	server := gittestserver.NewGitServer(root).KeyDir(keys).Auth("git", "")
	server.PublicKeyLookupFunc(func(content string) (*gitkit.PublicKey, error) {
		if strings.TrimSpace(content) != strings.TrimSpace(publicKey) {
			return nil, errors.New("not this key")
		}
		return &gitkit.PublicKey{Id: "test"}, nil
	})
	if err := server.ListenSSH(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.StartSSH() }() // it ends with the listener
	t.Cleanup(func() {
		if err := server.StopSSH(); err != nil {
			t.Error(err)
		}
	})
	host, err := os.ReadFile(filepath.Join(keys, "gitkit.rsa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	address := server.SSHAddress()
	_, port, _ := strings.Cut(strings.TrimPrefix(address, "ssh://git@"), ":")
	return &Git{t: t, root: root, URL: address, HostKey: "[127.0.0.1]:" + port + " " + string(host)}
}

// Repo makes a repository with one commit, tagged v1, of the files.
func (g *Git) Repo(name string, files map[string]string) {
	g.t.Helper()
	work := g.t.TempDir()
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(work, path), []byte(content), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"}, {"add", "."}, {"commit", "--quiet", "--message=first"}, {"tag", "v1"},
		{"clone", "--quiet", "--bare", ".", filepath.Join(g.root, name)},
	} {
		g.git(work, args...)
	}
}

func (g *Git) git(dir string, args ...string) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
