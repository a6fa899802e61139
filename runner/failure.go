package runner

import (
	"errors"
	"fmt"
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// maxMessage bounds the message of a failure, in bytes.
const maxMessage = 4 << 10

// failure is how a run ends that has not done what it was made for.
type failure struct {
	phase       v1alpha2.RunPhase
	reason      string
	message     string
	diagnostics []v1alpha2.Diagnostic
	err         error
}

func (f *failure) Error() string { return f.reason + ": " + f.message }

func (f *failure) Unwrap() error { return f.err }

// fail makes a failure of an error, whose text becomes the message.
func fail(reason string, err error) *failure {
	f := &failure{phase: v1alpha2.RunFailed, reason: reason, message: err.Error(), err: err}
	if failed, ok := errors.AsType[*engine.Error](err); ok {
		f.message = engineMessage(failed)
		f.diagnostics = failed.Diagnostics
	}
	return f
}

// engineMessage is the first error, as FILE:LINE: SUMMARY: first line of the detail, and how many more there are.
func engineMessage(e *engine.Error) string {
	if e.Errors == 0 {
		return e.Error()
	}
	text := engine.Describe(e.Diagnostics[0])
	if e.Errors > 1 {
		text += fmt.Sprintf(" (and %d more)", e.Errors-1)
	}
	if errors.Is(e, engine.ErrKilled) {
		text += "; " + engine.ErrKilled.Error()
	}
	return text
}

// engineFailure makes a failure of a command's error. The reason is the one given, unless the engine's words say more.
func (a *assignment) engineFailure(reason string, err error) *failure {
	if info, locked := lockOf(err); locked || a.lockUnreadable(err) {
		return a.lockFailure(info, err)
	}
	if engine.ClassOf(err) == engine.ClassRemote {
		return fail(v1alpha2.ReasonRemoteExecution, errRemote)
	}
	if engine.ClassOf(err) == engine.ClassPlanUnusable && a.run.Spec.Operation == v1alpha2.OperationApply {
		reason = v1alpha2.ReasonPlanNotApplicable
	}
	return fail(reason, err)
}

// listed is a list for a message, bounded.
func listed(label string, names []string) string {
	const most = 10
	if len(names) == 0 {
		return ""
	}
	shown := strings.Join(firstOf(names, most), ", ")
	if more := len(names) - most; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return label + ": " + shown
}

func firstOf[T any](list []T, most int) []T {
	return list[:min(len(list), most)]
}
