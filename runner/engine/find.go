package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/fs"
	"github.com/hashicorp/hc-install/product"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Supported are the versions that this package can drive: 1.5 is the oldest Terraform it is meant for, OpenTofu
// begins with 1.6.
const Supported = ">= 1.5.0"

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

// Find looks for an engine on the PATH, tofu before terraform. The error is ErrNotFound, with what was tried.
func Find(ctx context.Context) (Binary, error) {
	constraints, err := version.NewConstraint(Supported)
	if err != nil {
		return Binary{}, fmt.Errorf("parse the supported versions: %w", err)
	}
	tried := []error{ErrNotFound}
	for _, name := range []string{Tofu, Terraform} {
		found := &fs.Version{Product: productOf(name), Constraints: constraints, Timeout: findTimeout}
		path, err := found.Find(ctx)
		if err != nil {
			tried = append(tried, err)
			continue
		}
		v, err := versionOf(ctx, path)
		if err != nil {
			return Binary{}, err
		}
		return Binary{Path: path, Identity: v1alpha2.EngineIdentity{Name: name, Version: v.String()}}, nil
	}
	return Binary{}, errors.Join(tried...)
}

// productOf describes an engine to hc-install, whose own product Terraform does not read the version of a tofu. A
// pre-release counts as the version that it precedes.
func productOf(name string) product.Product {
	return product.Product{
		Name:       name,
		BinaryName: func() string { return name },
		GetVersion: func(ctx context.Context, path string) (*version.Version, error) {
			v, err := versionOf(ctx, path)
			if err != nil {
				return nil, err
			}
			return v.Core(), nil
		},
	}
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
