// Package runner does one TerraformRun, from work order to result, inside the run's own pod and with the rights of the
// pod's account. Execute is the way in; a run's steps are listed, in order, in job.work and
// job.steps.
package runner
