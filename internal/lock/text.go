package lock

import (
	"regexp"
	"strings"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// failures are the summaries of a failure to lock, with OpenTofu and Terraform: that of init, which makes a state where
// there is none yet, and that of all other commands. The engines give no exit code or type to tell them by.
var failures = []string{"Error acquiring the state lock", "Error loading state"}

// contention are the texts of a lock that someone else has, or was faster to get: the kubernetes backend reports a
// lost race as the API server's conflict, without naming the winner.
var contention = [][]string{
	{"the state is already locked by another"},
	{"Operation cannot be fulfilled on leases.coordination.k8s.io", "the object has been modified"},
	{`leases.coordination.k8s.io "lock-tfstate-`, "already exists"},
}

// cloudLock is how the cloud block names the lock of a workspace: by organization and workspace. Behind it, under "Lock
// Info", is what the engine would have written of itself.
var cloudLock = regexp.MustCompile(`\(lock ID: "([^"]+)"\)`)

// httpLock is how the http backend names the lock. Terraform shows behind it, under "Lock Info", what it would have written of
// itself; OpenTofu what the holder has, unless the server's answer can't be read.
var httpLock = regexp.MustCompile(`HTTP remote state already locked(?:: ID=(\S*))?`)

// selfShown are the texts of the pg backend, which shows behind them what the engine would have written of itself, and nothing of
// the holder: its locks end with the session of the database.
var selfShown = regexp.MustCompile(`(?i)workspace is already locked: |already locked for workspace creation: `)

// FromText says whether a diagnostic of the engine (summary and detail together, plain or in a box) means that
// someone else holds the lock, and if so what it tells of the holder: with a lost race, nothing. Other failures to
// lock, like a missing right, are none of ours.
func FromText(text string) (*v1alpha2.LockInfo, bool) {
	detail, found := behindFailure(text)
	if !found {
		// An init that is to make the first state says it without the usual summary.
		if !strings.Contains(text, contention[0][0]) {
			return nil, false
		}
		detail = text
	}
	joined := strings.Join(lines(detail), " ")
	if id := cloudLock.FindStringSubmatch(joined); id != nil {
		return &v1alpha2.LockInfo{ID: bounded(id[1])}, true
	}
	if selfShown.MatchString(joined) {
		return &v1alpha2.LockInfo{}, true
	}
	info := parseInfo(detail)
	if id := httpLock.FindStringSubmatch(joined); id != nil && bounded(id[1]) != info.ID {
		return &v1alpha2.LockInfo{ID: bounded(id[1])}, true
	}
	if info.ID != "" {
		return info, true
	}
	for _, parts := range contention {
		if containsAll(joined, parts) {
			return info, true
		}
	}
	return nil, false
}

func behindFailure(text string) (detail string, found bool) {
	for _, failure := range failures {
		if _, detail, found = strings.Cut(text, failure); found {
			return detail, true
		}
	}
	return "", false
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// lines are the lines of a text without the box that engines draw around it on a terminal.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "│╷╵")))
	}
	return out
}

// parseInfo reads the lines `key: value` behind "Lock Info:".
func parseInfo(detail string) *v1alpha2.LockInfo {
	info := &v1alpha2.LockInfo{}
	fields := map[string]*string{"ID": &info.ID, "Operation": &info.Operation, "Who": &info.Who, "Created": &info.Created}
	behind := false
	for _, line := range lines(detail) {
		if line == "Lock Info:" {
			behind = true
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if target := fields[key]; behind && ok && target != nil && *target == "" {
			*target = bounded(strings.TrimSpace(value))
		}
	}
	return info
}
