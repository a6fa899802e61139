package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/hashicorp/terraform-exec/tfexec"
)

// maxStderr is how much is kept of what a command writes to stderr, in bytes.
const maxStderr = 256 << 10

// ErrKilled says that a command was ended by force, as it did not end after its interrupt.
var ErrKilled = errors.New("engine was killed: it did not end after its interrupt")

// Options of an Engine.
type Options struct {
	// Grace is the time that a command has to end after its deadline; after its interrupt where it has no deadline.
	Grace time.Duration
	// Kill ends the command that runs, and all its descendants, at once.
	Kill context.Context
	// Hide makes what is secret in a text unreadable. It gets all that the engine says, which may repeat any input, as a whole: what leaves
	// this package is without secrets. At the offsets in cuts, in ascending order, the engine has cut something off: the end of a
	// secret may stand there. Optional.
	Hide func(text string, cuts ...int) string
	// Observe gets each message of a command, from one goroutine at a time. Optional.
	Observe func(Event)
	// Progress follows the commands. Optional.
	Progress *Progress
	// Log gets what happens around commands. The zero value logs nothing.
	Log logr.Logger
}

// Engine runs commands of one engine in one working directory, one at a time.
type Engine struct {
	binary Binary
	tf     *tfexec.Terraform
	opts   Options
}

// New makes an Engine for the module in dir, an existing folder.
func New(ctx context.Context, binary Binary, dir string, opts Options) (*Engine, error) {
	tf, err := tfexec.NewTerraform(dir, binary.Path)
	if err != nil {
		return nil, fmt.Errorf("prepare engine: %w", err)
	}
	// It is kept for later, so that each command is one process.
	if _, _, err := tf.Version(ctx, false); err != nil {
		return nil, fmt.Errorf("prepare engine: %w", hider(opts.Hide).error(printable(err)))
	}
	// The kill is ours (see watchdog): it has to end the descendants too.
	if err := tf.SetWaitDelay(0); err != nil {
		return nil, fmt.Errorf("prepare engine: %w", err)
	}
	return &Engine{binary: binary, tf: tf, opts: opts}, nil
}

// With is the same engine, in the same directory, for another run.
func (e *Engine) With(opts Options) *Engine {
	return &Engine{binary: e.binary, tf: e.tf, opts: opts}
}

// Binary is the engine that runs.
func (e *Engine) Binary() Binary { return e.binary }

// run does one command: call gets the context to give to terraform-exec and a writer for the command's messages. The
// error is an *Error.
func (e *Engine) run(ctx context.Context, command string, call func(context.Context, io.Writer) error) error {
	spare := children()
	found := &collector{}
	out := &stream{emit: func(said Event) { e.hear(said, found) }}
	stderr := &limited{room: maxStderr}
	e.tf.SetStderr(stderr)
	// The commands with JSON output set the writer of the instance, for all later ones too.
	defer e.tf.SetStdout(nil)

	stop := e.watchdog(ctx, spare)
	err := call(ctx, out)
	killed := stop()
	out.flush()
	if left := sweep(spare); left > 0 {
		e.opts.Log.Info("processes that the engine left behind were killed", "command", command, "count", left)
	}
	if err == nil {
		return nil
	}
	err = printable(err)
	if killed {
		err = errors.Join(ErrKilled, err)
	}
	hide := hider(e.opts.Hide)
	if found.errorCount == 0 {
		for _, said := range fromText(stderr.String()) {
			found.add(said, hide.diagnostic(said))
		}
	}
	return found.failure(command, hide.error(err))
}

// hear takes in what the engine says, and passes on what is to be shown of it.
func (e *Engine) hear(said Event, found *collector) {
	shown := hider(e.opts.Hide).event(said)
	if said.Diagnostic != nil {
		found.add(*said.Diagnostic, *shown.Diagnostic)
	}
	if e.opts.Progress != nil {
		e.opts.Progress.Observe(said)
	}
	if e.opts.Observe != nil {
		e.opts.Observe(shown)
	}
}

// printable replaces the error that terraform-exec makes of nothing when the context ends just when the process starts
// or ends: it answers to the context's errors, but panics when it is asked for its text.
func printable(err error) error {
	var wrapper interface{ Unwrap() error }
	if errors.As(err, &wrapper) && wrapper.Unwrap() == nil {
		return context.Canceled
	}
	return err
}

// watchdog kills the running command when its time is over, and what it has left behind when that keeps its output
// open: terraform-exec reads to the end. The function it returns ends the watch, and says whether the command was killed.
func (e *Engine) watchdog(ctx context.Context, spare pids) func() bool {
	done := make(chan struct{})
	killed := false
	var wg sync.WaitGroup
	wg.Go(func() { killLeftovers(done, spare) })
	wg.Go(func() {
		select {
		case <-done:
			return
		case <-e.killed():
		case <-ctx.Done():
			if !e.outstays(ctx, done) {
				return
			}
		}
		killed = true
		killDescendants(spare)
	})
	return func() bool {
		close(done)
		wg.Wait()
		return killed
	}
}

// outstays waits for the end of an interrupted command, and says whether its time was over first.
func (e *Engine) outstays(ctx context.Context, done <-chan struct{}) bool {
	patience := e.opts.Grace
	if deadline, ok := ctx.Deadline(); ok {
		patience += max(time.Until(deadline), 0)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-e.killed():
	case <-timer.C:
	}
	return true
}

func (e *Engine) killed() <-chan struct{} {
	if e.opts.Kill == nil {
		return nil
	}
	return e.opts.Kill.Done()
}

// limited keeps the beginning of what is written, in whole lines: in half of one, half of a secret may stand.
type limited struct {
	kept strings.Builder
	room int
	full bool
}

func (l *limited) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.room)]
	l.room -= len(kept)
	l.full = l.full || len(kept) < len(p)
	l.kept.Write(kept)
	return len(p), nil
}

func (l *limited) String() string {
	text := l.kept.String()
	if l.full {
		text = text[:strings.LastIndexByte(text, '\n')+1]
	}
	return text
}
