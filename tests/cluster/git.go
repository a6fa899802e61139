package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fluxcd/pkg/gittestserver"
)

// Branch is the branch that a Repo's commits go to.
const Branch = "main"

// Git is the cluster's git server. It serves over plain HTTP without authentication.
type Git struct {
	dir    string
	server *gittestserver.GitServer
	mu     sync.Mutex
	repos  map[string]*Repo
}

func (c *Cluster) startGit(context.Context) error {
	if c.opts.WithoutSources {
		return nil
	}
	g := &Git{dir: c.path("git"), repos: map[string]*Repo{}, server: gittestserver.NewGitServer(c.path("git", "served"))}
	if err := g.server.StartHTTP(); err != nil {
		return fmt.Errorf("serving git: %w", err)
	}
	c.Git = g
	c.onStop(func() error { g.server.StopHTTP(); return nil })
	return nil
}

// URL is the server's address.
func (g *Git) URL() string { return g.server.HTTPAddress() }

// Repo is a repository on the server and a clone of it to make commits in. Its methods may be called by several
// goroutines at once.
type Repo struct {
	// URL is where a GitRepository finds it.
	URL   string
	clone string
	env   []string
	mu    sync.Mutex
}

// Repo returns the repository of that name, which it makes when there is none: without any commit.
func (g *Git) Repo(ctx context.Context, name string) (*Repo, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r, ok := g.repos[name]; ok {
		return r, nil
	}
	r := &Repo{
		URL:   g.URL() + "/" + name + ".git",
		clone: filepath.Join(g.dir, "clones", name),
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
			"GIT_AUTHOR_NAME=Local Cluster", "GIT_AUTHOR_EMAIL=cluster@example.com",
			"GIT_COMMITTER_NAME=Local Cluster", "GIT_COMMITTER_EMAIL=cluster@example.com",
		},
	}
	served := filepath.Join(g.server.Root(), name+".git")
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=" + Branch, served},
		{"init", "--quiet", "--initial-branch=" + Branch, r.clone},
		{"-C", r.clone, "remote", "add", "origin", r.URL},
	} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	g.repos[name] = r
	return r, nil
}

// Commit writes files (path to content), removes others, commits and pushes. It returns the commit's hash.
func (r *Repo) Commit(ctx context.Context, message string, files map[string]string, remove ...string) (sha string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, content := range files {
		path = filepath.Join(r.clone, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", fmt.Errorf("writing a file to commit: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", fmt.Errorf("writing a file to commit: %w", err)
		}
	}
	for _, path := range remove {
		if err := os.RemoveAll(filepath.Join(r.clone, path)); err != nil {
			return "", fmt.Errorf("removing a file to commit: %w", err)
		}
	}
	if _, err := r.git(ctx, "-C", r.clone, "add", "--all"); err != nil {
		return "", err
	}
	return r.push(ctx, "commit", "--quiet", "--allow-empty", "--message="+message)
}

// Revert undoes the last commit by a new one, which it pushes. It returns the new commit's hash.
func (r *Repo) Revert(ctx context.Context) (sha string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.push(ctx, "revert", "--no-edit", "HEAD")
}

// push makes a commit by the given git command and pushes it.
func (r *Repo) push(ctx context.Context, commit ...string) (sha string, err error) {
	if _, err := r.git(ctx, append([]string{"-C", r.clone}, commit...)...); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "-C", r.clone, "push", "--quiet", "origin", Branch); err != nil {
		return "", err
	}
	return r.git(ctx, "-C", r.clone, "rev-parse", "HEAD")
}

func (r *Repo) git(ctx context.Context, args ...string) (output string, err error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
