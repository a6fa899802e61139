package runner

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// lockOf says whether a command failed for a lock that someone else holds, and what is known of that one.
func lockOf(err error) (*v1alpha2.LockInfo, bool) {
	failed, ok := errors.AsType[*engine.Error](err)
	if !ok {
		return nil, false
	}
	return failed.Lock, failed.Lock != nil || failed.Class == engine.ClassLocked
}

// lockUnreadable says whether a command failed at the lock that the guard has seen, and whose holder has written nothing of
// itself that an engine can read: the engine complains of that then, and not of the lock.
func (a *assignment) lockUnreadable(err error) bool {
	seen := a.report.status().Lock
	return seen != nil && seen.Who == "" && engine.ClassOf(err) == engine.ClassStateUnread
}

// lockFailure names the holder. Without the engine's word of it, what the guard has seen counts.
func (a *assignment) lockFailure(info *v1alpha2.LockInfo, err error) *failure {
	if seen := a.report.status().Lock; seen != nil && (info == nil || info.ID == "") {
		info = seen
	}
	f := fail(v1alpha2.ReasonLockHeld, err)
	if info == nil {
		f.message = "the state is locked, its holder is not known: " + f.message
		return f
	}
	a.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Lock = info })
	f.message = "the state is locked: " + lockText(info, a.cfg.Now())
	return f
}

func lockText(info *v1alpha2.LockInfo, now time.Time) string {
	text := fmt.Sprintf("lock %s, held by %s for %s", orUnknown(info.ID), orUnknown(info.Who), orUnknown(info.Operation))
	if created, ok := lockTime(info.Created); ok {
		text += fmt.Sprintf(" since %s (%s ago)", created.UTC().Format(time.RFC3339), now.Sub(created).Round(time.Second))
	}
	return text
}

// lockTime reads the time of a lock: the Lease has it in RFC 3339, the engine's text as Go prints it. A backend that does not know it
// may have the zero time in its place.
func lockTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, !t.IsZero()
		}
	}
	return time.Time{}, false
}

// hostOf is the host in a lock's "Who", which is user@host as both engines write it; "" for none.
func hostOf(who string) string {
	_, host, _ := strings.Cut(who, "@")
	return host
}

func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return s
}

// lockTimeout is how long the engine waits for the lock.
func lockTimeout(spec *v1alpha2.TerraformSpec) time.Duration {
	if spec.TfState == nil {
		return 0
	}
	return durationOr(spec.TfState.LockTimeout, 0)
}
