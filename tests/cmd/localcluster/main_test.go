package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

// helperDir makes this program the one that the test starts.
const helperDir = "LOCALCLUSTER_TEST_DIR"

func TestMain(m *testing.M) {
	node.MaybeChild()
	if dir := os.Getenv(helperDir); dir != "" {
		os.Args = []string{"localcluster", "up", "--dir", dir, "--root", "../../.."}
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestUpAndDown(t *testing.T) {
	g, dir := NewWithT(t), t.TempDir()
	g.Expect(down(t.Context(), dir)).To(Succeed(), "nothing is up")
	process := startHelper(g, dir)
	out := func() (string, error) {
		data, err := os.ReadFile(process.out)
		return string(data), err
	}
	g.Eventually(out, time.Minute).Should(ContainSubstring("export KUBECONFIG=" + filepath.Join(dir, "kubeconfig")))
	g.Expect(filepath.Join(dir, "kubeconfig")).To(BeAnExistingFile())
	_, err := claim(dir)
	g.Expect(err).To(MatchError(ContainSubstring("already up")))

	g.Expect(down(t.Context(), dir)).To(Succeed())
	g.Expect(process.cmd.Wait()).To(Succeed())
	g.Expect(down(t.Context(), dir)).To(Succeed(), "a second time")
	release, err := claim(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(release()).To(Succeed())
}

func TestUp_StopsTheClusterWhenSomethingFails(t *testing.T) {
	g, dir := NewWithT(t), t.TempDir()
	var system *local.System
	err := up(t.Context(), local.Options{Dir: dir, Root: "../../.."}, func(_ context.Context, started *local.System) error {
		system = started
		return os.ErrInvalid
	})
	g.Expect(err).To(MatchError(os.ErrInvalid))
	g.Expect(system.Client.List(t.Context(), &corev1.PodList{}, client.Limit(1))).To(MatchError(ContainSubstring("connection refused")))
}
