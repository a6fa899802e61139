package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

const pidFile = "pid"

// downTimeout is more than all parts of a cluster may take to end.
const downTimeout = 2 * time.Minute

// claim writes our process id to DIR/pid and locks that file. The lock, and not the number in the file, says that
// the cluster is up: the kernel takes it back however we end.
func claim(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cluster's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the pid file: %w", err)
	}
	if locked, err := lock(f); err != nil || !locked {
		return nil, errors.Join(err, f.Close(), fmt.Errorf("a cluster is already up in %s", dir))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the pid file: %w", err), f.Close())
	}
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, nil
}

// lock tells whether the file is ours now, without waiting for it.
func lock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking the pid file: %w", err)
	}
	return true, nil
}

// down asks the cluster in dir to stop, waits until it has, and removes what it, or one that was killed, has left, but for the logs.
// None there is no error.
func down(ctx context.Context, dir string) error {
	f, err := os.Open(filepath.Join(dir, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the pid file: %w", err)
	}
	defer f.Close()
	free, err := lock(f)
	if err == nil && !free {
		err = stop(ctx, f)
	}
	if err != nil {
		return err
	}
	return cluster.Clear(dir)
}

// stop ends the process that the pid file names, and returns when the lock of that file is ours.
func stop(ctx context.Context, f *os.File) error {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return fmt.Errorf("reading the pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fmt.Errorf("reading the pid file: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping process %d: %w", pid, err)
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, downTimeout, true, func(context.Context) (bool, error) { return lock(f) })
	if err != nil {
		return fmt.Errorf("waiting for process %d to end: %w", pid, err)
	}
	return nil
}
