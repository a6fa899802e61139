package local

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"

	"github.com/terraform-controller/terraform-controller/tests/node"
)

// RunnerFolder is the runner image that tests in a folder of tests/ are to work with: the one that RUNNER_IMAGE_DIR names, which
// make test-all sets to try other engines, or build/runner-image.
func RunnerFolder() string {
	return cmp.Or(os.Getenv("RUNNER_IMAGE_DIR"), filepath.Join("..", "..", "build", "runner-image"))
}

// Run starts a System, puts it into *system, runs the tests and stops it; the result is the exit code. It is the whole of a
// TestMain, and the first thing in it. name is that of the package; options may make what they name in the folder dir, and
// leave Root, RunnerFolder, Dir and Log to Run. The folder, with all logs, stays when a test has failed.
func Run(m interface{ Run() int }, name string, system **System, options func(ctx context.Context, dir string) (Options, error)) int {
	node.MaybeChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "terraform-controller-"+name+"-")
	if err != nil {
		return failed("making a folder for the tests", err)
	}
	opts, err := options(ctx, dir)
	if err != nil {
		return failed("preparing the tests", err)
	}
	opts.Root, opts.Dir, opts.Log = filepath.Join("..", ".."), filepath.Join(dir, "cluster"), logr.Discard()
	opts.RunnerFolder = RunnerFolder()
	if *system, err = Start(ctx, opts); err != nil {
		return failed("the local cluster does not start", err)
	}
	code := m.Run()
	if err := (*system).Stop(); err != nil {
		code = failed("the local cluster does not stop", err)
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "logs are left in", dir)
		return code
	}
	if err := os.RemoveAll(dir); err != nil {
		return failed("removing the tests' folder", err)
	}
	return 0
}

func failed(what string, err error) int {
	fmt.Fprintln(os.Stderr, what+":", err)
	return 1
}
