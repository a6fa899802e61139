package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/terraform-controller/terraform-controller/tests/node/spawn"
)

// grace is how long a program may take to end by itself.
const grace = 15 * time.Second

// Process is a program that runs beside the cluster. It ends with the cluster at the latest.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of its end, once done
}

// StartProcess starts a program, which ends when the cluster stops and when this process ends. What it writes is
// added to logs/<name>.log in the cluster's folder. A command without Env gets PATH and HOME, nothing more.
func (c *Cluster) StartProcess(name string, cmd *exec.Cmd) (*Process, error) {
	p, err := c.launch(name, cmd)
	if err == nil {
		c.onStop(p.Stop)
	}
	return p, err
}

// launch starts a program that its caller has to stop.
func (c *Cluster) launch(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, cmd: cmd, log: c.path("logs", name+".log"), done: make(chan struct{})}
	log, err := openLog(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.Env == nil {
		cmd.Env = c.env()
	}
	// A group of its own: the terminal's Ctrl-C is for us, who stop all in order, and its children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := spawn.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children, if it has left any
		close(p.done)
	}()
	return p, nil
}

func openLog(path string) (*os.File, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	return log, nil
}

// env is the little that a program needs; more=... adds to it. The control plane collects its garbage less often than
// by default, which took a quarter of its time.
func (c *Cluster) env(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.opts.Dir, "GOGC=300"}, more...)
}

// LogPath is the file that holds what the process writes.
func (p *Process) LogPath() string { return p.log }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process; one that has ended gets none.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to %s: %w", s, p.name, err)
	}
	return nil
}

// Kill ends the process at once and waits for that.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	if err == nil {
		<-p.done
	}
	return err
}

// Wait returns when the process has ended, with the error of its end, or when ctx is done.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", p.name, context.Cause(ctx))
	}
}

// Stop asks the process to end, and makes it when it takes too long. How it ends is not an error.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		return errors.Join(fmt.Errorf("%s (log %s) ignored SIGTERM for %s", p.name, p.log, grace), p.Kill())
	}
}

// ended is the error of a program that should have gone on, with the last it said.
func (p *Process) ended() error {
	const most = 2000
	said, _ := os.ReadFile(p.log) // only to explain
	return fmt.Errorf("%s ended: %w; its log %s ends with:\n%s", p.name, p.err, p.log, said[max(0, len(said)-most):])
}
