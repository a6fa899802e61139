package plan

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/terraform-controller/terraform-controller/tests/compat"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	sha1Hash   = "b8e362c206e3d0cbb7ed22ced771a0056455a2fb"
	sha256Hash = "822c3dd3ab4c9d1a6a5e0e0dcb5f1b7f4f2b8f7f8d2c4f9c1a3b5d7e9f0a1b2c"
)

func TestID(t *testing.T) {
	compat.Shows(t, "format.plan-id", "weak.23")
	cases := map[string]struct{ reason, revision, want string }{
		"git":           {"The usual form.", "main@sha1:" + sha1Hash, "plan-main-b8e362c206-"},
		"slashes":       {"Branches keep their slashes.", "feature/x@sha1:" + sha1Hash, "plan-feature/x-b8e362c206-"},
		"ref":           {"A full ref is kept.", "refs/heads/main@sha1:" + sha1Hash, "plan-refs/heads/main-b8e362c206-"},
		"oci":           {"A tag is the branch.", "latest@sha256:" + sha256Hash, "plan-latest-822c3dd3ab-"},
		"at in branch":  {"The incumbent lost the hash of these.", "user@host@sha1:" + sha1Hash, "plan-user@host-b8e362c206-"},
		"bucket":        {"The algorithm is no part of the hash.", "sha256:" + sha256Hash, "plan-822c3dd3ab-"},
		"bare commit":   {"A hash alone.", sha1Hash, "plan-b8e362c206-"},
		"legacy":        {"The revision of old keeps its branch.", "master/" + sha1Hash, "plan-master-b8e362c206-"},
		"legacy, deep":  {"As does a branch with a slash.", "a/b/" + sha1Hash, "plan-a/b-b8e362c206-"},
		"empty":         {"What is missing is left out.", "", "plan-"},
		"no algorithm":  {"The incumbent panicked.", "x@y", "plan-x-y-"},
		"no hash":       {"The incumbent panicked.", "main@sha1:", "plan-main-"},
		"only at":       {"The incumbent panicked.", "@", "plan-"},
		"short hash":    {"The incumbent panicked.", "main@sha1:b8e", "plan-main-b8e-"},
		"unicode":       {"Letters stay, and are not cut in half.", "größe/世界@sha1:世界世界世界世界", "plan-größe/世界-世界世-"},
		"control":       {"An id is one word.", "a b\n\x1b@sha1:" + sha1Hash, "plan-a-b---b8e362c206-"},
		"bad bytes":     {"An annotation is UTF-8.", "a\xff@sha1:" + sha1Hash, "plan-a--b8e362c206-"},
		"long branch":   {"It is bounded.", strings.Repeat("é", 150) + "@sha1:" + sha1Hash, "plan-" + strings.Repeat("é", 100) + "-b8e362c206-"},
		"many colons":   {"The last part is the hash.", "main@a:b:" + sha1Hash, "plan-main-b8e362c206-"},
		"only a slash":  {"What is missing is left out.", "/", "plan-"},
		"version range": {"A tag with dots.", "v1.2.3@sha256:" + sha256Hash, "plan-v1.2.3-822c3dd3ab-"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			id := ID(tc.revision, "content", "uid", 0)
			suffix, found := strings.CutPrefix(id, tc.want)
			if !found || len(suffix) != 32 || strings.Trim(suffix, "0123456789abcdef") != "" {
				t.Errorf("%s got %q, want %q and 32 hex digits", tc.reason, id, tc.want)
			}
			if !HasContent(id, "content", "uid", 0) || HasContent(id, "content", "uid", 1) || HasContent(id, "other", "uid", 0) {
				t.Errorf("%q is not known to be of its content alone", id)
			}
		})
	}
}

func TestID_NeverComesBack(t *testing.T) {
	compat.Shows(t, "format.plan-id", "weak.2")
	seen := map[string]string{}
	add := func(what, id string) {
		if other, twice := seen[id]; twice {
			t.Errorf("%s and %s share the id %s", what, other, id)
		}
		seen[id] = what
	}
	rev := "main@sha1:" + sha1Hash
	add("first", ID(rev, "content", "uid", 0))
	add("after an apply", ID(rev, "content", "uid", 1))
	add("of another object", ID(rev, "content", "other", 0))
	add("other content", ID(rev, "other", "uid", 0))
	add("content that ends in digits", ID(rev, "content\n1", "uid", 0))
	if ID(rev, "content", "uid", 0) != ID(rev, "content", "uid", 0) {
		t.Error("an id is not stable")
	}
}

