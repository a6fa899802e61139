package plan

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedact(t *testing.T) {
	const tricky = "a\"b<c>\\d&e f/ü"
	escaped, err := json.Marshal(tricky)
	if err != nil {
		t.Fatal(err)
	}
	key := "-----BEGIN KEY-----\nMIIEowIBAAKC\nshort\n-----END KEY-----\n"
	cases := map[string]struct {
		reason, text string
		secrets      []string
		want         string
	}{
		"plain":         {"The simple case.", "user bob, password hunter2!", []string{"hunter2"}, "user bob, password ***!"},
		"several":       {"Every one, every time.", "aaaa bbbb aaaa", []string{"aaaa", "bbbb"}, "*** *** ***"},
		"short":         {"Three bytes are in every text.", "abc abcd", []string{"abc"}, "abc abcd"},
		"longest first": {"No rest of the longer one remains.", "x-secret-key y", []string{"secret", "secret-key"}, "x-*** y"},
		"overlap":       {"No rest of either remains.", "abcdefgh", []string{"abcd", "cdefgh"}, "***"},
		"overlap self":  {"A repetition is one run.", "xaaaaaax", []string{"aaaa"}, "x***x"},
		"adjacent":      {"Two secrets are two masks.", "abcdefgh", []string{"abcd", "efgh"}, "******"},
		"json":          {"As a diagnostic quotes it.", `value ` + string(escaped), []string{tricky}, `value "***"`},
		"json, no html": {"As OpenTofu quotes it.", `value "a\"b<c>\\d&e f/ü"`, []string{tricky}, `value "***"`},
		"query":         {"In a query.", "?p=" + url.QueryEscape(tricky), []string{tricky}, "?p=***"},
		"path":          {"In a path.", "/" + url.PathEscape(tricky) + "/", []string{tricky}, "/***/"},
		"base64":        {"As Kubernetes keeps it.", base64.StdEncoding.EncodeToString([]byte("hunter2")), []string{"hunter2"}, "***"},
		"base64 url":    {"As a token keeps it.", base64.RawURLEncoding.EncodeToString([]byte("??>>??>>")), []string{"??>>??>>"}, "***"},
		"basic":         {"Inside of a longer text that is encoded.", base64.StdEncoding.EncodeToString([]byte("u:correct-horse-battery")), []string{"correct-horse-battery"}, "dTp***k="},
		"trailing line": {"A file's secret ends in a newline, its use does not.", "got s3cr3t.", []string{"s3cr3t\n"}, "got ***."},
		"line":          {"A parser names one line.", "bad line MIIEowIBAAKC", []string{key}, "bad line ***"},
		"short line":    {"A short line is in every text.", "short story", []string{key}, "short story"},
		"whole":         {"All lines at once.", "<" + key + ">", []string{key}, "<***>"},
		"crlf":          {"Line ends differ.", "x MIIEowIBAAKC\r\n", []string{strings.ReplaceAll(key, "\n", "\r\n")}, "x ***\r\n"},
		"none":          {"Nothing to hide.", "text", nil, "text"},
		"empty secret":  {"An unset variable.", "text", []string{""}, "text"},
		"quote at end":  {"Its escape is part of it.", `p = "pass\""`, []string{`pass"`}, `p = "***"`},
		"short text":    {"Shorter than any secret.", "abc", []string{"abcd"}, "abc"},
		"beginning":     {"A value that a secret begins with is whole, whatever follows.", "correct-ho...", []string{"correct-horse-battery"}, "correct-ho..."},
		"end":           {"What a secret ends with is whole where nothing was cut.", "Output: rse-battery", []string{"correct-horse-battery"}, "Output: rse-battery"},
		"unicode":       {"Characters stay whole.", "ü世界ü", []string{"世界"}, "ü***ü"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Redact(tc.text, tc.secrets)
			if got != tc.want {
				t.Errorf("%s got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestRedactor_HidesTheEndOfASecretAtACut(t *testing.T) {
	const secret, other = "correct-horse-battery", "battery-staple"
	cases := map[string]struct {
		reason, text string
		cuts         []int
		want         string
	}{
		"at once":    {"The whole text is a rest.", "rse-battery, END", []int{0}, "***, END"},
		"inside":     {"A text may have been cut inside.", "said: rse-battery, END", []int{6}, "said: ***, END"},
		"several":    {"Each cut counts.", "rse-battery, horse-battery", []int{0, 13}, "***, ***"},
		"no cut":     {"Nothing was cut there.", "rse-battery", nil, "rse-battery"},
		"elsewhere":  {"The cut is at another place.", "got rse-battery", []int{2}, "got rse-battery"},
		"short":      {"A few letters are in every text.", "battery, END", []int{0}, "battery, END"},
		"shortest":   {"Eight of them are not.", "-battery, END", []int{0}, "***, END"},
		"whole":      {"A secret that just fits is one.", secret, []int{0}, "***"},
		"overlap":    {"No rest of another one remains.", "rse-battery-staple", []int{0}, "***"},
		"encoded":    {"It may have been encoded.", base64.StdEncoding.EncodeToString([]byte(secret))[8:], []int{0}, "***"},
		"at the end": {"There is nothing to see.", "abcd", []int{2, 4, 9}, "abcd"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Redactor([]string{secret, other})(tc.text, tc.cuts...); got != tc.want {
				t.Errorf("%s got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("the password is hunter2", "hunter2")
	f.Add("aaaaa", "aaaa")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := Redact(text, []string{secret})
		if len(secret) >= minSecret && !strings.Contains(secret, "*") && strings.Contains(got, secret) {
			t.Errorf("%q remains in %q", secret, got)
		}
		if utf8.ValidString(text) && utf8.ValidString(secret) && !utf8.ValidString(got) {
			t.Errorf("%q was cut inside of a character", got)
		}
	})
}

func TestTruncate(t *testing.T) {
	cases := map[string]struct {
		reason, text string
		max          int
		want         string
	}{
		"fits":      {"Nothing to do.", "abc", 3, "abc"},
		"cut":       {"Plain letters.", "abcd", 3, "abc"},
		"character": {"Not in its middle.", "aé", 2, "a"},
		"none":      {"No room.", "é", 1, ""},
		"zero":      {"No room.", "abc", 0, ""},
		"negative":  {"Less than no room.", "abc", -1, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Truncate(tc.text, tc.max); got != tc.want {
				t.Errorf("%s got %q", tc.reason, got)
			}
		})
	}
}
