package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const patience = 20 * time.Second

// alive says that a process lives; a zombie does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	p, ok := parseStat(stat)
	return ok && !p.zombie
}

func exists(pid string) bool {
	_, err := os.Stat(filepath.Join("/proc", pid))
	return err == nil
}

// start runs a command of an engine with that script in the background, and waits until it has written its file "up".
func start(t *testing.T, ctx context.Context, script string, opts Options) (*fake, <-chan error) {
	t.Helper()
	f := newFake(t, Tofu, "1.12.6", "cd "+t.TempDir()+"\n"+script)
	up := filepath.Join(f.dir, "up")
	f.binary.Path = rewrite(t, f.binary.Path, "UP", up)
	e := f.engine(t, opts)
	done := make(chan error, 1)
	go func() { done <- e.Apply(ctx, ApplyOptions{PlanFile: "tfplan"}) }()
	NewWithT(t).Eventually(func() error { _, err := os.Stat(up); return err }, patience, 5*time.Millisecond).Should(Succeed())
	return f, done
}

func rewrite(t *testing.T, path, from, to string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(content), from, to)), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun_InterruptsTheEngineAloneAndOnce(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	// The child is in the engine's process group, and notes a signal too.
	f, done := start(t, ctx, `
sh -c 'trap "echo child >> UP.signals" INT; echo > UP.child; while [ ! -e UP.end ]; do sleep 0.05; done' &
trap 'echo engine >> UP.signals' INT
while [ ! -e UP.child ]; do sleep 0.01; done
echo > UP
while [ ! -e UP.end ]; do sleep 0.05; done
exit 1`, Options{Grace: time.Minute})
	signals := filepath.Join(f.dir, "up.signals")
	cancel()
	g.Eventually(func() string { return read(signals) }, patience, 10*time.Millisecond).Should(Equal("engine\n"))
	g.Consistently(func() string { return read(signals) }, "300ms", "20ms").Should(Equal("engine\n"), "there is no second signal")
	g.Expect(done).NotTo(Receive(), "the engine is left to end by itself")
	g.Expect(os.WriteFile(filepath.Join(f.dir, "up.end"), nil, 0o600)).To(Succeed())
	var err error
	g.Eventually(done, patience).Should(Receive(&err))
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(errors.Is(err, ErrKilled)).To(BeFalse())
}

func read(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}

// orphans starts a child, and a grandchild in a session of its own whose parent ends, and notes their pids.
const orphans = `
sleep 600 & echo $! > UP.1
sh -c 'setsid sleep 600 & echo $! > UP.2'
echo > UP
`

func TestRun_LeavesNoProcessBehind(t *testing.T) {
	for name, end := range map[string]string{"after success": "exit 0", "after failure": "exit 1", "after a crash": "kill -9 $$"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			own := exec.Command("sleep", "600")
			g.Expect(own.Start()).To(Succeed())
			t.Cleanup(func() { _ = own.Process.Kill(); _ = own.Wait() })

			f, done := start(t, t.Context(), orphans+end, Options{Grace: time.Minute})
			g.Eventually(done, patience).Should(Receive())
			for _, n := range []string{"1", "2"} {
				pid := strings.TrimSpace(read(filepath.Join(f.dir, "up."+n)))
				g.Expect(pid).NotTo(BeEmpty())
				g.Expect(exists(pid)).To(BeFalse(), "it is dead and reaped")
			}
			g.Expect(alive(t, strconv.Itoa(own.Process.Pid))).To(BeTrue(), "processes of others are none of the engine's")
		})
	}
}

const stubborn = orphans + `
trap '' INT
while true; do sleep 0.05; done`

func TestRun_KillsAnEngineThatDoesNotEnd(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		ctx       func(context.Context) (context.Context, context.CancelFunc)
		grace     time.Duration
		kill      bool
	}{
		{"cancelled", "without a deadline the grace begins with the interrupt", context.WithCancel, 100 * time.Millisecond, false},
		{"deadline", "with a deadline it begins there", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, 100 * time.Millisecond, false},
		{"killed", "the pod's end does not wait for any grace", context.WithCancel, time.Hour, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := tc.ctx(t.Context())
			defer cancel()
			kill, killNow := context.WithCancel(t.Context())
			defer killNow()
			f, done := start(t, ctx, stubborn, Options{Grace: tc.grace, Kill: kill})
			if _, hasDeadline := ctx.Deadline(); !hasDeadline {
				cancel()
			}
			if tc.kill {
				killNow()
			}
			var err error
			g.Eventually(done, patience).Should(Receive(&err))
			g.Expect(err).To(MatchError(ErrKilled), tc.why)
			for _, n := range []string{"1", "2"} {
				g.Expect(exists(strings.TrimSpace(read(filepath.Join(f.dir, "up."+n))))).To(BeFalse())
			}
		})
	}
}

func TestApply_ThatIsCompleteIsNoFailure(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, done := start(t, ctx, `
trap 'echo "{\"type\":\"change_summary\",\"@message\":\"Apply complete!\",\"changes\":{\"operation\":\"apply\"}}"; exit 0' INT
echo > UP
while true; do sleep 0.05; done`, Options{Grace: time.Minute})
	cancel()
	g.Eventually(done, patience).Should(Receive(BeNil()), "the interrupt came when all was done")
}

func TestRun_DoesNotStartWhenTheContextIsOver(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t, Tofu, "1.12.6", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := f.engine(t, Options{}).Apply(ctx, ApplyOptions{PlanFile: "tfplan"})
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(err.Error()).To(ContainSubstring("engine command apply"))
	g.Expect(f.calls).NotTo(BeAnExistingFile())
}

func TestParseStat_TakesAnyName(t *testing.T) {
	for text, want := range map[string]process{
		"12 (sh) S 7 12 12 0":           {pid: 12, parent: 7},
		"13 (a) Z 9) Z 1 13 0":          {pid: 13, parent: 1, zombie: true},
		"14 (tmux: server (x)) R 2 1 1": {pid: 14, parent: 2},
		"15 (a\nb) X 3 1 1":             {pid: 15, parent: 3, zombie: true},
	} {
		got, ok := parseStat([]byte(text))
		NewWithT(t).Expect(ok).To(BeTrue(), text)
		NewWithT(t).Expect(got).To(Equal(want), text)
	}
	for _, text := range []string{"", "x (y) S 1", "12 (sh", "12 (sh)", "12 (sh) S x"} {
		_, ok := parseStat([]byte(text))
		NewWithT(t).Expect(ok).To(BeFalse(), text)
	}
}
