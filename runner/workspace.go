package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
)

const (
	// variablesFile is the name that the incumbent gave it: its place in the alphabet decides which other files of
	// variables override it.
	variablesFile = "generated.auto.tfvars.json"
	planFile      = "tfplan"
	lockFile      = ".terraform.lock.hcl"
	erroredState  = "errored.tfstate"

	private = 0o600
)

// workspace writes what the module does not have itself: files from Secrets, its backend and, for a plan, its variables.
func (j *job) workspace(ctx context.Context) error {
	if err := j.provide(ctx); err != nil {
		return err
	}
	if err := j.writeBackend(); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if j.run.Spec.Operation == v1alpha2.OperationApply {
		return nil
	}
	file, err := j.variables(ctx)
	if err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	if err := j.writeModuleFile(variablesFile, file); err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	return j.renderTemplate(file)
}

// variables is the file of variables, of the inputs as they are now. A destroy may fall back on what was kept.
func (j *job) variables(ctx context.Context) ([]byte, error) {
	read, err := inputs.Read(ctx, j.cfg.Client, j.run.Namespace, j.spec)
	if err != nil {
		return j.keptInstead(ctx, err)
	}
	j.secrets.add(read.Secrets...)
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Inputs = append(s.Inputs, read.Read...) })
	j.toKeep = &keepsake.Kept{Variables: read.File, Secrets: slices.Concat(read.Secrets, j.podSecrets)}
	return j.overKept(read.File)
}

func (j *job) writeBackend() error {
	settings, err := backend.Render(j.owner.Name, j.run.Namespace, j.spec)
	if err != nil {
		return err
	}
	j.backend = settings
	if j.backendConfig, err = j.placeBackendConfig(); err != nil {
		return err
	}
	if settings.File == nil {
		if err := settings.OwnCloud(j.module); err != nil {
			return err
		}
	}
	return j.placeBackend()
}

// placeBackend puts the backend into the module, and lets the engine into spec.cloud.
func (j *job) placeBackend() error {
	if j.backend.File != nil {
		if err := j.writeModuleFile(backend.FileName, j.backend.File); err != nil {
			return err
		}
	}
	return j.openCloud()
}

// writeModuleFile puts a file into the module's folder, in place of whatever the artifact has there.
func (j *job) writeModuleFile(name string, content []byte) error {
	path := filepath.Join(j.module, name)
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(path, content, private); err != nil { //nolint:gosec // the names are those of this package
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
