package runner

import (
	"cmp"
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
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
)

// provide reads what the run is given besides variables, and puts it where the engine finds it. An apply takes it as it is
// now; a destroy may fall back on what was kept.
func (j *job) provide(ctx context.Context) error {
	given, err := j.readProvided(ctx)
	if err != nil {
		if given = j.keptProvided(ctx); given == nil {
			return err
		}
		j.log.Info("what the spec names can't be read; the destroy takes what was kept", "error", err.Error())
	}
	j.secrets.add(given.Secrets()...)
	j.provided = given
	if err := j.placeFiles(); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if err := j.placeCLIConfig(); err != nil {
		return fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	if err := j.cfg.accessTo(j.owner.Name).place(given.Credentials); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	return nil
}

func (j *job) readProvided(ctx context.Context) (*inputs.Provided, error) {
	reader := inputs.NewReader(j.cfg.Client, j.run.Namespace)
	given := &inputs.Provided{}
	var err error
	if given.Files, err = reader.Files(ctx, j.spec.FileMappings); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if given.CLIConfig, err = reader.CLIConfig(ctx, j.spec.CliConfigSecretRef); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecNewFailed, err)
	}
	if given.Backend, err = reader.Backend(ctx, j.spec.BackendConfigsFrom); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if given.Credentials, err = reader.Credentials(ctx, j.spec.ModuleCredentials); err != nil {
		return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	if j.spec.Cloud != nil {
		if given.CloudToken, err = reader.CloudToken(ctx, j.spec.Cloud.TokenSecretRef); err != nil {
			return nil, fail(v1alpha2.ReasonTFExecInitFailed, err)
		}
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Inputs = append(s.Inputs, reader.Read()...) })
	return given, nil
}

// keptProvided is nil when the run may not fall back on what was kept, or it can't be had.
func (j *job) keptProvided(ctx context.Context) *inputs.Provided {
	kept := j.keptForDestroy(ctx)
	if kept == nil {
		return nil
	}
	given := &inputs.Provided{}
	if len(kept.Provided) == 0 {
		return given
	}
	if err := json.Unmarshal(kept.Provided, given); err != nil {
		j.log.Info("what was kept can't be used", "error", err.Error())
		return nil
	}
	if !sameService(kept.Spec.Cloud, j.spec.Cloud) {
		given.CloudToken = "" // it was meant for another
	}
	return given
}

// encodeProvided is what a keepsake holds of it; nil for nothing.
func (j *job) encodeProvided() ([]byte, error) {
	given, err := json.Marshal(j.provided)
	if err != nil {
		return nil, fmt.Errorf("encode what the run was given: %w", err)
	}
	if j.provided == nil || string(given) == "{}" {
		return nil, nil
	}
	return given, nil
}

// placeFiles writes the mapped files. A link leads nowhere outside of home and workspace.
func (j *job) placeFiles() error {
	for i := range j.provided.Files {
		file := &j.provided.Files[i]
		path, err := j.placeOf(file)
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
func (j *job) placeCLIConfig() error {
	if j.provided.CLIConfig == nil {
		return nil
	}
	path := j.cfg.dir(j.owner.Name) + ".tfrc"
	if err := writePrivate(path, j.provided.CLIConfig); err != nil {
		return fmt.Errorf("write the CLI configuration: %w", err)
	}
	if err := j.cfg.Setenv("TF_CLI_CONFIG_FILE", path); err != nil {
		return fmt.Errorf("name the CLI configuration: %w", err)
	}
	return nil
}

// placeBackendConfig writes the settings of the backend into a file for init: arguments of a command can be seen by others.
// The answer is the file's name, "" without settings.
func (j *job) placeBackendConfig() (string, error) {
	for _, s := range j.provided.Backend {
		if err := j.backend.Override(s.Name, s.Value); err != nil {
			return "", fmt.Errorf("spec.backendConfigsFrom: %w", err)
		}
	}
	content := j.backend.Overrides()
	if content == nil {
		return "", nil
	}
	path := j.cfg.dir(j.owner.Name) + ".backend"
	if err := writePrivate(path, content); err != nil {
		return "", fmt.Errorf("write the settings of the backend: %w", err)
	}
	return path, nil
}

func (j *job) placeOf(file *inputs.File) (string, error) {
	base := j.module
	if file.Location == inputs.LocationHome {
		base = j.cfg.Home
	}
	return securejoin.SecureJoin(base, file.Path)
}

// mapped says that the file at path came from a Secret.
func (j *job) mapped(path string) bool {
	if j.provided == nil {
		return false
	}
	for i := range j.provided.Files {
		if placed, err := j.placeOf(&j.provided.Files[i]); err == nil && placed == path {
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

// keptForDestroy is what the last apply has kept; nil when the run may not fall back on it, or it can't be had.
func (j *job) keptForDestroy(ctx context.Context) *keepsake.Kept {
	if j.kept != nil || j.fallback != nil {
		return cmp.Or(j.kept, j.fallback)
	}
	if !j.mayFallBack() {
		return nil
	}
	kept, err := keepsake.Load(ctx, j.cfg.Client, j.owner, j.run.Spec.Kept)
	if err != nil {
		j.log.Info("what was kept can't be used", "error", err.Error())
		return nil
	}
	j.secrets.add(kept.Secrets...)
	j.fallback = kept
	return kept
}
