package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"
)

// DefaultWorkspace always exists and needs not be selected.
const DefaultWorkspace = "default"

// jsonInit is the version from which on an engine has "init -json". *(OpenTofu: changelog of 1.12; Terraform: 1.9)*
var jsonInit = map[string]*version.Version{
	Tofu:      version.Must(version.NewVersion("1.12.0")),
	Terraform: version.Must(version.NewVersion("1.9.0")),
}

// InitOptions of Init.
type InitOptions struct {
	// Upgrade takes newer versions of providers and modules than those locked.
	Upgrade bool
	// BackendConfig is a file with more settings of the backend; "" for none.
	BackendConfig string
	// Cloud says that the state is kept by a cloud block, for which the engines refuse -reconfigure.
	Cloud bool
}

// Init initialises the working directory with -reconfigure. Never with -force-copy or -migrate-state: these would copy
// the state of one backend over that of another.
func (e *Engine) Init(ctx context.Context, o InitOptions) error {
	opts := []tfexec.InitOption{tfexec.Reconfigure(!o.Cloud), tfexec.Upgrade(o.Upgrade)}
	if o.BackendConfig != "" {
		opts = append(opts, tfexec.BackendConfig(o.BackendConfig))
	}
	return e.run(ctx, "init", func(ctx context.Context, out io.Writer) error {
		if e.hasJSONInit() {
			return e.tf.InitJSON(ctx, out, opts...)
		}
		e.tf.SetStdout(out)
		return e.tf.Init(ctx, opts...)
	})
}

func (e *Engine) hasJSONInit() bool {
	own, err := version.NewVersion(e.binary.Identity.Version)
	since := jsonInit[e.binary.Identity.Name]
	return err == nil && since != nil && own.Core().GreaterThanOrEqual(since)
}

// splitState is the Terraform from which on the kubernetes backend spreads a state over several Secrets named <secret>-part-<n>. OpenTofu
// does not. *(Terraform: 1.6 has it under other names)*
var splitState = version.Must(version.NewVersion("1.7.0"))

// SplitsState says that the kubernetes backend takes a state of more than one Secret.
func (e *Engine) SplitsState() bool {
	own, err := version.NewVersion(e.binary.Identity.Version)
	return err == nil && e.binary.Identity.Name == Terraform && own.Core().GreaterThanOrEqual(splitState)
}

