// Package faults breaks things for real, in the middle of the work, and holds that everything comes right without a
// person. A test that breaks what all share, like the controller, or fills the cluster, has it to itself; those that break
// only what is their own are parallel, and so come after all others.
package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

var system *local.System

// -short leaves out the tests whose names end with _Long, and the cases that are named by long.
const longForm = `_Long$|/.*\(long\)$`

// long names a case of which the short form has a like.
func long(name string) string { return name + " (long)" }

func TestMain(m *testing.M) {
	node.MaybeChild()
	flag.Parse()
	if testing.Short() {
		if err := flag.Set("test.skip", longForm); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(local.Run(m, "faults", &system, func(ctx context.Context, dir string) (local.Options, error) {
		folder, err := makeHeldImage(ctx, dir)
		return local.Options{
			Proxied: true, Images: map[string]string{heldImage: folder}, ControllerArgs: []string{
				"--enable-leader-election", "--leader-election-lease-duration=5s", "--leader-election-renew-deadline=4s", "--leader-election-retry-period=1s",
			},
		}, err
	}))
}
