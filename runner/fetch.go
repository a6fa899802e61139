package runner

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
)

// fetchArtifact gets the artifact of the run into an empty folder, verified against its digest, and finds the module in it.
func (w *workdir) fetchArtifact(ctx context.Context) error {
	root := w.cfg.dir(w.owner.Name)
	if err := emptied(root); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("empty the working directory: %w", err))
	}
	address, err := url.JoinPath(w.cfg.Artifacts.URL, "artifacts", w.run.Namespace, w.run.Name)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("address of the artifact: %w", err))
	}
	err = source.Fetch(ctx, source.Request{
		URL:       address,
		CA:        w.cfg.Artifacts.CA,
		TokenFile: w.cfg.Artifacts.TokenFile,
		Digest:    w.run.Spec.Source.Digest,
		MaxBytes:  w.cfg.Artifacts.MaxBytes,
	}, root)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, w.artifactEgress().explain(err))
	}
	w.root, w.digest = root, w.run.Spec.Source.Digest
	return w.findModule()
}

func (w *workdir) artifactEgress() egress {
	e := egress{namespace: w.run.Namespace, to: "the artifact endpoint of the controller"}
	if address, err := url.Parse(w.cfg.Artifacts.URL); err == nil {
		e.endpoint = address.Host
	}
	return e
}

func emptied(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// findModule notes what is there, and resolves spec.path. Links in the artifact lead nowhere outside of it.
func (w *workdir) findModule() error {
	var err error
	if w.contents, err = contents(w.root); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	module, err := securejoin.SecureJoin(w.root, w.spec.Path)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(module); err == nil && !info.IsDir() {
			err = os.ErrNotExist
		}
	}
	if err != nil {
		s := w.run.Spec.Source
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("spec.path %q is not in artifact %s of %s/%s",
			path.Clean(w.spec.Path), s.Revision, s.Kind, s.Name))
	}
	w.module = module
	if err := cleared(module); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	return nil
}

// cleared removes what only the engine may write and what somebody may have committed: a selected workspace, the
// settings of another backend, a state that was once left behind (see custodian.rescue).
func cleared(module string) error {
	for _, name := range []string{dataDir + "/environment", dataDir + "/terraform.tfstate", erroredState} {
		if err := os.RemoveAll(filepath.Join(module, name)); err != nil {
			return fmt.Errorf("clear the working directory: %w", err)
		}
	}
	return nil
}
