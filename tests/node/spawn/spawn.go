// Package spawn starts child processes that can't outlive this process.
package spawn

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

type request struct {
	cmd  *exec.Cmd
	done chan<- error
}

// spawner starts the one goroutine that starts all children. The kernel sends a child's Pdeathsig when
// the *thread* that started it ends, and Go ends idle threads: so that goroutine keeps its thread for good.
var spawner = sync.OnceValue(func() chan<- request {
	requests := make(chan request)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

// Start is cmd.Start for a child that the kernel kills as soon as this process ends, however it ends.
// The caller has to Wait for it as usual.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error)
	spawner() <- request{cmd, done}
	return <-done
}
