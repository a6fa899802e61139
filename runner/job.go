package runner

import (
	"context"

	"github.com/go-logr/logr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// job is one run that this pod has claimed: its steps, one after the other, are done by the parts. Each part stands on those
// above it, and has fields that are set by the step that is named.
type job struct {
	*assignment
	dir     *workdir
	tool    *tool
	state   *custodian
	keeper  *keeper
	planner *planner
	applier *applier
	results *results

	// interrupt ends the context of all steps.
	interrupt context.CancelCauseFunc
	// made is the run that has made the plan, in this pod (takeOver).
	made *job
}

// assignment is what is to be done, and how it is told.
type assignment struct {
	cfg    Config
	log    logr.Logger
	run    *v1alpha2.TerraformRun
	spec   *v1alpha2.TerraformSpec
	report *reporter
	// owner is the Terraform object, with the spec of the run.
	owner   *v1alpha2.Terraform
	secrets redactor
	access  cloudAccess // to the service of spec.cloud

	podSecrets []string // hidePodSecrets: what the environment has of Secrets
}

// keepsakes are what a destroy works from where source or inputs are gone.
type keepsakes struct {
	*assignment

	kept     *keepsake.Kept // fetch: what is worked from in place of an artifact
	fallback *keepsake.Kept // keptForDestroy: what is there in place of inputs that are gone
}

// workdir is the module, and what it is given.
type workdir struct {
	keepsakes

	root          string            // fetch: the folder of the artifact
	module        string            // fetch: the folder of the module in it
	digest        string            // fetch: of the artifact, or of the keepsake
	contents      map[string]string // fetch: digests of its files, before anything is laid over them
	backend       *backend.Settings // workspace
	backendConfig string            // workspace: the file with more settings for init
	provided      *inputs.Provided  // workspace
	rendered      string            // workspace: the file that was made of a template
	toKeep        *keepsake.Kept    // workspace, apply: the variables that a destroy will need; the keeper completes and stores it
}

// tool is the engine.
type tool struct {
	*assignment
	dir *workdir
	// kill ends when the engine has to be killed.
	kill context.Context

	engine   *engine.Engine  // find
	progress engine.Progress // apply
}

// custodian watches over the state and its lock.
type custodian struct {
	*assignment
	dir  *workdir
	tool *tool

	found    *v1alpha2.StateStatus // guard: the state before the run
	trusted  bool                  // guard: the state is what the last run left
	versions *versions             // apply: of the state
	rescued  string                // apply: what became of a state that the engine could not write
}

// keeper stores what a destroy will need.
type keeper struct {
	*assignment
	dir *workdir
}

// planner makes plans, and stores them.
type planner struct {
	*assignment
	dir    *workdir
	tool   *tool
	state  *custodian
	keeper *keeper

	stored *planstore.Plan // plan, and load for an apply: the plan of the run
}

// applier applies a plan that is stored.
type applier struct {
	*assignment
	dir     *workdir
	tool    *tool
	state   *custodian
	keeper  *keeper
	planner *planner
}

// results are what a module has made, and whether that works.
type results struct {
	*assignment
	tool    *tool
	planner *planner

	values map[string]outputs.Value // outputs
}

func newJob(a *assignment) *job {
	j := &job{assignment: a, dir: &workdir{keepsakes: keepsakes{assignment: a}}}
	j.tool = &tool{assignment: a, dir: j.dir}
	j.state = &custodian{assignment: a, dir: j.dir, tool: j.tool}
	j.keeper = &keeper{assignment: a, dir: j.dir}
	j.planner = &planner{assignment: a, dir: j.dir, tool: j.tool, state: j.state, keeper: j.keeper}
	j.applier = &applier{assignment: a, dir: j.dir, tool: j.tool, state: j.state, keeper: j.keeper, planner: j.planner}
	j.results = &results{assignment: a, tool: j.tool, planner: j.planner}
	return j
}