// SelectWorkspace selects a workspace, and makes it when there is none of that name.
func (e *Engine) SelectWorkspace(ctx context.Context, name string) error {
	if name == DefaultWorkspace {
		return nil
	}
	var all []string
	err := e.run(ctx, "workspace list", func(ctx context.Context, _ io.Writer) (err error) {
		all, _, err = e.tf.WorkspaceList(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if slices.Contains(all, name) {
		return e.run(ctx, "workspace select", func(ctx context.Context, _ io.Writer) error { return e.tf.WorkspaceSelect(ctx, name) })
	}
	return e.run(ctx, "workspace new", func(ctx context.Context, _ io.Writer) error { return e.tf.WorkspaceNew(ctx, name) })
}

// PlanOptions of Plan.
type PlanOptions struct {
	// Out is the name of the plan file, relative to the working directory.
	Out string
	// Destroy plans the destruction of everything.
	Destroy bool
	// NoLock leaves the state unlocked.
	NoLock bool
	// LockTimeout is how long to wait for the lock.
	LockTimeout time.Duration
	// Targets limit the plan to these addresses.
	Targets []string
	// VarFiles are variable files; relative to the working directory, or absolute.
	VarFiles []string
	// Here refuses (ClassRemote) to let a service plan in the engine's place.
	Here bool
}

// here is a parallelism that is not the engines' default: with any other, they refuse to begin a run elsewhere.
const here = 11

func (o PlanOptions) options() []tfexec.PlanOption {
	opts := []tfexec.PlanOption{
		tfexec.Out(o.Out),
		tfexec.Destroy(o.Destroy),
		tfexec.Lock(!o.NoLock),
		tfexec.LockTimeout(o.LockTimeout.String()),
	}
	if o.Here {
		opts = append(opts, tfexec.Parallelism(here))
	}
	for _, target := range o.Targets {
		opts = append(opts, tfexec.Target(target))
	}
	for _, file := range o.VarFiles {
		opts = append(opts, tfexec.VarFile(file))
	}
	return opts
}

// Plan makes a plan and saves it. The answer is whether the engine sees changes, which includes those of the state
// alone.
func (e *Engine) Plan(ctx context.Context, o PlanOptions) (changes bool, err error) {
	err = e.run(ctx, "plan", func(ctx context.Context, out io.Writer) error {
		changes, err = e.tf.PlanJSON(ctx, out, o.options()...)
		return err
	})
	return changes, err
}

// ShowPlan reads a saved plan. It holds sensitive values in clear. Numbers are json.Number.
func (e *Engine) ShowPlan(ctx context.Context, file string) (plan *tfjson.Plan, err error) {
	err = e.run(ctx, "show", func(ctx context.Context, _ io.Writer) error {
		plan, err = e.tf.ShowPlanFile(ctx, file, tfexec.JSONNumber(true))
		return err
	})
	return plan, err
}

// ShowPlanJSON is a saved plan as the engine prints it in JSON, sensitive values in clear.
func (e *Engine) ShowPlanJSON(ctx context.Context, file string) ([]byte, error) {
	var printed bytes.Buffer
	err := e.run(ctx, "show", func(ctx context.Context, _ io.Writer) error {
		e.tf.SetStdout(&printed)
		_, err := e.tf.ShowPlanFile(ctx, file)
		return err
	})
	return printed.Bytes(), err
}

// ShowPlanText is a saved plan as the engine prints it for people, without what the module calls sensitive.
func (e *Engine) ShowPlanText(ctx context.Context, file string) (text string, err error) {
	err = e.run(ctx, "show", func(ctx context.Context, _ io.Writer) error {
		text, err = e.tf.ShowPlanFileRaw(ctx, file)
		return err
	})
	return text, err
}

// ApplyOptions of Apply.
type ApplyOptions struct {
	// PlanFile is the name of the saved plan, relative to the working directory.
	PlanFile string
	// LockTimeout is how long to wait for the lock.
	LockTimeout time.Duration
	// Parallelism of the apply; 0 is the engine's default.
	Parallelism int
}

func (o ApplyOptions) options() []tfexec.ApplyOption {
	opts := []tfexec.ApplyOption{tfexec.DirOrPlan(o.PlanFile), tfexec.LockTimeout(o.LockTimeout.String())}
	if o.Parallelism > 0 {
		opts = append(opts, tfexec.Parallelism(o.Parallelism))
	}
	return opts
}

// Apply applies a saved plan, one for destruction too. An interrupt that comes when all is done changes nothing.
func (e *Engine) Apply(ctx context.Context, o ApplyOptions) error {
	return e.run(ctx, "apply", func(ctx context.Context, out io.Writer) error {
		err := e.tf.ApplyJSON(ctx, out, o.options()...)
		var exit *exec.ExitError
		if s, ok := out.(*stream); ok && s.applied && !errors.As(err, &exit) {
			return nil
		}
		return err
	})
}

// Output is an output value of the root module.
type Output struct {
	Sensitive bool
	// Type is the type in cty's JSON form, Value the value, both as the engine prints them.
	Type, Value json.RawMessage
}

// Outputs reads the outputs from the state, sensitive ones in clear.
func (e *Engine) Outputs(ctx context.Context) (map[string]Output, error) {
	outputs := map[string]Output{}
	err := e.run(ctx, "output", func(ctx context.Context, _ io.Writer) error {
		found, err := e.tf.Output(ctx)
		for name, o := range found {
			outputs[name] = Output{Sensitive: o.Sensitive, Type: o.Type, Value: o.Value}
		}
		return err
	})
	return outputs, err
}

// ShowState reads the state, sensitive values in clear.
func (e *Engine) ShowState(ctx context.Context) (state *tfjson.State, err error) {
	err = e.run(ctx, "show", func(ctx context.Context, _ io.Writer) error {
		state, err = e.tf.Show(ctx)
		return err
	})
	return state, err
}

// PullState reads the state from its backend, in the engine's own form; empty when there is none. Sensitive values are
// in clear.
func (e *Engine) PullState(ctx context.Context) (state []byte, err error) {
	err = e.run(ctx, "state pull", func(ctx context.Context, _ io.Writer) error {
		text, err := e.tf.StatePull(ctx)
		state = []byte(text)
		return err
	})
	return state, err
}

// PushState writes a state file to the backend, under the lock. The engine refuses another lineage and an older serial.
func (e *Engine) PushState(ctx context.Context, file string) error {
	return e.run(ctx, "state push", func(ctx context.Context, _ io.Writer) error {
		if err := e.tf.StatePush(ctx, file, tfexec.Lock(true)); err != nil {
			return fmt.Errorf("push %s: %w", file, err)
		}
		return nil
	})
}

// ForceUnlock releases the lock with that ID, whoever holds it.
func (e *Engine) ForceUnlock(ctx context.Context, id string) error {
	return e.run(ctx, "force-unlock", func(ctx context.Context, _ io.Writer) error {
		if err := e.tf.ForceUnlock(ctx, id); err != nil {
			return fmt.Errorf("release lock %s: %w", id, err)
		}
		return nil
	})
}
