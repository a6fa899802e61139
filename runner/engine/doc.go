// Package engine runs the OpenTofu or Terraform CLI. It is the only package that knows terraform-exec and hc-install.
//
// # Processes
//
// A command gets exactly one interrupt (SIGINT, to the engine's process alone: its group would take it to the
// providers, which then fail in the middle of a call), when its context ends. It is then left to end by itself: it
// finishes what is in flight, writes the state, releases the lock. It is killed, with all that descends from it, when
// Options.Grace has passed since the deadline of its context (since the interrupt, where there is no deadline), or when
// Options.Kill ends. After each command every process that it left behind is killed and reaped: the children of
// local-exec outlive the engine.
//
// # Environment
//
// The engine inherits the environment of this process, which is the pod's. So a user's TF_VAR_x, TF_TOKEN_x,
// TF_CLI_ARGS_x and the credentials of providers work as on a desk. terraform-exec would refuse TF_VAR_x and others if
// they were given to it by SetEnv, so that function is not used. Of the variables, terraform-exec empties TF_LOG,
// TF_LOG_CORE, TF_LOG_PATH and TF_LOG_PROVIDER, drops TF_WORKSPACE (spec.workspace rules) and sets TF_IN_AUTOMATION=1.
package engine
