package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/fs"
	"github.com/hashicorp/hc-install/product"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// The names of engines, as they are found on the PATH and recorded with a plan.
const (
	Tofu      = "tofu"
	Terraform = "terraform"
)

const findTimeout = 30 * time.Second

// ErrNotFound says that there is no engine of a supported version on the PATH.
var ErrNotFound = errors.New("no engine found: neither tofu nor terraform " + Supported + " is on the PATH of the runner image")

// Binary is an engine on disk.
type Binary struct {
	// Path is absolute.
	Path string
	// Identity is the name under which it was found and the version that it reports.
	Identity v1alpha2.EngineIdentity
}

// Places are where engines are found, in this order: the PATH, Folder, Cache; what is in none of them is installed into Cache.
// The zero value is the PATH alone.
type Places struct {
	// Folder has engines that somebody has put there, like tofu_1.12.6/tofu. Optional.
	Folder string
	// Cache has engines that were installed, in the same form. Processes may share it.
	Cache string
	// Releases are where engines are downloaded from; nil forbids it.
	Releases *Releases
}

// Find finds an engine that is wanted, the first on the PATH, else the newest. The error is ErrNotFound, with what was tried, or a
// *NotFoundError.
func (p *Places) Find(ctx context.Context, want Request) (Binary, error) {
	s := &search{want: want}
	if found := s.find(ctx, nil); found != nil {
		return *found, nil
	}
	if want.ofImage() {
		return Binary{}, errors.Join(append([]error{ErrNotFound}, s.tried...)...)
	}
	for _, folder := range []string{p.Folder, p.Cache} {
		if dirs := s.candidates(folder); len(dirs) > 0 {
			if found := s.find(ctx, dirs); found != nil {
				return *found, nil
			}
		}
	}
	if p.Releases == nil || p.Cache == "" {
		return Binary{}, &NotFoundError{Want: want, Found: s.seen, Folder: p.Folder}
	}
	installed, err := p.install(ctx, want)
	if err != nil {
		return Binary{}, &NotFoundError{Want: want, Found: s.seen, Folder: p.Folder, Download: err}
	}
	return installed, nil
}

// search is what one look for an engine has come upon.
type search struct {
	want  Request
	seen  []Binary
	tried []error
}

// find looks on the PATH, or if there are any in dirs, and remembers whom it meets.
func (s *search) find(ctx context.Context, dirs []string) *Binary {
	for _, name := range s.want.names() {
		var met *Binary
		look := &fs.Version{Product: s.productOf(name, dirs, &met), Constraints: supported, ExtraPaths: dirs, Timeout: findTimeout}
		path, err := look.Find(ctx)
		if err != nil {
			s.tried = append(s.tried, err)
			continue
		}
		return &Binary{Path: path, Identity: met.Identity}
	}
	return nil
}

var errNotWanted = errors.New("it is not the version that is wanted")

// productOf describes an engine to hc-install, whose own product Terraform does not read the version of a tofu. The last one it was
// asked about is met. With dirs, those on the PATH were looked at before.
func (s *search) productOf(name string, dirs []string, met **Binary) product.Product {
	return product.Product{
		Name:       name,
		BinaryName: func() string { return name },
		GetVersion: func(ctx context.Context, path string) (*version.Version, error) {
			if dirs != nil && !slices.Contains(dirs, filepath.Dir(path)) {
				return nil, errNotWanted
			}
			v, err := versionOf(ctx, path)
			if err != nil {
				return nil, err
			}
			*met = &Binary{Path: path, Identity: v1alpha2.EngineIdentity{Name: name, Version: v.String()}}
			s.seen = append(s.seen, **met)
			if !s.want.allows(v) {
				return nil, errNotWanted
			}
			return v.Core(), nil
		},
	}
}

// candidates are the folders of a folder that may have the engine: itself, and those named after a wanted version, the newest
// first. The others are remembered by their names.
func (s *search) candidates(folder string) []string {
	if folder == "" {
		return nil
	}
	entries, _ := os.ReadDir(folder) // one that is not there has nothing
	claims := map[string]*version.Version{}
	var dirs []string
	for _, entry := range entries {
		name, text, _ := strings.Cut(entry.Name(), "_")
		v, err := version.NewSemver(text)
		if err != nil || name != Tofu && name != Terraform {
			continue
		}
		dir := filepath.Join(folder, entry.Name())
		if name != s.want.Name || !s.want.allows(v) {
			s.seen = append(s.seen, Binary{Path: filepath.Join(dir, name), Identity: v1alpha2.EngineIdentity{Name: name, Version: text}})
			continue
		}
		claims[dir] = v
		dirs = append(dirs, dir)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return claims[b].Compare(claims[a]) })
	return append(dirs, filepath.Clean(folder))
}

// NotFoundError is an engine that is wanted and can't be had.
type NotFoundError struct {
	// Want is what was asked for.
	Want Request
	// Found are the engines that are there and do not answer to it.
	Found []Binary
	// Folder is the one with mounted engines; "" for none.
	Folder string
	// Download is why it could not be downloaded; nil when downloads are not allowed.
	Download error
}

// Error says what there is, and what helps.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "spec.engine: no %s was found", e.Want)
	if e.Download != nil {
		fmt.Fprintf(&b, ", nor could it be downloaded (%v)", e.Download)
	} else {
		b.WriteString(", and downloads are not allowed here")
	}
	b.WriteString("; there is ")
	if len(e.Found) == 0 {
		b.WriteString("no engine at all")
	}
	for i, found := range e.Found {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s (%s)", found.Identity.Name, found.Identity.Version, found.Path)
	}
	b.WriteString(". Ask for one of those, use an image that has it on its PATH, or mount it as <name>_<version>/<name> below the folder that ENGINES_DIR names")
	if e.Folder != "" {
		fmt.Fprintf(&b, " (%s)", e.Folder)
	}
	return b.String()
}

// Unwrap is why it could not be downloaded.
func (e *NotFoundError) Unwrap() error { return e.Download }

// Nowhere says that the error of Find means an engine that is not there, nor in the releases: looking again changes nothing.
func Nowhere(err error) bool {
	missing, ok := errors.AsType[*NotFoundError](err)
	return ok && (missing.Download == nil || errors.Is(missing.Download, errNoRelease))
}

func versionOf(ctx context.Context, path string) (*version.Version, error) {
	out, err := exec.CommandContext(ctx, path, "version", "-json").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return parseVersion(out)
}

// parseVersion reads the output of "version -json", of which both engines name the version terraform_version. Warnings
// about the CLI configuration may stand before the JSON.
func parseVersion(out []byte) (*version.Version, error) {
	var reported struct {
		Version string `json:"terraform_version"`
	}
	start := max(bytes.IndexByte(out, '{'), 0)
	if err := json.NewDecoder(bytes.NewReader(out[start:])).Decode(&reported); err != nil {
		return nil, fmt.Errorf("decode the engine's version: %w", err)
	}
	v, err := version.NewVersion(reported.Version)
	if err != nil {
		return nil, fmt.Errorf("parse the engine's version: %w", err)
	}
	return v, nil
}
