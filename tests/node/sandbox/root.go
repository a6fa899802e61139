package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hostRoot is where the host's root is while the container's mounts are made.
const hostRoot = "/.host"

// makeRoot replaces this mount namespace's root by the container's. Nothing of it is seen outside, and all of it
// goes with the last process.
func (s *Spec) makeRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	merged, err := s.overlay()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(merged, hostRoot), 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(merged, filepath.Join(merged, hostRoot)); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := s.systemMounts(); err != nil {
		return err
	}
	if err := s.volumeMounts(); err != nil {
		return err
	}
	if err := unix.Unmount(hostRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	if err := os.Remove(hostRoot); err != nil {
		return err
	}
	return s.protect()
}

// overlay lays the image over the host's root, with all changes kept in memory.
func (s *Spec) overlay() (merged string, err error) {
	if err := tmpfs(s.Root, "mode=0755"); err != nil {
		return "", err
	}
	dir := func(name string) string { return filepath.Join(s.Root, name) }
	for _, name := range []string{"upper", "work", "merged", "empty", "image"} {
		if err := os.Mkdir(dir(name), 0o755); err != nil {
			return "", err
		}
	}
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace
	lay := func(lower string) error {
		options := fmt.Sprintf("lowerdir=%s:/,upperdir=%s,workdir=%s", escape(lower), escape(dir("upper")), escape(dir("work")))
		return unix.Mount("overlay", dir("merged"), "overlay", 0, options)
	}
	err = lay(s.Image)
	if errors.Is(err, unix.ELOOP) {
		// One layer must not be inside another one: a mount of its own makes a file system of its own of it.
		options := fmt.Sprintf("lowerdir=%s:%s", escape(s.Image), escape(dir("empty")))
		if err = unix.Mount("overlay", dir("image"), "overlay", 0, options); err == nil {
			err = lay(dir("image"))
		}
	}
	if err != nil {
		return "", fmt.Errorf("laying image %s over the host's root: %w", s.Image, err)
	}
	return dir("merged"), nil
}

func tmpfs(path, options string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", path, err)
	}
	return nil
}

func (s *Spec) systemMounts() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := bind(Mount{Source: "/sys", Target: "/sys", ReadOnly: true}); err != nil {
		return err
	}
	for path, options := range map[string]string{"/run": "mode=0755", "/tmp": "mode=1777", "/dev": "mode=0755"} {
		if err := tmpfs(path, options); err != nil {
			return err
		}
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bind(Mount{Source: "/dev/" + name, Target: "/dev/" + name}); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink("/proc/self/"+target, "/dev/"+name); err != nil {
			return err
		}
	}
	return tmpfs("/dev/shm", "mode=1777")
}

// bind makes what is at Source on the host appear at Target, which it makes if necessary.
func bind(m Mount) error {
	source := filepath.Join(hostRoot, m.Source)
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(m.Target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(m.Target), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(m.Target, os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("making the mount point %s: %w", m.Target, err)
	}
	if err := unix.Mount(source, m.Target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", m.Target, err)
	}
	if m.ReadOnly {
		return readOnly(m.Target)
	}
	return nil
}

func readOnly(path string) error {
	if err := unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making %s read-only: %w", path, err)
	}
	return nil
}

func (s *Spec) volumeMounts() error {
	// Outer before inner.
	slices.SortStableFunc(s.Mounts, func(a, b Mount) int { return cmp.Compare(len(a.Target), len(b.Target)) })
	for _, m := range s.Mounts {
		if err := bind(m); err != nil {
			return err
		}
	}
	return nil
}

// protect makes the root read-only, and with it /run and /tmp, which stand for the image's own.
func (s *Spec) protect() error {
	if !s.ReadOnly {
		return nil
	}
	for _, path := range []string{"/run", "/tmp", "/"} {
		isVolume := slices.ContainsFunc(s.Mounts, func(m Mount) bool {
			target, err := filepath.EvalSymlinks(m.Target)
			return err == nil && target == path
		})
		if isVolume {
			continue
		}
		if err := readOnly(path); err != nil {
			return err
		}
	}
	return nil
}
