package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// provide reads what the run is given besides variables, and puts it where the engine finds it. An apply takes it as it is
// now; a destroy may fall back on what was kept.
func (w *workdir) provide(ctx context.Context) error {
	given, err := w.readProvided(ctx)
	if err != nil {
		if given = w.keptProvided(ctx); given == nil {
			return err
		}
		w.log.Info("what the spec names can't be read; the destroy takes what was kept", "error", err.Error())
	}
	w.secrets.addInputs(given.Secrets()...)
	w.provided = given
	if err := w.placeFiles(); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := w.placeCLIConfig(); err != nil {
		return fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	if err := w.cfg.accessTo(w.owner.Name).place(given.Credentials); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return nil
}

func (w *workdir) readProvided(ctx context.Context) (*inputs.Provided, error) {
	reader := inputs.NewReader(w.cfg.Client, w.run.Namespace)
	given := &inputs.Provided{}
	var err error
	if given.Files, err = reader.Files(ctx, w.spec.FileMappings); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if given.CLIConfig, err = reader.CLIConfig(ctx, w.spec.CliConfigSecretRef); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	if given.Backend, err = reader.Backend(ctx, w.spec.BackendConfigsFrom); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if given.Credentials, err = reader.Credentials(ctx, w.spec.ModuleCredentials); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if w.spec.Cloud != nil {
		if given.CloudToken, err = reader.CloudToken(ctx, w.spec.Cloud.TokenSecretRef); err != nil {
			return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
		}
	}
	w.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Inputs = append(s.Inputs, reader.Read()...) })
	return given, nil
}

// keptProvided is nil when the run may not fall back on what was kept, or it can't be had.
func (w *workdir) keptProvided(ctx context.Context) *inputs.Provided {
	kept := w.keptForDestroy(ctx)
	if kept == nil {
		return nil
	}
	given := &inputs.Provided{}
	if len(kept.Provided) == 0 {
		return given
	}
	if err := json.Unmarshal(kept.Provided, given); err != nil {
		w.log.Info("what was kept can't be used", "error", err.Error())
		return nil
	}
	if !sameService(kept.Spec.Cloud, w.spec.Cloud) {
		given.CloudToken = "" // it was meant for another
	}
	return given
}

// encodeProvided is what a keepsake holds of it; nil for nothing.
func (w *workdir) encodeProvided() ([]byte, error) {
	given, err := json.Marshal(w.provided)
	if err != nil {
		return nil, fmt.Errorf("encode what the run was given: %w", err)
	}
	if w.provided == nil || string(given) == "{}" {
		return nil, nil
	}
	return given, nil
}

// placeFiles writes the mapped files. A link leads nowhere outside of home and workspace.
func (w *workdir) placeFiles() error {
	for i := range w.provided.Files {
		file := &w.provided.Files[i]
		path, err := w.placeOf(file)
		if err == nil {
			err = writePrivate(path, file.Content)
		}
		if err != nil {
			return fmt.Errorf("spec.fileMappings[%d].path: write %q in %s: %w", i, file.Path, file.Location, err)
		}
	}
	return nil
}

// placeCLIConfig lets the engine read its configuration from the Secret, instead of from the image. The file is outside of the
// working directory: nothing that is packed there may hold it.
func (w *workdir) placeCLIConfig() error {
	if w.provided.CLIConfig == nil {
		return nil
	}
	path := w.cfg.dir(w.owner.Name) + ".tfrc"
	if err := writePrivate(path, w.provided.CLIConfig); err != nil {
		return fmt.Errorf("write the CLI configuration: %w", err)
	}
	if err := w.cfg.Setenv("TF_CLI_CONFIG_FILE", path); err != nil {
		return fmt.Errorf("name the CLI configuration: %w", err)
	}
	return nil
}

// placeBackendConfig writes the settings of the backend into a file for init: arguments of a command can be seen by others.
// The answer is the file's name, "" without settings.
func (w *workdir) placeBackendConfig() (string, error) {
	for _, s := range w.provided.Backend {
		if err := w.backend.Override(s.Name, s.Value); err != nil {
			return "", fmt.Errorf("spec.backendConfigsFrom: %w", err)
		}
	}
	content := w.backend.Overrides()
	if content == nil {
		return "", nil
	}
	path := w.cfg.dir(w.owner.Name) + ".backend"
	if err := writePrivate(path, content); err != nil {
		return "", fmt.Errorf("write the settings of the backend: %w", err)
	}
	return path, nil
}

func (w *workdir) placeOf(file *inputs.File) (string, error) {
	base := w.module
	if file.Location == inputs.LocationHome {
		base = w.cfg.Home
	}
	return securejoin.SecureJoin(base, file.Path)
}

// mapped says that the file at path came from a Secret.
func (w *workdir) mapped(path string) bool {
	if w.provided == nil {
		return false
	}
	for i := range w.provided.Files {
		if placed, err := w.placeOf(&w.provided.Files[i]); err == nil && placed == path {
			return true
		}
	}
	return false
}

// writePrivate writes a file that only this user can read, in place of one that is there.
func writePrivate(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, content, private)
}
