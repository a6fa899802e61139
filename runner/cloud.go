package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
)

// cloudAccess lets the engine work with the service of spec.cloud.
type cloudAccess struct {
	// token of the spec of the object; "" where it has none. No run holds it.
	token string
}

// errRemote is the way out where the service would do the work itself.
var errRemote = errors.New("the workspace of spec.cloud plans and applies in the service, where the plan that is approved could not be the plan " +
	"that is applied; nothing was begun. Set the workspace's execution mode to Local: the state stays there, and the runner does the work")

// tokenOf is the token of the object as it is now, if it is meant for the service that the run works with.
func tokenOf(live, run *v1alpha2.CloudSpec) string {
	if live == nil || run == nil || live.Hostname != run.Hostname || live.Organization != run.Organization {
		return ""
	}
	return live.Token
}

// openCloud prepares what init needs for spec.cloud.
func (j *job) openCloud() error {
	cloud := j.backend.Cloud
	if cloud == nil {
		return nil
	}
	if j.provided.CloudToken != "" {
		j.access.token = j.provided.CloudToken
	}
	j.secrets.add(j.access.token)
	return j.access.open(cloud, j.module, j.cfg.Setenv)
}

// open gives the token to the engine, through its environment: neither a command line nor a file of the module has it.
// Without a token, that of the CLI configuration counts.
func (a cloudAccess) open(cloud *backend.Cloud, module string, setenv func(name, value string) error) error {
	if err := noLocalState(module); err != nil {
		return err
	}
	if a.token != "" {
		if err := setenv(cloud.TokenVariable(), a.token); err != nil {
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
