package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

const (
	// reserve is what the runner keeps of the pod's grace for itself: to kill what is left, and to report.
	reserve = 10 * time.Second

	defaultGraceSeconds = 30
	defaultTokenFile    = "/var/run/secrets/terraform-controller/token"
	defaultRoot         = "/tmp"
	defaultHome         = "/home/runner"

	// imageCLIConfig is the CLI configuration of a runner image, for users who set none.
	imageCLIConfig = "/.tofurc"
)

// options are what the controller tells the pod: by environment, or by flag.
type options struct {
	podName, podNamespace, podUID, nodeName string
	runName                                 string
	artifactURL, artifactCA, tokenFile      string
	root                                    string
	enginesDir, enginesCache                string
	terraformURL, tofuURL                   string
	engineDownloads                         bool
	graceSeconds, idleSeconds               int
	maxArtifact                             int64
	debug                                   bool
	chatter                                 runner.Chatter
}

func runCommand() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Do the run that the environment names",
		Long:  "Do the run that the environment names. The exit code is 0 when the result was reported, be it a failure of the run, else 1.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return o.run(ctx, cmd.OutOrStdout())
		},
	}
	o.bind(cmd.Flags())
	o.bindEngines(cmd.Flags())
	return cmd
}

func (o *options) bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.podName, "pod-name", os.Getenv("POD_NAME"), "name of this pod (POD_NAME)")
	flags.StringVar(&o.podNamespace, "pod-namespace", os.Getenv("POD_NAMESPACE"), "namespace of this pod and of the run (POD_NAMESPACE)")
	flags.StringVar(&o.podUID, "pod-uid", os.Getenv("POD_UID"), "UID of this pod (POD_UID)")
	flags.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "node of this pod (NODE_NAME)")
	flags.StringVar(&o.runName, "run-name", os.Getenv("RUN_NAME"), "name of the TerraformRun to do (RUN_NAME)")
	flags.StringVar(&o.artifactURL, "artifact-url", os.Getenv("ARTIFACT_URL"), "URL of the controller's artifact endpoint (ARTIFACT_URL)")
	flags.StringVar(&o.artifactCA, "artifact-ca", os.Getenv("ARTIFACT_CA"), "CA certificate of the endpoint, PEM (ARTIFACT_CA)")
	flags.StringVar(&o.tokenFile, "artifact-token-file", defaultTokenFile, "file with the token for the endpoint")
	flags.Int64Var(&o.maxArtifact, "artifact-max-bytes", 0, "largest artifact that is taken, in bytes; 0 is the default of the fetch")
	flags.StringVar(&o.root, "work-root", defaultRoot, "folder for the working directory")
	flags.IntVar(&o.graceSeconds, "termination-grace-seconds", seconds(os.Getenv("TERMINATION_GRACE_SECONDS"), defaultGraceSeconds),
		"time from SIGTERM until this pod is killed (TERMINATION_GRACE_SECONDS)")
	flags.IntVar(&o.idleSeconds, "idle-seconds", seconds(os.Getenv("RUNNER_IDLE_SECONDS"), 0),
		"time to wait, after a plan, for the order to apply it (RUNNER_IDLE_SECONDS)")
	flags.BoolVar(&o.debug, "debug", false, "log more")
	flags.BoolVar(&o.chatter.Quiet, "disable-engine-logs", isSet("DISABLE_TF_LOGS"), "log nothing of what the engine says (DISABLE_TF_LOGS)")
	flags.BoolVar(&o.chatter.Plan, "log-plan", isSet("LOG_HUMAN_READABLE_PLAN"),
		"log each plan that has changes, without what is secret (LOG_HUMAN_READABLE_PLAN)")
}

// isSet says whether a switch of the environment is on.
func isSet(name string) bool {
	on, err := strconv.ParseBool(os.Getenv(name))
	return err == nil && on
}

// bindEngines binds what decides where the engine that spec.engine asks for comes from.
func (o *options) bindEngines(flags *pflag.FlagSet) {
	allowed, err := strconv.ParseBool(os.Getenv("ENGINE_DOWNLOADS"))
	flags.BoolVar(&o.engineDownloads, "engine-downloads", err == nil && allowed, "download engines that are nowhere to be found (ENGINE_DOWNLOADS)")
	flags.StringVar(&o.enginesDir, "engines-dir", os.Getenv("ENGINES_DIR"), "folder with more engines, like terraform_1.5.7/terraform (ENGINES_DIR)")
	flags.StringVar(&o.enginesCache, "engines-cache-dir", cmp.Or(os.Getenv("ENGINES_CACHE_DIR"), defaultHome+"/.engines"),
		"folder for engines that are downloaded; runners can share it (ENGINES_CACHE_DIR)")
	flags.StringVar(&o.terraformURL, "engines-terraform-url", os.Getenv("ENGINES_TERRAFORM_URL"), "mirror of Terraform's releases (ENGINES_TERRAFORM_URL)")
	flags.StringVar(&o.tofuURL, "engines-tofu-url", os.Getenv("ENGINES_TOFU_URL"), "mirror of OpenTofu's releases (ENGINES_TOFU_URL)")
}

