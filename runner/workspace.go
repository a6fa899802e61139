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
func (w *workdir) workspace(ctx context.Context) error {
	if err := w.provide(ctx); err != nil {
		return err
	}
	if err := w.writeBackend(); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if w.run.Spec.Operation == v1alpha2.OperationApply {
		return nil
	}
	file, err := w.variables(ctx)
	if err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	if err := w.writeModuleFile(variablesFile, file); err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	return w.renderTemplate(file)
}

// variables is the file of variables, of the inputs as they are now. A destroy may fall back on what was kept.
func (w *workdir) variables(ctx context.Context) ([]byte, error) {
	read, err := inputs.Read(ctx, w.cfg.Client, w.run.Namespace, w.spec)
	if err != nil {
		return w.keptInstead(ctx, err)
	}
	w.secrets.addInputs(read.Secrets...)
	w.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Inputs = append(s.Inputs, read.Read...) })
	w.toKeep = &keepsake.Kept{Variables: read.File, Secrets: slices.Concat(read.Secrets, w.podSecrets)}
	return w.overKept(read.File)
}

func (w *workdir) writeBackend() error {
	settings, err := backend.Render(w.owner.Name, w.run.Namespace, w.spec)
	if err != nil {
		return err
	}
	w.backend = settings
	if w.backendConfig, err = w.placeBackendConfig(); err != nil {
		return err
	}
	if settings.File == nil {
		if err := settings.OwnCloud(w.module); err != nil {
			return err
		}
	}
	return w.placeBackend()
}

// placeBackend puts the backend into the module, and lets the engine into spec.cloud.
func (w *workdir) placeBackend() error {
	if w.backend.File != nil {
		if err := w.writeModuleFile(backend.FileName, w.backend.File); err != nil {
			return err
		}
	}
	return w.openCloud()
}

// writeModuleFile puts a file into the module's folder, in place of whatever the artifact has there.
func (w *workdir) writeModuleFile(name string, content []byte) error {
	path := filepath.Join(w.module, name)
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(path, content, private); err != nil { //nolint:gosec // the names are those of this package
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
