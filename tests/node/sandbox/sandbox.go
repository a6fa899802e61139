// Package sandbox runs a program as a container: in mount, UTS and PID namespaces of its own, on an image's folder
// laid over the host's root. It knows nothing of Kubernetes.
package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/terraform-controller/terraform-controller/tests/node/spawn"
)

// childName is the argument zero by which this program knows that it is to become a container.
const childName = "local-node-container"

// Spec is all that a container is made from.
type Spec struct {
	// Image is the folder that is laid over the host's root; Root an empty one that serves as a mount point.
	Image, Root       string
	Hostname, WorkDir string
	// Args is the command; it is looked up in Env's PATH. Env gets a HOME when it has none.
	Args, Env []string
	Mounts    []Mount
	UID, GID  int
	Groups    []int
	// Capabilities are those that root keeps.
	Capabilities []int
	// ReadOnly is about the root file system, NoNewPrivs about what exec may add.
	ReadOnly, NoNewPrivs bool
}

// Mount makes a file or folder of the host appear in the container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// Start starts a container, which writes to log, and returns when its command runs, as the first process of a PID
// namespace. The container is killed when this process ends. The caller has to Wait for the command.
func Start(s *Spec, log *os.File) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Stdout, cmd.Stderr = []string{childName}, []string{}, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID, Setsid: true,
	}
	return cmd, handOver(cmd, s)
}

// handOver starts cmd, the container's first process, and gives it the spec. That process reports an error, or
// nothing when it becomes the command; it ends when our end of the first pipe closes before.
func handOver(cmd *exec.Cmd, s *Spec) error {
	specR, specW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer specW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("making a pipe: %w", err), specR.Close())
	}
	defer errR.Close()
	cmd.ExtraFiles = []*os.File{specR, errW}
	err = spawn.Start(cmd)
	specR.Close()
	errW.Close()
	if err != nil {
		return fmt.Errorf("making the container's namespaces: %w", err)
	}
	err = json.NewEncoder(specW).Encode(s)
	failure, readErr := io.ReadAll(errR)
	if len(failure) > 0 {
		err = errors.New(string(failure)) // and says more than a broken pipe
	}
	if err = errors.Join(err, readErr); err != nil {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // as killed
	}
	return err
}
