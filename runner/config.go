package runner

import (
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// Config is what a runner is told by its pod.
type Config struct {
	// Client reaches the API server as the pod's account. It must not cache: a run is claimed by what it reads.
	Client client.WithWatch
	// Namespace of the run, which is the pod's.
	Namespace string
	// PodName and Runner say which pod this is. Runner.PodUID must not be empty.
	PodName string
	Runner  v1alpha2.RunnerIdentity
	// Artifacts is where the controller serves artifacts.
	Artifacts Artifacts
	// Root is the folder for working directories. A plan holds the path it was made at, so it must be the same for
	// all runs of an object.
	Root string
	// Home is the folder for the files that spec.fileMappings put there.
	Home string
	// Engines are the places where the engine is found.
	Engines engine.Places
	// Getenv, Setenv and Unsetenv read and change the environment that the engine inherits.
	Getenv   func(name string) string
	Setenv   func(name, value string) error
	Unsetenv func(name string) error
	// environment is what Execute has changed of it.
	environment *environment
	// Executable is this program, which git asks for credentials (`git-credential FILE`).
	Executable string
	// Grace is the time from the end of Execute's context (SIGTERM) until the engine is killed.
	Grace time.Duration
	// Idle is how long, after a plan that can be applied, the order to apply it is waited for.
	Idle time.Duration
	// Now is the clock for what is reported.
	Now func() time.Time
	// Log gets what happens, and what the engine says, redacted.
	Log logr.Logger
	// Chatter says how much of the engine goes to the log.
	Chatter Chatter
}

// Chatter is what a user wants to see of the engine in the runner's log. What is secret is in neither.
type Chatter struct {
	// Quiet: nothing of what the engine says.
	Quiet bool
	// Plan: each plan that has changes, as a person reads it.
	Plan bool
}

// Artifacts is the controller's artifact endpoint.
type Artifacts struct {
	// URL of the endpoint, like https://terraform-controller.flux-system.svc:9443.
	URL string
	// CA is the certificate, in PEM, that signs the endpoint's.
	CA []byte
	// TokenFile holds the pod's token for the audience v1alpha2.ArtifactAudience.
	TokenFile string
	// MaxBytes limits the artifact, packed.
	MaxBytes int64
}

// Limits of a run.
const (
	// apiPatience is how long the API server may be away when something has to be written.
	apiPatience = time.Minute
	// reportEvery is the least time between two reports of the step.
	reportEvery = 2 * time.Second
	// stepTime limits the steps that have no setting of their own.
	stepTime = 5 * time.Minute
	// stepGrace is the time that the engine has after the deadline of a step, before it is killed.
	stepGrace = 2 * time.Minute

	initTime    = 15 * time.Minute
	planTime    = time.Hour
	applyTime   = 6 * time.Hour
	outputsTime = 5 * time.Minute
)

// maxDirName is what a file system takes, with room for the endings of files that stand beside the directory.
const maxDirName = 255 - 32

// dir is the working directory of an object: the same for each of its runs, as a plan holds absolute paths.
func (c *Config) dir(name string) string {
	return filepath.Join(c.Root, v1alpha2.SafeName(maxDirName, c.Namespace+"-", name, ""))
}

// limit is the time that a step may take: spec.timeouts, or its documented default.
func limit(t *v1alpha2.Timeouts, step v1alpha2.RunStep) time.Duration {
	if t == nil {
		t = &v1alpha2.Timeouts{}
	}
	switch step {
	case v1alpha2.StepInit:
		return durationOr(t.Init, initTime)
	case v1alpha2.StepPlan:
		return durationOr(t.Plan, planTime)
	case v1alpha2.StepApply:
		return durationOr(t.Apply, applyTime)
	case v1alpha2.StepOutputs:
		return durationOr(t.Outputs, outputsTime)
	default:
		return stepTime
	}
}

func durationOr(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}