// places are where the engine is looked for.
func (o *options) places() engine.Places {
	places := engine.Places{Folder: o.enginesDir, Cache: o.enginesCache}
	if o.engineDownloads {
		places.Releases = &engine.Releases{TerraformURL: o.terraformURL, TofuURL: o.tofuURL}
	}
	return places
}

func seconds(text string, otherwise int) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return otherwise
	}
	return n
}

func (o *options) run(ctx context.Context, out io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	log := newLogger(out, o.debug)
	logger.SetLogger(log)
	if err := engine.BecomeSubreaper(); err != nil {
		return err
	}
	if err := prepareEnvironment(imageCLIConfig); err != nil {
		return err
	}
	c, err := newClient()
	if err != nil {
		return err
	}
	cfg := o.config(c, log)
	if cfg.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log.Info("runner started", "version", version, "pod", o.podName, "run", o.runName)
	if isSet("ENABLE_SENSITIVE_TF_LOGS") {
		log.Info("the environment variable ENABLE_SENSITIVE_TF_LOGS has no effect: what is secret is never logged")
	}
	return runner.Execute(ctx, cfg, o.runName)
}

// check says what is missing.
func (o *options) check() error {
	var missing []error
	for _, needed := range []struct{ name, value string }{
		{"POD_NAMESPACE", o.podNamespace}, {"POD_UID", o.podUID}, {"RUN_NAME", o.runName}, {"ARTIFACT_URL", o.artifactURL},
	} {
		if needed.value == "" {
			missing = append(missing, fmt.Errorf("%s is not set", needed.name))
		}
	}
	return errors.Join(missing...)
}

func (o *options) config(c client.WithWatch, log logr.Logger) runner.Config {
	return runner.Config{
		Client:    c,
		Namespace: o.podNamespace,
		PodName:   o.podName,
		Runner:    v1alpha2.RunnerIdentity{PodUID: o.podUID, Node: o.nodeName},
		Artifacts: runner.Artifacts{
			URL:       o.artifactURL,
			CA:        optional(o.artifactCA),
			TokenFile: o.tokenFile,
			MaxBytes:  o.maxArtifact,
		},
		Root:     o.root,
		Home:     defaultHome,
		Engines:  o.places(),
		Getenv:   os.Getenv,
		Setenv:   os.Setenv,
		Unsetenv: os.Unsetenv,
		Grace:    engineGrace(time.Duration(o.graceSeconds) * time.Second),
		Idle:     time.Duration(o.idleSeconds) * time.Second,
		Now:      time.Now,
		Log:      log,

		Chatter: o.chatter,
	}
}

func optional(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// engineGrace is the engine's part of the pod's grace: all but the reserve, of a short one half.
func engineGrace(pod time.Duration) time.Duration {
	return max(pod-reserve, pod/2)
}

// prepareEnvironment completes the environment that the engine inherits (see package engine). What a user has set in
// the pod stays, but for a HOME that can't be written to: some container runtimes give "/" to a user that the image does
// not know.
func prepareEnvironment(cliConfig string) error {
	var errs []error
	setDefault := func(name, value string) {
		if os.Getenv(name) == "" {
			errs = append(errs, os.Setenv(name, value))
		}
	}
	if unix.Access(os.Getenv("HOME"), unix.W_OK) != nil {
		errs = append(errs, os.Setenv("HOME", defaultHome))
	}
	setDefault("CHECKPOINT_DISABLE", "1")
	setDefault("GIT_TERMINAL_PROMPT", "0")
	for name, value := range proxyEnvironment(os.Getenv) {
		errs = append(errs, os.Setenv(name, value))
	}
	if _, err := os.Stat(cliConfig); err == nil {
		setDefault("TF_CLI_CONFIG_FILE", cliConfig)
	}
	return errors.Join(errs...)
}

func newClient() (client.WithWatch, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha2.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return c, nil
}

// newLogger logs JSON lines in the form of Flux's controllers.
func newLogger(out io.Writer, debug bool) logr.Logger {
	level := zapcore.InfoLevel
	if debug {
		level = zapcore.DebugLevel
	}
	return zap.New(zap.WriteTo(out), zap.Level(level), zap.StacktraceLevel(zapcore.PanicLevel),
		zap.JSONEncoder(func(c *zapcore.EncoderConfig) { c.EncodeTime = zapcore.ISO8601TimeEncoder }))
}
