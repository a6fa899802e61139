package runner

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// systemCerts are the folders where Go looks for certificates when SSL_CERT_DIR is not set.
const systemCerts = "/etc/ssl/certs:/etc/pki/tls/certs"

// access lets git, ssh and the engine into private places: by files that only this user can read, which the environment names.
// No secret is part of a command.
type access struct {
	// dir holds the files.
	dir string
	// helper is the program that answers git with a file, see `terraform-runner git-credential`.
	helper string
	getenv func(string) string
	setenv func(name, value string) error
}

// rendered is what a list of credentials comes to: files by name, and environment.
type rendered struct {
	files map[string][]byte
	env   map[string]string
	// git and ssh are their configurations.
	git, ssh strings.Builder
	// trusts says that there are certificates to trust.
	trusts bool
}

// accessTo is where the credentials of an object's runs are.
func (c *Config) accessTo(name string) *access {
	return &access{dir: c.dir(name) + ".access", helper: c.Executable, getenv: c.Getenv, setenv: c.Setenv}
}

// place writes the files, in place of those of an earlier run, and names them.
func (a *access) place(list []inputs.Credential) error {
	if err := a.remove(); err != nil {
		return fmt.Errorf("remove the credentials of an earlier run: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	r, err := a.render(list)
	if err != nil {
		return err
	}
	for name, content := range r.files {
		if err := writePrivate(a.path(name), content); err != nil {
			return fmt.Errorf("write the configuration of git and ssh: %w", err)
		}
	}
	var errs []error
	for name, value := range r.env {
		errs = append(errs, a.setenv(name, value))
	}
	return errors.Join(errs...)
}

// remove deletes the files.
func (a *access) remove() error { return os.RemoveAll(a.dir) }

func (a *access) path(name string) string { return filepath.Join(a.dir, name) }

// render sorts the credentials: git takes the last of several sections, so the longest URL has to come last.
func (a *access) render(list []inputs.Credential) (*rendered, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y inputs.Credential) int { return cmp.Compare(len(x.URL), len(y.URL)) })
	r := &rendered{files: map[string][]byte{}, env: map[string]string{}}
	for i := range list {
		c := &list[i]
		u, err := url.Parse(c.URL)
		if err != nil {
			return nil, fmt.Errorf("decode an address of modules: %w", err)
		}
		name := strconv.Itoa(i)
		if c.SSH() {
			a.renderSSH(r, name, c, u)
			continue
		}
		if c.Token != "" {
			r.env[tokenVariable(u.Host)] = c.Token
		}
		a.renderTLS(r, name, c)
		a.renderHTTP(r, name, c)
	}
	a.finish(r)
	return r, nil
}

// tokenVariable is where the engine looks for the token of a registry. A colon may stay: no shell reads it.
func tokenVariable(host string) string {
	return "TF_TOKEN_" + strings.NewReplacer("-", "__", ".", "_").Replace(host)
}

func (a *access) renderTLS(r *rendered, name string, c *inputs.Credential) {
	for _, file := range []struct {
		setting, name string
		content       []byte
	}{
		{"sslCAInfo", "ca/" + name + ".pem", c.CA}, {"sslCert", name + ".crt", c.Certificate}, {"sslKey", name + ".key", c.Key},
	} {
		if len(file.content) > 0 {
			r.files[file.name] = file.content
			fmt.Fprintf(&r.git, "[http %s]\n\t%s = %s\n", quoted(c.URL), file.setting, quoted(a.path(file.name)))
		}
	}
	r.trusts = r.trusts || len(c.CA) > 0
}

// renderHTTP makes the sections of one URL. An empty value forgets what a shorter URL has set.
func (a *access) renderHTTP(r *rendered, name string, c *inputs.Credential) {
	username, password := c.Username, c.Password
	if c.BearerToken != "" {
		// Git asks for a password where the header is refused. With an answer it says that it was refused, not that it can't ask.
		username, password = "bearer", c.BearerToken
	}
	if username+password == "" {
		return
	}
	fmt.Fprintf(&r.git, "[http %s]\n\textraHeader = \"\"\n", quoted(c.URL))
	if c.BearerToken != "" {
		fmt.Fprintf(&r.git, "\textraHeader = %s\n", quoted("Authorization: Bearer "+c.BearerToken))
	}
	file := name + ".credential"
	r.files[file] = []byte("username=" + username + "\npassword=" + password + "\n")
	fmt.Fprintf(&r.git, "[credential %s]\n\thelper = \"\"\n\thelper = %s\n", quoted(c.URL), quoted(a.helper+" git-credential "+a.path(file)))
}

