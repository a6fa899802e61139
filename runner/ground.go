package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// contents are the digests of the files in a folder, by path from there: see plan.FileDigest. They are this user's, so that what is run could make
// those readable that are not: it is done at once.
func contents(folder string) (map[string]string, error) {
	found := map[string]string{}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("read the files of the artifact: %w", err)
	}
	defer func() { _ = root.Close() }()
	// Not by root.FS: names that are no UTF-8 have no place there.
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		found[name], err = contentOf(root, name)
		if errors.Is(err, fs.ErrPermission) {
			err = root.Chmod(name, 0o600)
			if err == nil {
				found[name], err = contentOf(root, name)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of the artifact: %w", err)
	}
	return found, nil
}

// contentOf tells a program from a text.
func contentOf(root *os.Root, name string) (string, error) {
	file, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	sum, err := plan.FileDigest(name, file)
	if info.Mode().Perm()&0o111 != 0 {
		sum += " x"
	}
	return sum, err
}

// sealed are the changes of the plan in the module's folder, with digests under the object's own key, which is the same for all its plans.
func (p *planner) sealed(ctx context.Context, made *tfjson.Plan) (*plan.Changes, error) {
	file, err := os.ReadFile(filepath.Join(p.dir.module, planFile))
	if err != nil {
		return nil, fmt.Errorf("read the plan file: %w", err)
	}
	sources, err := plan.Sources(file)
	if err != nil {
		return nil, err
	}
	return p.changes(ctx, made, sources)
}

// sealedFormer are those of a plan that the incumbent has stored. It wrote the same backend in another way.
func (p *planner) sealedFormer(ctx context.Context, made *tfjson.Plan, file []byte) (*plan.Changes, error) {
	sources, err := plan.Sources(file)
	if err != nil {
		return nil, err
	}
	if own := p.dir.backend.File; own != nil && sources != nil {
		if sources[plan.SourceName(backend.FileName)], err = plan.FileDigest("", bytes.NewReader(own)); err != nil {
			return nil, err
		}
	}
	return p.changes(ctx, made, sources)
}

func (p *planner) changes(ctx context.Context, made *tfjson.Plan, sources map[string]string) (*plan.Changes, error) {
	var key []byte
	err := retry(ctx, apiPatience, func(ctx context.Context) (err error) {
		key, err = planstore.Key(ctx, p.cfg.Client, p.owner)
		return err
	})
	if err != nil {
		return nil, err
	}
	module, err := filepath.Rel(p.dir.root, p.dir.module)
	if err != nil {
		return nil, fmt.Errorf("find the module in the artifact: %w", err)
	}
	// The spec is not the one that is worked on, which may be a keepsake's.
	return plan.FromJSON(made, key, plan.Scope{Spec: &p.run.Spec.Terraform, Module: module, Sources: sources, Files: p.dir.contents})
}
