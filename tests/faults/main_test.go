// Package faults breaks things for real, in the middle of the work, and holds that everything comes right without a
// person. Its tests end the controller and fill the cluster, so that each has the cluster to itself: none is parallel, but
// the cases of one may be, where what they break is their own.
package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/go-logr/logr"

	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

var system *local.System

// longForm names the tests that -short leaves out.
const longForm = `TestControllerStruck_InEveryPhase/SIG|TestAPIServerAway_InEveryPhase/restarts|TestAPIServerStorms|` +
	`TestDeletion_InManyStates/.*(kept|failed|refused|implemented|suspended|missing)|TestPlan_IsNotWhatWasApproved/(chunk|plan_swapped|plan_missing)|` +
	`TestNodeGone_(ComesBack|PodRemovedByForce)|TestArtifact`

func TestMain(m *testing.M) {
	node.MaybeChild()
	flag.Parse()
	if testing.Short() {
		if err := flag.Set("test.skip", longForm); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "terraform-controller-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := makeHeldImage(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, "the image whose engine waits can't be made:", err)
		return 1
	}
	system, err = local.Start(ctx, local.Options{
		Root: filepath.Join("..", ".."), Dir: filepath.Join(dir, "cluster"), Log: logr.Discard(), Proxied: true,
		Images: map[string]string{heldImage: heldFolder}, ControllerArgs: []string{
			"--enable-leader-election", "--leader-election-lease-duration=5s", "--leader-election-renew-deadline=4s", "--leader-election-retry-period=1s",
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "the local cluster does not start:", err)
		return 1
	}
	code := m.Run()
	if err := system.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the local cluster does not stop:", err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "logs are left in", dir)
		return code
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
