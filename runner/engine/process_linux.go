package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sweepTime is how long killed processes are waited for; one that hangs in the kernel can't be.
	sweepTime = 5 * time.Second
	sweepTick = 5 * time.Millisecond
)

// pids is a set of process ids.
type pids map[int]struct{}

type process struct {
	pid, parent int
	zombie      bool
}

// BecomeSubreaper makes this process the parent of all its orphaned descendants, so that they can be found, killed and
// reaped. A process 1 is that already.
func BecomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become child subreaper: %w", err)
	}
	return nil
}

// children are the processes that this process has started, or inherited, so far. They are none of the engine's.
func children() pids {
	own := pids{}
	for _, p := range processes() {
		if p.parent == os.Getpid() {
			own[p.pid] = struct{}{}
		}
	}
	return own
}

// killDescendants kills what descends from this process, except for spare and its descendants, until there is nothing
// left that lives: a process may fork until it dies. It is safe while another goroutine waits for a child.
func killDescendants(spare pids) (count int) {
	seen := pids{}
	until(func() bool {
		alive := false
		for _, p := range descendants(spare) {
			if p.zombie {
				continue
			}
			alive = true
			if _, known := seen[p.pid]; !known {
				seen[p.pid] = struct{}{}
			}
			// A process that is gone by now is what is wanted.
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
		return !alive
	})
	return len(seen)
}

// sweep kills and reaps what the engine has left behind, and says how many processes it has killed. Nobody else may
// wait for children meanwhile, spare ones excepted.
func sweep(spare pids) int {
	killed := killDescendants(spare)
	until(func() bool {
		left := false
		for _, p := range descendants(spare) {
			if p.parent != os.Getpid() {
				continue
			}
			pid, err := unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
			left = left || pid == 0 && err == nil || errors.Is(err, unix.EINTR)
		}
		return !left
	})
	return killed
}

const (
	lookForCommand = 10 * time.Millisecond
	lookAtCommand  = 250 * time.Millisecond
)

// killLeftovers waits until a command has ended that nobody could reap yet, since a process that it left behind keeps
// its output open, and then kills what it left behind. The command is the first process that turns up.
func killLeftovers(done <-chan struct{}, spare pids) {
	tick := time.NewTicker(lookForCommand)
	defer tick.Stop()
	command, ended := 0, 0
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		switch p, found := firstChild(spare); {
		case !found:
		case command == 0:
			command = p.pid
			tick.Reset(lookAtCommand)
		case p.pid == command && p.zombie:
			// Once may be the moment before it is reaped.
			if ended++; ended > 1 {
				killDescendants(spare)
			}
		}
	}
}

// firstChild is the child that was started first, as far as process ids tell.
func firstChild(spare pids) (first process, found bool) {
	for _, p := range descendants(spare) {
		if p.parent == os.Getpid() && (!found || p.pid < first.pid) {
			first, found = p, true
		}
	}
	return first, found
}

// until repeats until the answer is yes or sweepTime is over.
func until(settled func() bool) {
	if settled() {
		return
	}
	over := time.NewTimer(sweepTime)
	defer over.Stop()
	tick := time.NewTicker(sweepTick)
	defer tick.Stop()
	for {
		select {
		case <-over.C:
			return
		case <-tick.C:
			if settled() {
				return
			}
		}
	}
}

// descendants of this process, without spare and its descendants.
func descendants(spare pids) []process {
	byParent := map[int][]process{}
	for _, p := range processes() {
		byParent[p.parent] = append(byParent[p.parent], p)
	}
	var found []process
	queue := []int{os.Getpid()}
	for len(queue) > 0 {
		for _, p := range byParent[queue[0]] {
			if _, spared := spare[p.pid]; spared {
				continue
			}
			found = append(found, p)
			queue = append(queue, p.pid)
		}
		queue = queue[1:]
	}
	return found
}

// processes are all that are to be seen in /proc.
func processes() []process {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	found := make([]process, 0, len(files))
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if p, ok := parseStat(stat); ok {
			found = append(found, p)
		}
	}
	return found
}

// parseStat reads "PID (NAME) STATE PARENT ..." of proc(5). The name may hold anything, parentheses too.
func parseStat(stat []byte) (process, bool) {
	head, _, found := bytes.Cut(stat, []byte(" ("))
	end := bytes.LastIndexByte(stat, ')')
	if !found || end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 {
		return process{}, false
	}
	pid, err := strconv.Atoi(string(head))
	if err != nil {
		return process{}, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return process{}, false
	}
	return process{pid: pid, parent: parent, zombie: fields[0][0] == 'Z' || fields[0][0] == 'X'}, true
}
