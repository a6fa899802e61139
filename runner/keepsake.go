package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/tar"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
)

// keepPatience is how long an apply waits for the API server to take its keepsake.
const keepPatience = 30 * time.Second

// moduleSuffixes are the files that are kept of an artifact that is too large to be kept whole.
var moduleSuffixes = []string{
	".tf", ".tf.json", ".tofu", ".tofu.json", ".tfvars", ".tfvars.json", lockFile, ".tftpl", ".tpl", ".tmpl", ".yaml", ".yml", ".json", ".sh",
}

// fetch gets the artifact, or what the last apply has kept where the run says so, or where a destroy can't have the
// artifact: it was deleted, or the module is not in it any more.
func (j *job) fetch(ctx context.Context) error {
	if j.run.Spec.Source.Kind == v1alpha2.SourceKept {
		return j.fetchKept(ctx, j.run.Spec.Source.Digest)
	}
	err := j.fetchArtifact(ctx)
	if err == nil || !j.mayFallBack() || ctx.Err() != nil {
		return err
	}
	if keptErr := j.fetchKept(ctx, j.run.Spec.Kept); keptErr != nil {
		j.log.Info("nor can what was kept be used", "error", keptErr.Error())
		return err
	}
	j.log.Info("the artifact can't be had; the destroy works from what was kept", "error", err.Error())
	return nil
}

// mayFallBack: only a destroy works from what is not the present source and inputs.
func (j *job) mayFallBack() bool { return j.run.Spec.Terraform.Destroy && j.run.Spec.Kept != "" }

// fetchKept unpacks a keepsake in place of an artifact. What shapes a plan is then as it was when it was kept;
// who is to see it is as the object says now: the controller asks by that.
func (j *job) fetchKept(ctx context.Context, digest string) error {
	kept, err := keepsake.Load(ctx, j.cfg.Client, j.owner, digest)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	root := j.cfg.dir(j.owner.Name)
	if err := emptied(root); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("empty the working directory: %w", err))
	}
	if err := unpack(root, kept.Files); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	now := *j.spec
	*j.spec = kept.Spec
	j.spec.Destroy, j.spec.Engine = now.Destroy, now.Engine
	j.spec.Timeouts, j.spec.TfState, j.spec.Parallelism = now.Timeouts, now.TfState, now.Parallelism
	j.spec.StateBackups = now.StateBackups
	j.spec.Webhooks, j.spec.StoreReadablePlan = now.Webhooks, now.StoreReadablePlan
	j.secrets.add(kept.Secrets...)
	j.kept, j.root, j.digest = kept, root, digest
	return j.findModule()
}

// keptInstead are the kept variables, for a destroy whose inputs can't be read; its error is why they can't.
func (j *job) keptInstead(ctx context.Context, why error) ([]byte, error) {
	file := j.keptVariables(ctx)
	if file == nil {
		return nil, why
	}
	j.log.Info("the inputs can't be read; the destroy takes the values that were kept", "error", why.Error())
	return file, nil
}

// keptVariables are nil when the run may not fall back on any, or they can't be had.
func (j *job) keptVariables(ctx context.Context) []byte {
	if kept := j.keptForDestroy(ctx); kept != nil {
		return kept.Variables
	}
	return nil
}

// overKept lays the inputs as they are now over the variables of the keepsake that is worked from.
func (j *job) overKept(file []byte) ([]byte, error) {
	if j.kept == nil {
		return file, nil
	}
	values, now := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := errors.Join(json.Unmarshal(j.kept.Variables, &values), json.Unmarshal(file, &now)); err != nil {
		return nil, fmt.Errorf("decode the variables: %w", err)
	}
	maps.Copy(values, now)
	return json.Marshal(values)
}

// keep stores what a destroy will need, before the engine is started: an apply that dies half way has made something,
// too. Not being able to keep it is no failure of the apply, but it is said.
func (j *job) keep(ctx context.Context) {
	if j.spec.Destroy || j.toKeep == nil {
		return
	}
	kept, err := j.store(ctx)
	if err != nil {
		text := j.secrets.text(fmt.Sprintf("What a destroy needs is not kept: %v. Deleting this object with its resources will need its source and inputs", err))
		j.log.Info("no keepsake is stored", "error", text)
		kept = &v1alpha2.RunKept{Message: text}
	}
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Kept = kept })
}

// keepUnchanged is for an object that has no keepsake, though its infrastructure is as the module says: one that was
// applied by another controller, or before there were keepsakes.
func (j *job) keepUnchanged(ctx context.Context) {
	if j.run.Spec.Kept != "" {
		return
	}
	j.keep(ctx)
	j.report.set(func(s *v1alpha2.TerraformRunStatus) {
		if s.Kept != nil && s.Kept.Digest == "" {
			s.Kept = nil // an apply will say it; a drift check does not, each time
		}
	})
}

func (j *job) store(ctx context.Context) (*v1alpha2.RunKept, error) {
	packed, err := j.packModule()
	if err != nil {
		return nil, err
	}
	if j.toKeep.Provided, err = j.encodeProvided(); err != nil {
		return nil, err
	}
	j.toKeep.Revision, j.toKeep.Spec, j.toKeep.Files = j.run.Spec.Source.Revision, *j.spec.DeepCopy(), packed
	stored := &v1alpha2.RunKept{}
	var tooLarge *bundle.TooLargeError
	err = retry(ctx, keepPatience, func(ctx context.Context) (err error) {
		stored.Digest, stored.Size, err = keepsake.Save(ctx, j.cfg.Client, j.owner, j.toKeep)
		if errors.As(err, &tooLarge) {
			return nil
		}
		return err
	})
	if tooLarge != nil {
		return nil, tooLarge
	}
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// pruneKept removes older keepsakes once the new one is reported.
func (j *job) pruneKept(ctx context.Context) {
	kept := j.report.status().Kept
	if kept == nil || kept.Digest == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	if err := keepsake.Prune(ctx, j.cfg.Client, j.owner, kept.Digest); err != nil {
		j.log.Info("could not remove old keepsakes", "error", err.Error())
	}
}

// packModule packs the files of the artifact: all of them, or, where they are too many, those that modules consist of.
func (j *job) packModule() ([]byte, error) {
	var err error
	for _, wanted := range []func(string) bool{func(string) bool { return true }, partOfModule} {
		packed := &capped{room: keepsake.MaxFiles}
		left := func(path string, info os.FileInfo) bool {
			return madeHere(j.root, path) || j.mapped(path) || !info.IsDir() && !wanted(path)
		}
		if _, err = tar.Tar(j.root, packed, tar.WithFilter(left)); err == nil {
			return packed.Bytes(), nil
		}
		if !errors.Is(err, errExtrasTooLarge) {
			return nil, fmt.Errorf("pack the files of the artifact: %w", err)
		}
	}
	return nil, fmt.Errorf("the module's files, packed, are larger than %d KiB", keepsake.MaxFiles>>10)
}

func partOfModule(path string) bool {
	return slices.ContainsFunc(moduleSuffixes, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
}

// madeHere are files of the engine and of the runner, which a destroy makes anew.
func madeHere(root, path string) bool {
	inside, err := filepath.Rel(root, path)
	if err != nil {
		return true
	}
	switch filepath.Base(path) {
	case planFile, variablesFile, backend.FileName, erroredState:
		return true
	}
	if strings.HasPrefix(filepath.Base(path), lastVariables) {
		return true
	}
	parts := strings.Split(inside, string(filepath.Separator))
	return slices.Contains(parts, dataDir) || slices.Contains(parts, ".git")
}
