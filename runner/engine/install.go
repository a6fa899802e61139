package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
	"github.com/opentofu/tofudl"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	partPrefix     = ".part-"
	abandonedAfter = 24 * time.Hour
)

// errNoRelease says that the list of releases was read, and has no such version.
var errNoRelease = errors.New("there is no such version")

// Releases are where engines come from that have to be downloaded. Their checksums, and the signature of these, are verified in any
// case. The zero value are the places and keys of the engines' makers.
type Releases struct {
	// TerraformURL is a mirror of releases.hashicorp.com, TofuURL one of OpenTofu's releases as OpenTofu's tofudl serves it:
	// <url>/api.json and <url>/v<version>/<file>. They may hold user and password.
	TerraformURL, TofuURL string
	// TerraformKey and TofuKey are armoured public keys in place of the makers' own.
	TerraformKey, TofuKey string
}

// install downloads an engine, the newest that is wanted, and puts it into the cache. It appears there whole or not at all. Where
// another process was faster its engine is taken.
func (p *Places) install(ctx context.Context, want Request) (Binary, error) {
	if err := os.MkdirAll(p.Cache, 0o755); err != nil { //nolint:gosec // runners of other users may share it
		return Binary{}, fmt.Errorf("make the cache: %w", err)
	}
	part, err := os.MkdirTemp(p.Cache, partPrefix)
	if err != nil {
		return Binary{}, fmt.Errorf("write into the cache: %w", err)
	}
	defer os.RemoveAll(part)
	p.sweep(part)
	get := p.Releases.terraform
	if want.Name == Tofu {
		get = p.Releases.tofu
	}
	v, err := get(ctx, want, part)
	if err != nil {
		return Binary{}, fmt.Errorf("get it from its maker: %w", err)
	}
	for _, file := range []string{part, filepath.Join(part, want.Name)} {
		if err := os.Chmod(file, 0o755); err != nil { //nolint:gosec // as above
			return Binary{}, fmt.Errorf("let it be run: %w", err)
		}
	}
	dir := filepath.Join(p.Cache, want.Name+"_"+v.String())
	if err := os.Rename(part, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return Binary{}, fmt.Errorf("put it into the cache: %w", err)
	}
	return p.installed(ctx, want, filepath.Join(dir, want.Name))
}

// sweep removes what processes have left that were killed while they downloaded: what is much older than own, which is new.
func (p *Places) sweep(own string) {
	now, err := os.Stat(own)
	if err != nil {
		return
	}
	others, _ := filepath.Glob(filepath.Join(p.Cache, partPrefix+"*"))
	for _, other := range others {
		if info, err := os.Stat(other); err == nil && now.ModTime().Sub(info.ModTime()) > abandonedAfter {
			_ = os.RemoveAll(other) // the next one tries again
		}
	}
}

// installed holds that what is in the cache is what was asked for.
func (p *Places) installed(ctx context.Context, want Request, path string) (Binary, error) {
	v, err := versionOf(ctx, path)
	if err != nil {
		return Binary{}, err
	}
	if !want.allows(v) {
		return Binary{}, fmt.Errorf("%s says that it is %s: remove it", path, v)
	}
	return Binary{Path: path, Identity: v1alpha2.EngineIdentity{Name: want.Name, Version: v.String()}}, nil
}

// mirror is where a maker's files are.
type mirror struct {
	// url is without what is secret in it, as errors hold it; "" is the maker's own place.
	url    string
	client *http.Client
}

// mirrorAt makes a client of our own: tofudl would change the one that all of the process shares.
func mirrorAt(address string) (*mirror, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport = transport.Clone()
	at, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the URL of the mirror can't be read") // it may hold a password
	}
	user := at.User
	at.User = nil
	return &mirror{url: strings.TrimSuffix(at.String(), "/"), client: &http.Client{Transport: &login{user: user, host: at.Host, next: transport}}}, nil
}

// login gives a mirror the name and password of its URL.
type login struct {
	user *url.Userinfo
	host string
	next http.RoundTripper
}

// RoundTrip leaves requests to others, after a redirect say, as they are.
func (l *login) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.user != nil && r.URL.Host == l.host {
		password, _ := l.user.Password()
		r = r.Clone(r.Context())
		r.SetBasicAuth(l.user.Username(), password)
	}
	return l.next.RoundTrip(r)
}

// terraform downloads a Terraform into dir.
func (r *Releases) terraform(ctx context.Context, want Request, dir string) (*version.Version, error) {
	from, err := mirrorAt(r.TerraformURL)
	if err != nil {
		return nil, err
	}
	source, err := from.terraform(ctx, want)
	if err != nil {
		return nil, err
	}
	source.InstallDir, source.ApiBaseURL, source.ArmoredPublicKey, source.HTTPClient = dir, from.url, r.TerraformKey, from.client
	if _, err := source.Install(ctx); err != nil {
		return nil, err
	}
	return source.Version, nil
}

func (m *mirror) terraform(ctx context.Context, want Request) (*releases.ExactVersion, error) {
	if want.exact != nil {
		return &releases.ExactVersion{Product: product.Terraform, Version: want.exact}, nil
	}
	list := &releases.Versions{Product: product.Terraform, Constraints: supported, ApiBaseURL: m.url, HTTPClient: m.client}
	all, err := list.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, source := range slices.Backward(all) {
		if s, ok := source.(*releases.ExactVersion); ok && want.allows(s.Version) {
			return s, nil
		}
	}
	return nil, errNoRelease
}

// tofu downloads an OpenTofu into dir.
func (r *Releases) tofu(ctx context.Context, want Request, dir string) (*version.Version, error) {
	from, err := mirrorAt(r.TofuURL)
	if err != nil {
		return nil, err
	}
	loader, err := tofudl.New(from.tofuOptions(r.TofuKey)...)
	if err != nil {
		return nil, err
	}
	all, err := loader.ListVersions(ctx)
	if err != nil {
		return nil, err
	}
	for _, release := range all { // the newest first
		v, err := version.NewSemver(string(release.ID))
		if err != nil || !want.allows(v) || v.Prerelease() != "" && want.exact == nil {
			continue
		}
		binary, err := loader.DownloadVersion(ctx, release, tofudl.Platform(runtime.GOOS), tofudl.Architecture(runtime.GOARCH))
		if err != nil {
			return nil, err
		}
		return v, os.WriteFile(filepath.Join(dir, Tofu), binary, 0o700)
	}
	return nil, errNoRelease
}

func (m *mirror) tofuOptions(key string) []tofudl.ConfigOpt {
	options := []tofudl.ConfigOpt{tofudl.ConfigHTTPClient(m.client)}
	if key != "" {
		options = append(options, tofudl.ConfigGPGKey(key))
	}
	if m.url == "" {
		return options
	}
	return append(options, tofudl.ConfigAPIURL(m.url+"/api.json"), tofudl.ConfigDownloadMirrorURLTemplate(m.url+"/v{{ .Version }}/{{ .Artifact }}"))
}
