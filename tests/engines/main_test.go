// Package engines tells what happens where there is more than one engine. It needs the Terraforms of make test-all.
package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terraform-controller/terraform-controller/tests/local"
)

// enginesDir is the folder with Terraforms in the runner image.
const enginesDir = "/usr/local/share/engines"

var system *local.System

func TestMain(m *testing.M) {
	os.Exit(local.Run(m, "engines", &system, func(ctx context.Context, dir string) (local.Options, error) {
		folder, err := makeImage(ctx, filepath.Join(dir, "image"))
		return local.Options{Images: map[string]string{local.RunnerImage: folder}, ControllerArgs: []string{"--engine-downloads=false"}}, err
	}))
}

// makeImage makes the runner image with Terraforms besides its tofu.
func makeImage(ctx context.Context, folder string) (string, error) {
	for _, copied := range [][2]string{
		{filepath.Join("..", "..", "build", "runner-image"), folder},
		{filepath.Join("..", "..", "bin", "engines"), filepath.Join(folder, enginesDir)},
	} {
		if out, err := exec.CommandContext(ctx, "cp", "-RL", copied[0], copied[1]).CombinedOutput(); err != nil {
			return "", fmt.Errorf("copying %s (make terraforms builds them): %w: %s", copied[0], err, out)
		}
	}
	config := filepath.Join(folder, "image.json")
	text, err := os.ReadFile(config)
	if err != nil {
		return "", err
	}
	with := strings.Replace(string(text), `"env": [`, `"env": ["ENGINES_DIR=`+enginesDir+`",`, 1)
	return folder, os.WriteFile(config, []byte(with), 0o644)
}
