package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/types"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// hashDigits of a revision's hash stand in an id, the incumbent's and ours.
	hashDigits = 10
	// minTokenDigits of the hash are what a shortened token has to hold.
	minTokenDigits = 8
	// contentBytes of a hash over the content end an id. Who may change the object may try out variants of it until two have the same end: that
	// takes 2^64 tries.
	contentBytes = 16
	// maxBranch bounds the branch's part of an id, in bytes.
	maxBranch = 200
)

// ID names a plan: plan-<branch>-<first 10 of the revision's hash>-<32 hex digits>, the last part over the plan's content
// (see Content), the object's UID and the number of its applies completed so far, so that an id never comes back once its plan was applied,
// nor with an object that is made anew.
//
// The revision is that of the source: branch@sha1:hash, sha256:hash (Bucket), a bare hash, or branch/hash of old; parts
// that a revision lacks are left out. The branch stays as it is, slashes included, but for control characters, blanks
// and bytes that are no UTF-8 (no Git branch has these), and is cut at 200 bytes. Any input gives a usable id.
func ID(revision, content string, owner types.UID, appliesCompleted int64) string {
	name := idName(revision)
	return name.stem + name.digits + name.separator() + contentDigits(content, owner, appliesCompleted)
}

// HasContent says that an id is one that ID gives a plan of this content, of whatever revision.
func HasContent(id, content string, owner types.UID, appliesCompleted int64) bool {
	return strings.HasSuffix(id, "-"+contentDigits(content, owner, appliesCompleted))
}

// Fits says that a plan as its run reports it is the one with that id: its content, and the single changes where they are reported, are
// what the id stands for. Code of the module may have reported in the runner's place.
func Fits(made *v1alpha2.RunPlan, owner types.UID, appliesCompleted int64) bool {
	return HasContent(made.ID, made.Content, owner, appliesCompleted) && Lists(made)
}

// Lists says that the single changes of a plan, where they are reported, come to its content.
func Lists(made *v1alpha2.RunPlan) bool {
	var digests []string
	for _, c := range made.Changes {
		digests = append(digests, c.Digest)
	}
	return len(digests) == 0 || contentOf(digests) == made.Content
}

func contentDigits(content string, owner types.UID, appliesCompleted int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", content, owner, appliesCompleted))
	return hex.EncodeToString(sum[:contentBytes])
}

// LegacyID is the id that the incumbent gave a plan of this revision. It knows nothing of the plan's content, and of a
// revision without "@" it takes the first ten characters as they are: plan-sha256:822 for a Bucket. Where the incumbent
// panicked the result is what is there, cut at ten.
func LegacyID(revision string) string {
	name := legacyName(revision)
	return name.stem + name.digits
}

// Match says how a token relates to a plan.
type Match int

const (
	// MatchNone: the token names another plan, or none.
	MatchNone Match = iota
	// MatchExact: the token is the plan's id.
	MatchExact
	// MatchLegacy: the token is an id of the incumbent's form, or a shortened id. It names the revision but not the
	// content, so that it is up to the caller which plan of the revision it stands for.
	MatchLegacy
)

// String names the match.
func (m Match) String() string {
	switch m {
	case MatchNone:
		return "None"
	case MatchExact:
		return "Exact"
	case MatchLegacy:
		return "Legacy"
	}
	return fmt.Sprintf("Match(%d)", int(m))
}

// Matches compares the token of an approval with a plan's id and the revision that was planned. A shortened token counts
// when it begins either form of id and holds 8 hex digits of the hash or more; the incumbent's whole id counts with
// fewer (it keeps three of a Bucket's hash), but not with none.
func Matches(token, id, revision string) Match {
	if token == "" || id == "" {
		return MatchNone
	}
	if token == id {
		return MatchExact
	}
	legacy := legacyName(revision)
	whole := token == legacy.stem+legacy.digits && legacy.hexDigits() > 0
	if whole || legacy.shortened(token, LegacyID(revision)) || idName(revision).shortened(token, id) {
		return MatchLegacy
	}
	return MatchNone
}

// planName is an id in parts; digits are those of the revision's hash.
type planName struct {
	stem, digits string
}

func (n planName) separator() string {
	if n.digits == "" {
		return ""
	}
	return "-"
}

func (n planName) hexDigits() int {
	count := strings.IndexFunc(n.digits, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
	if count < 0 {
		return len(n.digits)
	}
	return count
}

func (n planName) shortened(token, full string) bool {
	return n.hexDigits() >= minTokenDigits &&
		strings.HasPrefix(full, token) &&
		strings.HasPrefix(token, n.stem+n.digits[:minTokenDigits])
}

func idName(revision string) planName {
	branch, hash := splitRevision(revision)
	stem := "plan-"
	if branch != "" {
		stem += Truncate(plain(branch), maxBranch) + "-"
	}
	return planName{stem: stem, digits: Truncate(plain(hash), hashDigits)}
}

func legacyName(revision string) planName {
	if parts := strings.Split(revision, "@"); len(parts) == 2 {
		_, hash, found := strings.Cut(parts[1], ":")
		if !found {
			hash = parts[1]
		}
		hash, _, _ = strings.Cut(hash, ":")
		return planName{stem: "plan-" + parts[0] + "-", digits: Truncate(hash, hashDigits)}
	}
	if parts := strings.Split(revision, "/"); len(parts) == 2 {
		return planName{stem: "plan-" + parts[0] + "-", digits: Truncate(parts[1], hashDigits)}
	}
	_, hash := splitRevision(revision)
	kept := Truncate(revision, hashDigits)
	start := min(len(kept), len(revision)-len(hash))
	return planName{stem: "plan-" + kept[:start], digits: kept[start:]}
}

// splitRevision takes the last "@" for the separator, as a branch may hold others.
func splitRevision(revision string) (branch, hash string) {
	if i := strings.LastIndex(revision, "@"); i >= 0 {
		branch, hash = revision[:i], revision[i+1:]
	} else if i := strings.LastIndex(revision, "/"); i >= 0 {
		branch, hash = revision[:i], revision[i+1:]
	} else {
		hash = revision
	}
	if i := strings.LastIndex(hash, ":"); i >= 0 {
		hash = hash[i+1:]
	}
	return branch, hash
}

// plain replaces what has no place in an annotation that a person copies.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(s, "-"))
}
