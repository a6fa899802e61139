package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaybeChild has to be called first thing in main or TestMain of a program that calls Start. In the processes that
// Start makes it becomes the container and never returns; elsewhere it does nothing.
func MaybeChild() {
	if len(os.Args) == 0 || os.Args[0] != childName {
		return
	}
	// Privileges belong to a thread, and the one that calls exec is what remains.
	runtime.LockOSThread()
	specs, failures := os.NewFile(3, "spec"), os.NewFile(4, "failure")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	fmt.Fprint(failures, becomeContainer(specs))
	os.Exit(1)
}

// becomeContainer returns only when it fails.
func becomeContainer(specs *os.File) error {
	s := &Spec{}
	if err := json.NewDecoder(specs).Decode(s); err != nil {
		return fmt.Errorf("reading the spec: %w", err)
	}
	if err := s.makeRoot(); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("setting the hostname: %w", err)
	}
	if err := s.prepareWorkDir(); err != nil {
		return err
	}
	s.Env = s.withHome()
	if err := s.dropPrivileges(); err != nil {
		return err
	}
	if orphaned(specs) {
		return errors.New("the parent ended")
	}
	if err := os.Chdir(s.WorkDir); err != nil {
		return err
	}
	path, err := s.lookUp()
	if err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", path, syscall.Exec(path, s.Args, s.Env))
}

func (s *Spec) prepareWorkDir() error {
	if _, err := os.Stat(s.WorkDir); err == nil {
		return nil
	}
	return os.MkdirAll(s.WorkDir, 0o755)
}

// withHome adds HOME as a container runtime does: the user's own in /etc/passwd, else the root.
func (s *Spec) withHome() []string {
	if slices.ContainsFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		return s.Env
	}
	home := "/"
	passwd, _ := os.ReadFile("/etc/passwd") // there may be none
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[2] == fmt.Sprint(s.UID) {
			home = f[5]
			break
		}
	}
	return append(s.Env, "HOME="+home)
}

// dropPrivileges leaves what the pod asked for. A capability outside the bounding set can't be had by exec.
func (s *Spec) dropPrivileges() error {
	for c := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(s.Capabilities, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	syscall.Umask(0o022)
	if err := syscall.Setgroups(s.Groups); err != nil {
		return fmt.Errorf("setting groups %v: %w", s.Groups, err)
	}
	if err := syscall.Setgid(s.GID); err != nil {
		return fmt.Errorf("setting group %d: %w", s.GID, err)
	}
	if err := syscall.Setuid(s.UID); err != nil {
		return fmt.Errorf("setting user %d: %w", s.UID, err)
	}
	if s.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("setting no_new_privs: %w", err)
		}
	}
	// The change of the user has cleared it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the container's life to its parent's: %w", err)
	}
	return nil
}

// orphaned tells whether the parent ended before this process was tied to it again.
func orphaned(specs *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(specs.Fd()), Events: unix.POLLHUP}}
	n, err := unix.Poll(fds, 0)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(fds, 0)
	}
	return err != nil || n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

func (s *Spec) lookUp() (string, error) {
	for _, e := range s.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	return exec.LookPath(s.Args[0])
}
