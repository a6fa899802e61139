// Package e2e tells the stories that users live, on a local cluster in which everything is real but the node.
package e2e

import (
	"context"
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

// emptyImage is an image without runner and engine in it.
const emptyImage = "empty:local"

var system *local.System

func TestMain(m *testing.M) {
	node.MaybeChild()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "terraform-controller-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	empty := filepath.Join(dir, "empty-image")
	if err := makeEmptyImage(empty); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err == nil {
		system, err = local.Start(ctx, local.Options{
			Root: root, Dir: filepath.Join(dir, "cluster"), Log: logr.Discard(), Images: map[string]string{emptyImage: empty},
		})
	}
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
	return removeAll(dir)
}

// makeEmptyImage makes an image in which no engine is found, whatever the machine has.
func makeEmptyImage(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "image.json"), []byte(`{"env": ["PATH=/none", "HOME=/home/runner"], "user": 65532}`), 0o644)
}

func removeAll(dir string) int {
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