// renderSSH makes a host of the configuration of ssh. That knows neither ports nor paths: where there is one, git asks for a host
// of another name instead.
func (a *access) renderSSH(r *rendered, name string, c *inputs.Credential, u *url.URL) {
	identity, knownHosts := name+".identity", name+".known_hosts"
	r.files[identity], r.files[knownHosts] = c.Identity, c.KnownHosts
	host, user := u.Hostname(), u.User.Username()
	if u.Port() != "" || u.Path != "" {
		host = strings.ReplaceAll(host, ":", "-") + "-" + name
		for _, path := range beginnings(u) {
			fmt.Fprintf(&r.git, "[url %s]\n\tinsteadOf = %s\n", quoted("ssh://"+user+"@"+host+path), quoted("ssh://"+user+"@"+u.Host+path))
			if u.Port() == "" { // as it is written in .gitmodules
				fmt.Fprintf(&r.git, "\tinsteadOf = %s\n", quoted(user+"@"+u.Host+":"+strings.TrimPrefix(path, "/")))
			}
		}
	}
	fmt.Fprintf(&r.ssh, "Host %s\n  HostName %s\n  User %s\n", host, u.Hostname(), user)
	if u.Port() != "" {
		fmt.Fprintf(&r.ssh, "  Port %s\n", u.Port())
	}
	fmt.Fprintf(&r.ssh, "  IdentityFile %q\n  IdentitiesOnly yes\n  BatchMode yes\n", a.path(identity))
	fmt.Fprintf(&r.ssh, "  UserKnownHostsFile %q\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n", a.path(knownHosts))
}

// beginnings are what the paths begin with that a URL of ssh stands for: git compares text, so that /acme alone would be
// /acme-public, too.
func beginnings(u *url.URL) []string {
	path := u.EscapedPath()
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return []string{cmp.Or(path, "/")}
	case strings.HasSuffix(path, ".git"):
		return []string{path}
	}
	return []string{path + "/", path + ".git"}
}

// finish names the files. What the user has brought along, in the pod or by spec.fileMappings, counts as well.
func (a *access) finish(r *rendered) {
	if r.ssh.Len() > 0 {
		r.ssh.WriteString("Match all\n  Include ~/.ssh/config\n")
		r.files["ssh_config"] = []byte(r.ssh.String())
		fmt.Fprintf(&r.git, "[core]\n\tsshCommand = %s\n", quoted("ssh -F "+a.path("ssh_config")))
	}
	own := a.path("gitconfig")
	fmt.Fprintf(&r.git, "[include]\n\tpath = %s\n", quoted(a.before("GIT_CONFIG_GLOBAL", own, "~/.gitconfig")))
	r.files["gitconfig"] = []byte(r.git.String())
	r.env["GIT_CONFIG_GLOBAL"] = own
	if r.trusts {
		own := a.path("ca")
		r.env["SSL_CERT_DIR"] = a.before("SSL_CERT_DIR", own, systemCerts) + ":" + own
	}
}

// before is what a variable was before it was set to our own, or what holds where it is not set.
func (a *access) before(name, own, otherwise string) string {
	return cmp.Or(strings.TrimSuffix(strings.TrimSuffix(a.getenv(name), own), ":"), otherwise)
}

// quoted is a value, or the name of a section, in the configuration of git.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// dropAccess removes the credentials once nothing of this pod needs them any more.
func (w *workdir) dropAccess() {
	if err := w.cfg.accessTo(w.owner.Name).remove(); err != nil {
		w.log.Info("the credentials for modules are left until the pod is deleted", "error", err.Error())
	}
}
