package runner

import (
	"cmp"
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
func (w *workdir) fetch(ctx context.Context) error {
	if w.run.Spec.Source.Kind == v1alpha2.SourceKept {
		return w.fetchKept(ctx, w.run.Spec.Source.Digest)
	}
	err := w.fetchArtifact(ctx)
	if err == nil || !w.mayFallBack() || ctx.Err() != nil {
		return err
	}
	if keptErr := w.fetchKept(ctx, w.run.Spec.Kept); keptErr != nil {
		w.log.Info("nor can what was kept be used", "error", keptErr.Error())
		return err
	}
	w.log.Info("the artifact can't be had; the destroy works from what was kept", "error", err.Error())
	return nil
}

// mayFallBack: only a destroy works from what is not the present source and inputs.
func (k *keepsakes) mayFallBack() bool { return k.run.Spec.Terraform.Destroy && k.run.Spec.Kept != "" }

// fetchKept unpacks a keepsake in place of an artifact. What shapes a plan is then as it was when it was kept;
// who is to see it is as the object says now: the controller asks by that.
func (w *workdir) fetchKept(ctx context.Context, digest string) error {
	kept, err := keepsake.Load(ctx, w.cfg.Client, w.owner, digest)
	if err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	root := w.cfg.dir(w.owner.Name)
	if err := emptied(root); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, fmt.Errorf("empty the working directory: %w", err))
	}
	if err := unpack(root, kept.Files); err != nil {
		return fail(v1alpha2.ReasonArtifactFailed, err)
	}
	now := *w.spec
	*w.spec = kept.Spec
	w.spec.Destroy, w.spec.Engine = now.Destroy, now.Engine
	w.spec.Timeouts, w.spec.TfState, w.spec.Parallelism = now.Timeouts, now.TfState, now.Parallelism
	w.spec.StateBackups = now.StateBackups
	w.spec.Webhooks, w.spec.StoreReadablePlan = now.Webhooks, now.StoreReadablePlan
	w.secrets.addInputs(kept.Secrets...)
	w.kept, w.root, w.digest = kept, root, digest
	return w.findModule()
}

// keptInstead are the kept variables, for a destroy whose inputs can't be read; its error is why they can't.
func (k *keepsakes) keptInstead(ctx context.Context, why error) ([]byte, error) {
	file := k.keptVariables(ctx)
	if file == nil {
		return nil, why
	}
	k.log.Info("the inputs can't be read; the destroy takes the values that were kept", "error", why.Error())
	return file, nil
}

// keptVariables are nil when the run may not fall back on any, or they can't be had.
func (k *keepsakes) keptVariables(ctx context.Context) []byte {
	if kept := k.keptForDestroy(ctx); kept != nil {
		return kept.Variables
	}
	return nil
}

// keptForDestroy is what the last apply has kept; nil when the run may not fall back on it, or it can't be had.
func (k *keepsakes) keptForDestroy(ctx context.Context) *keepsake.Kept {
	if k.kept != nil || k.fallback != nil {
		return cmp.Or(k.kept, k.fallback)
	}
	if !k.mayFallBack() {
		return nil
	}
	kept, err := keepsake.Load(ctx, k.cfg.Client, k.owner, k.run.Spec.Kept)
	if err != nil {
		k.log.Info("what was kept can't be used", "error", err.Error())
		return nil
	}
	k.secrets.addInputs(kept.Secrets...)
	k.fallback = kept
	return kept
}

// overKept lays the inputs as they are now over the variables of the keepsake that is worked from.
func (k *keepsakes) overKept(file []byte) ([]byte, error) {
	if k.kept == nil {
		return file, nil
	}
	values, now := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := errors.Join(json.Unmarshal(k.kept.Variables, &values), json.Unmarshal(file, &now)); err != nil {
		return nil, fmt.Errorf("decode the variables: %w", err)
	}
	maps.Copy(values, now)
	return json.Marshal(values)
}

// keep stores what a destroy will need, before the engine is started: an apply that dies half way has made something,
// too. Not being able to keep it is no failure of the apply, but it is said.
func (k *keeper) keep(ctx context.Context) {
	if k.spec.Destroy || k.dir.toKeep == nil {
		return
	}
	kept, err := k.store(ctx)
	if err != nil {
		text := k.secrets.text(fmt.Sprintf("What a destroy needs is not kept: %v. Deleting this object with its resources will need its source and inputs", err))
		k.log.Info("no keepsake is stored", "error", text)
		kept = &v1alpha2.RunKept{Message: text}
	}
	k.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Kept = kept })
}

// keepUnchanged is for an object that has no keepsake, though its infrastructure is as the module says: one that was
// applied by another controller, or before there were keepsakes.
func (k *keeper) keepUnchanged(ctx context.Context) {
	if k.run.Spec.Kept != "" {
		return
	}
	k.keep(ctx)
	k.report.set(func(s *v1alpha2.TerraformRunStatus) {
		if s.Kept != nil && s.Kept.Digest == "" {
			s.Kept = nil // an apply will say it; a drift check does not, each time
		}
	})
}

func (k *keeper) store(ctx context.Context) (*v1alpha2.RunKept, error) {
	packed, err := k.packModule()
	if err != nil {
		return nil, err
	}
	if k.dir.toKeep.Provided, err = k.dir.encodeProvided(); err != nil {
		return nil, err
	}
	k.dir.toKeep.Revision, k.dir.toKeep.Spec, k.dir.toKeep.Files = k.run.Spec.Source.Revision, *k.spec.DeepCopy(), packed
	stored := &v1alpha2.RunKept{}
	var tooLarge *bundle.TooLargeError
	err = retry(ctx, keepPatience, func(ctx context.Context) (err error) {
		stored.Digest, stored.Size, err = keepsake.Save(ctx, k.cfg.Client, k.owner, k.dir.toKeep)
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

// prune removes older keepsakes once the new one is reported.
func (k *keeper) prune(ctx context.Context) {
	kept := k.report.status().Kept
	if kept == nil || kept.Digest == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTime)
	defer cancel()
	if err := keepsake.Prune(ctx, k.cfg.Client, k.owner, kept.Digest); err != nil {
		k.log.Info("could not remove old keepsakes", "error", err.Error())
	}
}

// packModule packs the files of the artifact: all of them, or, where they are too many, those that modules consist of.
func (k *keeper) packModule() ([]byte, error) {
	var err error
	for _, wanted := range []func(string) bool{func(string) bool { return true }, partOfModule} {
		packed := &capped{room: keepsake.MaxFiles}
		left := func(path string, info os.FileInfo) bool {
			return madeHere(k.dir.root, path) || k.dir.mapped(path) || !info.IsDir() && !wanted(path)
		}
		if _, err = tar.Tar(k.dir.root, packed, tar.WithFilter(left)); err == nil {
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
