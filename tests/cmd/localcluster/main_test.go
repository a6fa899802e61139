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
	g.Expect(names(g, dir)).To(ConsistOf(".local-cluster", "logs", "out", "pid"), "no keys, no data")
	g.Expect(names(g, filepath.Join(dir, "logs"))).To(ContainElements("kube-apiserver.log", "terraform-controller.log"))
	g.Expect(down(t.Context(), dir)).To(Succeed(), "a second time")
	release, err := claim(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(release()).To(Succeed())
}

func names(g *WithT, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestDown_RemovesWhatAKilledClusterLeft: and nothing of a folder that no cluster made.
func TestDown_RemovesWhatAKilledClusterLeft(t *testing.T) {
	for _, marker := range []string{".local-cluster", "another-file"} {
		g, dir := NewWithT(t), t.TempDir()
		for _, name := range []string{"pki", "logs"} {
			g.Expect(os.Mkdir(filepath.Join(dir, name), 0o700)).To(Succeed())
		}
		for _, name := range []string{marker, pidFile, "kubeconfig", "pki/sa.key"} {
			g.Expect(os.WriteFile(filepath.Join(dir, name), nil, 0o600)).To(Succeed())
		}
		g.Expect(down(t.Context(), dir)).To(Succeed())
		want := []string{marker, "logs", pidFile}
		if marker != ".local-cluster" {
			want = append(want, "kubeconfig", "pki")
		}
		g.Expect(names(g, dir)).To(ConsistOf(want))
	}
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
