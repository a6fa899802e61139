package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2/textlogger"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

var local *cluster.Cluster

func TestMain(m *testing.M) {
	node.MaybeChild()
	if os.Getenv("NODE_TEST_KUBECONFIG") != "" {
		os.Exit(helper())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "node-test-")
	if err != nil {
		return fail(err)
	}
	images, err := makeImages(dir)
	if err != nil {
		return fail(err)
	}
	local, err = cluster.Start(context.Background(), cluster.Options{
		Dir: filepath.Join(dir, "cluster"), Bin: "../../bin", Images: images, WithoutSources: true, Log: logger(),
	})
	if err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := local.Stop(); err != nil {
		return fail(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func logger() logr.Logger {
	return textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1)))
}
