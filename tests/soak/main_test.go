// Package soak lets many objects live for a long time while things break at random, and holds that in the end nothing
// is lost, nothing is stuck and the controller has not grown. `make soak` has the figures that matter; without flags it
// is a short form, which shows that it works.
package soak

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

var (
	system *local.System
	// metrics is the address of the controller's metrics.
	metrics string

	objects  = flag.Int("soak.objects", 10, "how many Terraform objects")
	tenants  = flag.Int("soak.tenants", 2, "in how many namespaces")
	duration = flag.Duration("soak.for", 40*time.Second, "how long things break")
	every    = flag.Duration("soak.every", 5*time.Second, "time between two faults")
	seed     = flag.Uint64("soak.seed", uint64(time.Now().UnixNano()), "of what is random")
)

func TestMain(m *testing.M) {
	node.MaybeChild()
	flag.Parse()
	os.Exit(local.Run(m, "soak", &system, func(context.Context, string) (local.Options, error) {
		var err error
		metrics, err = local.FreeAddress()
		return local.Options{Proxied: true, ControllerArgs: []string{"--metrics-addr=" + metrics, "--log-level=info"}}, err
	}))
}