func TestLegacyID(t *testing.T) {
	compat.Shows(t, "format.plan-id.legacy", "weak.23")
	cases := map[string]struct{ reason, revision, want string }{
		"git":          {"As the incumbent wrote it.", "main@sha1:" + sha1Hash, "plan-main-b8e362c206"},
		"slashes":      {"As the incumbent wrote it.", "feature/x@sha1:" + sha1Hash, "plan-feature/x-b8e362c206"},
		"ref":          {"As the incumbent wrote it.", "refs/heads/main@sha1:" + sha1Hash, "plan-refs/heads/main-b8e362c206"},
		"oci":          {"As the incumbent wrote it.", "latest@sha256:" + sha256Hash, "plan-latest-822c3dd3ab"},
		"legacy":       {"As the incumbent wrote it.", "master/" + sha1Hash, "plan-master-b8e362c206"},
		"bucket":       {"Three digits are all it kept.", "sha256:" + sha256Hash, "plan-sha256:822"},
		"sha1":         {"Five digits.", "sha1:" + sha1Hash, "plan-sha1:b8e36"},
		"at in branch": {"Not one digit.", "user@host@sha1:" + sha1Hash, "plan-user@host@"},
		"bare":         {"Ten digits.", sha1Hash, "plan-b8e362c206"},
		"no algorithm": {"It panicked.", "x@y", "plan-x-y"},
		"short":        {"It panicked.", "main@sha1:b8", "plan-main-b8"},
		"empty":        {"It panicked.", "", "plan-"},
		"unicode":      {"It cut letters in half.", "世界世界世界", "plan-世界世"},
		"two colons":   {"It took what stands between them.", "main@a:b:c", "plan-main-b"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := LegacyID(tc.revision); got != tc.want {
				t.Errorf("%s got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	compat.Shows(t, "spec.approvePlan.short", "format.plan-id.legacy", "use.plan-and-apply-by-hand", "documented.short-ids",
		"weak.3",
	)
	git := "main@sha1:" + sha1Hash
	bucket := "sha256:" + sha256Hash
	gitID, bucketID := ID(git, "c", "uid", 3), ID(bucket, "c", "uid", 3)
	cases := map[string]struct {
		reason, token, id, revision string
		want                        Match
	}{
		"id":                 {"Copied from the plan that was read.", gitID, gitID, git, MatchExact},
		"other content":      {"Same revision, other plan.", ID(git, "d", "uid", 3), gitID, git, MatchNone},
		"earlier apply":      {"An id never comes back.", ID(git, "c", "uid", 2), gitID, git, MatchNone},
		"legacy":             {"As it stands in Git at the swap.", "plan-main-b8e362c206", gitID, git, MatchLegacy},
		"eight digits":       {"As the incumbent's manual says.", "plan-main-b8e362c2", gitID, git, MatchLegacy},
		"part of suffix":     {"A shortened id.", gitID[:len(gitID)-3], gitID, git, MatchLegacy},
		"seven digits":       {"Too few.", "plan-main-b8e362c", gitID, git, MatchNone},
		"bare prefix":        {"The incumbent took it for an approval.", "plan-", gitID, git, MatchNone},
		"branch":             {"Names no revision.", "plan-main-", gitID, git, MatchNone},
		"more digits":        {"Longer than any id of this revision.", "plan-main-b8e362c206e3", gitID, git, MatchNone},
		"other revision":     {"The one before.", "plan-main-aaaaaaaaaa", gitID, git, MatchNone},
		"other branch":       {"Same commit, other branch.", "plan-dev-b8e362c206", gitID, git, MatchNone},
		"empty":              {"No token.", "", gitID, git, MatchNone},
		"no plan":            {"Nothing to approve.", "plan-main-b8e362c206", "", git, MatchNone},
		"both empty":         {"Nothing is not equal to nothing.", "", "", "", MatchNone},
		"id of another":      {"An id that does not belong to the revision is no ground for a prefix.", gitID[:24], gitID, "main@sha1:" + sha256Hash, MatchNone},
		"bucket id":          {"Ours.", bucketID, bucketID, bucket, MatchExact},
		"bucket legacy":      {"All the incumbent kept.", "plan-sha256:822", bucketID, bucket, MatchLegacy},
		"bucket legacy, cut": {"Less than all it kept.", "plan-sha256:82", bucketID, bucket, MatchNone},
		"bucket shortened":   {"Eight digits of our form.", "plan-822c3dd3", bucketID, bucket, MatchLegacy},
		"no digit at all":    {"It would approve every commit of the branch.", "plan-user@host@", ID("user@host@sha1:"+sha1Hash, "c", "uid", 0), "user@host@sha1:" + sha1Hash, MatchNone},
		"not hex":            {"A hash that is none cannot be shortened.", "plan-x-zzzzzzzz", ID("x@a:zzzzzzzzzz", "c", "uid", 0), "x@a:zzzzzzzzzz", MatchNone},
		"empty revision":     {"Nothing to go by.", "plan-", ID("", "c", "uid", 0), "", MatchNone},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Matches(tc.token, tc.id, tc.revision); got != tc.want {
				t.Errorf("%s got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	made := func() *v1alpha2.RunPlan {
		content := contentOf([]string{"a", "b"})
		return &v1alpha2.RunPlan{
			ID: ID("main@sha1:1", content, "uid", 1), Content: content, Changes: []v1alpha2.PlanChange{{Digest: "b"}, {Digest: "a"}},
		}
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*v1alpha2.RunPlan)
		want   bool
	}{
		"honest":        {"it is what the runner reports", func(*v1alpha2.RunPlan) {}, true},
		"many changes":  {"then they are not listed", func(p *v1alpha2.RunPlan) { p.Changes = nil }, true},
		"other changes": {"an approval of the id would cover them", func(p *v1alpha2.RunPlan) { p.Changes[0].Digest = "c" }, false},
		"one more":      {"that one, too", func(p *v1alpha2.RunPlan) { p.Changes = append(p.Changes, v1alpha2.PlanChange{Digest: "c"}) }, false},
		"other content": {"as the id says", func(p *v1alpha2.RunPlan) { p.Content = contentOf([]string{"c"}) }, false},
		"both":          {"the id is of another plan", func(p *v1alpha2.RunPlan) { p.Changes, p.Content = p.Changes[:1], contentOf([]string{"b"}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := made()
			tc.change(p)
			if Fits(p, "uid", 1) != tc.want || Fits(p, "uid", 2) || Fits(p, "other", 1) {
				t.Errorf("%s: want %v", tc.reason, tc.want)
			}
		})
	}
}

func FuzzID(f *testing.F) {
	f.Add("main@sha1:"+sha1Hash, "content", int64(0))
	f.Add("x@y", "", int64(-1))
	f.Fuzz(func(t *testing.T, revision, content string, applies int64) {
		id := ID(revision, content, "uid", applies)
		if !utf8.ValidString(id) || len(id) > 300 || strings.ContainsFunc(id, unicode.IsControl) {
			t.Errorf("id %q of %q can't be an annotation's value", id, revision)
		}
		if !strings.HasPrefix(id, "plan-") || ParseApprove(id).Mode != ApproveToken {
			t.Errorf("id %q of %q can't be given in spec.approvePlan", id, revision)
		}
		if Matches(id, id, revision) != MatchExact {
			t.Errorf("id %q does not match itself", id)
		}
		LegacyID(revision)
	})
}

func FuzzMatches(f *testing.F) {
	f.Add("plan-main-b8e362c2", "plan-main-b8e362c206-12345678", "main@sha1:"+sha1Hash)
	f.Add("plan-", "plan-12345678", "")
	f.Fuzz(func(t *testing.T, token, id, revision string) {
		switch Matches(token, id, revision) {
		case MatchExact:
			if token != id {
				t.Errorf("%q is not %q", token, id)
			}
		case MatchLegacy:
			if token == "" || !strings.HasPrefix(LegacyID(revision), token) && !strings.HasPrefix(id, token) {
				t.Errorf("%q begins neither the legacy id of %q nor %q", token, revision, id)
			}
		case MatchNone:
		}
	})
}
