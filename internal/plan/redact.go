package plan

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// mask stands where a secret was.
	mask = "***"
	// minSecret is the shortest secret that is looked for, in bytes; shorter ones would blot out half of any text.
	minSecret = 4
	// minSecretLine is the shortest line of a multi-line secret that is looked for by itself, in bytes.
	minSecretLine = 8
)

// Redact replaces each secret in the text with "***": as it is, without blanks around it, JSON-escaped, URL-encoded,
// in base64 (alone or inside of a longer text, as in Basic credentials), and of a secret with several lines also each
// line of at least 8 bytes. Secrets shorter than 4 bytes are left. Of overlapping secrets nothing remains.
func Redact(text string, secrets []string) string {
	return newRedactor(secrets).redact(text)
}

// Redactor is Redact for many texts: what can be prepared is prepared once. At the offsets in cuts, in ascending
// order, something was cut off the text: the last 8 bytes or more of a secret are replaced there, too. The function may be called concurrently.
func Redactor(secrets []string) func(text string, cuts ...int) string {
	return newRedactor(secrets).redact
}

// redactor finds many needles in one pass: by their first bytes, the longest first. It finds those of its base, too.
type redactor struct {
	needles map[[minSecret]byte][]string
	base    *redactor
}

func newRedactor(secrets []string) *redactor {
	r := &redactor{needles: map[[minSecret]byte][]string{}}
	seen := map[string]bool{}
	for _, secret := range secrets {
		for _, needle := range forms(secret) {
			if len(needle) < minSecret || seen[needle] {
				continue
			}
			seen[needle] = true
			r.needles[head(needle)] = append(r.needles[head(needle)], needle)
		}
	}
	for _, list := range r.needles {
		slices.SortFunc(list, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return r
}

func (r *redactor) redact(text string, cuts ...int) string {
	var b strings.Builder
	kept := 0 // everything before it is written or masked
	for i := 0; i+minSecret <= len(text); i++ {
		n := r.longest(text[i:])
		if len(cuts) > 0 && cuts[0] == i {
			n, cuts = max(n, r.rest(text[i:])), cuts[1:]
		}
		if n == 0 {
			continue
		}
		if i >= kept {
			b.WriteString(text[kept:i])
			b.WriteString(mask)
		}
		kept = max(kept, i+n)
	}
	b.WriteString(text[kept:])
	return b.String()
}

func (r *redactor) longest(text string) int {
	longest := 0
	if r.base != nil {
		longest = r.base.longest(text)
	}
	for _, needle := range r.needles[head(text)] {
		if strings.HasPrefix(text, needle) {
			return max(longest, len(needle))
		}
	}
	return longest
}

// rest is how much of a secret stands at the beginning of a text of which only the end was kept. A short rest is given up: it would be
// found by accident.
func (r *redactor) rest(text string) int {
	longest := 0
	if r.base != nil {
		longest = r.base.rest(text)
	}
	for _, list := range r.needles {
		for _, needle := range list {
			for from := 1; from+minSecretLine <= len(needle); from++ {
				if needle[from] == text[0] && strings.HasPrefix(text, needle[from:]) {
					longest = max(longest, len(needle)-from)
					break
				}
			}
		}
	}
	return longest
}

func head(s string) [minSecret]byte {
	return [minSecret]byte{s[0], s[1], s[2], s[3]}
}

// forms are the ways in which a secret may stand in a text.
func forms(secret string) []string {
	if len(secret) < minSecret {
		return nil
	}
	all := encodings(secret)
	if trimmed := strings.TrimSpace(secret); trimmed != secret && len(trimmed) >= minSecret {
		all = append(all, encodings(trimmed)...)
	}
	if !strings.Contains(secret, "\n") {
		return all
	}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= minSecretLine {
			all = append(all, encodings(line)...)
		}
	}
	return all
}

func encodings(s string) []string {
	raw := []byte(s)
	list := []string{
		s,
		jsonEscaped(s, true), jsonEscaped(s, false),
		url.QueryEscape(s), url.PathEscape(s),
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	}
	for shift := range 3 {
		list = append(list, embedded(base64.RawStdEncoding, raw, shift), embedded(base64.RawURLEncoding, raw, shift))
	}
	return list
}

func jsonEscaped(s string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	if enc.Encode(s) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\"\n")
}

// embedded is the part of a longer text's base64 form that depends on the secret alone, when the secret begins shift
// bytes after a boundary of three. Short ones are given up: they would be found by accident.
func embedded(enc *base64.Encoding, secret []byte, shift int) string {
	text := enc.EncodeToString(append(make([]byte, shift), secret...))
	from := (shift*8 + 5) / 6
	to := (shift + len(secret)) * 8 / 6
	if to-from < minSecretLine {
		return ""
	}
	return text[from:to]
}

// Truncate cuts a text to at most max bytes, never inside of a character.
func Truncate(s string, max int) string {
	if len(s) <= max {
		return s
	}
	end := max
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if end <= 0 {
		return ""
	}
	return s[:end]
}
