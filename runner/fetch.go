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
func (j *job) fetchArtifact(ctx context.Context) error {
	root := j.cfg.dir(j.owner.Name)
	if err := emptied(root); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("empty the working directory: %w", err))
	}
	address, err := url.JoinPath(j.cfg.Artifacts.URL, "artifacts", j.run.Namespace, j.run.Name)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("address of the artifact: %w", err))
	}
	err = source.Fetch(ctx, source.Request{
		URL:       address,
		CA:        j.cfg.Artifacts.CA,
		TokenFile: j.cfg.Artifacts.TokenFile,
		Digest:    j.run.Spec.Source.Digest,
		MaxBytes:  j.cfg.Artifacts.MaxBytes,
	}, root)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, j.artifactEgress().explain(err))
	}
	j.root, j.digest = root, j.run.Spec.Source.Digest
	return j.findModule()
}

func (j *job) artifactEgress() egress {
	e := egress{namespace: j.run.Namespace, to: "the artifact endpoint of the controller"}
	if address, err := url.Parse(j.cfg.Artifacts.URL); err == nil {
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

// findModule resolves spec.path. Links in the artifact lead nowhere outside of it.
func (j *job) findModule() error {
	module, err := securejoin.SecureJoin(j.root, j.spec.Path)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(module); err == nil && !info.IsDir() {
			err = os.ErrNotExist
		}
	}
	if err != nil {
		s := j.run.Spec.Source
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("spec.path %q is not in artifact %s of %s/%s",
			path.Clean(j.spec.Path), s.Revision, s.Kind, s.Name))
	}
	j.module = module
	if err := cleared(module); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	return nil
}

// cleared removes what only the engine may write and what somebody may have committed: a selected workspace, the
// settings of another backend, a state that was once left behind (see rescueState).
func cleared(module string) error {
	for _, name := range []string{dataDir + "/environment", dataDir + "/terraform.tfstate", erroredState} {
		if err := os.RemoveAll(filepath.Join(module, name)); err != nil {
			return fmt.Errorf("clear the working directory: %w", err)
		}
	}
	return nil
}
