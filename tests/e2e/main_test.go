// Package e2e tells the stories that users live, on a local cluster in which everything is real but the node.
package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/terraform-controller/terraform-controller/tests/local"
)

// emptyImage is an image without runner and engine in it.
const emptyImage = "empty:local"

var system *local.System

// metricsAddress is where the controller serves its metrics.
var metricsAddress string

func TestMain(m *testing.M) {
	os.Exit(local.Run(m, "e2e", &system, func(_ context.Context, dir string) (local.Options, error) {
		empty := filepath.Join(dir, "empty-image")
		var err error
		if metricsAddress, err = local.FreeAddress(); err != nil {
			return local.Options{}, err
		}
		return local.Options{
			Images: map[string]string{emptyImage: empty}, ControllerArgs: []string{
				"--feature-gates=ExternalArtifact=true", "--engine-downloads=false", "--allow-break-the-glass", "--metrics-addr=" + metricsAddress,
			},
		}, makeEmptyImage(empty)
	}))
}

// makeEmptyImage makes an image in which no engine is found, whatever the machine has.
func makeEmptyImage(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "image.json"), []byte(`{"env": ["PATH=/none", "HOME=/home/runner"], "user": 65532}`), 0o644)
}
