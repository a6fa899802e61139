package runner

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
)

// cloudAccess lets the engine work with the service of spec.cloud.
type cloudAccess struct {
	// live is spec.cloud of the object as it is now: no run holds its token.
	live *v1alpha2.CloudSpec
}

// errRemote is the way out where the service would do the work itself.
var errRemote = errors.New("the workspace of spec.cloud plans and applies in the service, where the plan that is approved could not be the plan " +
	"that is applied; nothing was begun. Set the workspace's execution mode to Local: the state stays there, and the runner does the work")

// tokenOf is the token of the object as it is now, if it is meant for the service that the run works with.
func tokenOf(live, run *v1alpha2.CloudSpec) string {
	if !sameService(live, run) {
		return ""
	}
	return live.Token
}

func sameService(a, b *v1alpha2.CloudSpec) bool {
	return a != nil && b != nil && a.Hostname == b.Hostname && a.Organization == b.Organization
}

// openCloud prepares what init needs for spec.cloud. Which service that is, is known by now: a keepsake has its own.
func (w *workdir) openCloud() error {
	cloud := w.backend.Cloud
	if cloud == nil {
		return nil
	}
	token := cmp.Or(w.provided.CloudToken, tokenOf(w.access.live, w.spec.Cloud))
	w.secrets.add(token)
	return openCloud(cloud, token, w.module, w.cfg.Setenv)
}

// openCloud gives the token to the engine, through its environment: neither a command line nor a file of the module has it.
// Without a token, that of the CLI configuration counts.
func openCloud(cloud *backend.Cloud, token, module string, setenv func(name, value string) error) error {
	if err := noLocalState(module); err != nil {
		return err
	}
	if token != "" {
		if err := setenv(cloud.TokenVariable(), token); err != nil {
			return fmt.Errorf("spec.cloud.hostname: pass the token of %q to the engine: %w", cloud.Host, err)
		}
	}
	if cloud.Select == "" {
		return nil
	}
	path := filepath.Join(module, dataDir, "environment")
	if err := writePrivate(path, []byte(cloud.Select)); err != nil {
		return fmt.Errorf("select workspace %s: %w", cloud.Select, err)
	}
	return nil
}

// noLocalState: with a cloud block init knows no -reconfigure, and would copy a state that it finds beside the module over
// the one of the workspace.
func noLocalState(module string) error {
	for _, name := range []string{"terraform.tfstate", "terraform.tfstate.d"} {
		_, err := os.Lstat(filepath.Join(module, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for a state beside the module: %w", err)
		}
		return fmt.Errorf("the artifact has %s beside the module, which init would copy into the workspace of spec.cloud: remove it from the source", name)
	}
	return nil
}
