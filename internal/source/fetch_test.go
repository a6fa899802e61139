package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/util/wait"
)

const fetchPath = "/artifacts/team-a/network-3f9ac1d2"

// entry is a file in an archive; one with a link is a symlink.
type entry struct{ name, content, link string }

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	w := tar.NewWriter(zipped)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if e.link != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// serve is a request to a server of its own that answers with handler; tries counts the answers.
func serve(t *testing.T, content []byte, handler http.HandlerFunc) (r Request, tries *atomic.Int32) {
	t.Helper()
	tries = &atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Request{
		URL:       server.URL + fetchPath,
		CA:        pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		TokenFile: token,
		Digest:    digest.FromBytes(content).String(),
		retry:     wait.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 4},
	}, tries
}

func sending(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }
}

func answering(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, code) }
}

func TestFetch_ExtractsTheArtifactItWasAskedFor(t *testing.T) {
	for name, algorithm := range map[string]digest.Algorithm{"sha256": digest.SHA256, "blake3": digest.BLAKE3} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			content := archive(t, entry{name: "main.tf", content: "# module\n"}, entry{name: "sub/x.tf", content: "# sub\n"}, entry{name: "link", link: "/etc/passwd"})
			var token, path string
			r, _ := serve(t, content, func(w http.ResponseWriter, r *http.Request) {
				token, path = r.Header.Get("Authorization"), r.URL.Path
				_, _ = w.Write(content)
			})
			r.Digest = algorithm.FromBytes(content).String()
			dir := filepath.Join(t.TempDir(), "work")

			g.Expect(Fetch(t.Context(), r, dir)).To(Succeed())

			g.Expect(token).To(Equal("Bearer secret-token"))
			g.Expect(path).To(Equal(fetchPath))
			g.Expect(os.ReadFile(filepath.Join(dir, "main.tf"))).To(BeEquivalentTo("# module\n"))
			g.Expect(os.ReadFile(filepath.Join(dir, "sub", "x.tf"))).To(BeEquivalentTo("# sub\n"))
			_, err := os.Lstat(filepath.Join(dir, "link"))
			g.Expect(err).To(MatchError(os.ErrNotExist), "symlinks are left out")
		})
	}
}

func TestFetch_TriesAgainWhatMayPass(t *testing.T) {
	content := archive(t, entry{name: "main.tf", content: strings.Repeat("# module\n", 1000)})
	for name, trouble := range map[string]http.HandlerFunc{
		"503":                 answering(http.StatusServiceUnavailable, "starting"),
		"500":                 answering(http.StatusInternalServerError, "oops"),
		"429":                 answering(http.StatusTooManyRequests, "slow down"),
		"a broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a broken download": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(content[:len(content)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			troubles := 2
			r, tries := serve(t, content, func(w http.ResponseWriter, r *http.Request) {
				if troubles--; troubles >= 0 {
					trouble(w, r)
				}
				_, _ = w.Write(content)
			})
			dir := t.TempDir()
			g.Expect(Fetch(t.Context(), r, dir)).To(Succeed())
			g.Expect(tries.Load()).To(BeEquivalentTo(3))
			g.Expect(filepath.Join(dir, "main.tf")).To(BeARegularFile())
		})
	}
}

func TestFetch_SaysWhatWentWrong(t *testing.T) {
	content := archive(t, entry{name: "main.tf", content: strings.Repeat("# module\n", 1000)})
	escape := archive(t, entry{name: "../main.tf", content: "x"})
	other := archive(t, entry{name: "main.tf", content: "other"})
	bomb := archive(t, entry{name: "zeros", content: strings.Repeat("0", 1<<20)})
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    []byte
		limit   int64
		kind    Kind
		tries   int32
		message string
	}{
		{name: "unauthorized", handler: answering(401, "no token"), kind: Refused, tries: 1, message: "the server answered 401 Unauthorized: no token"},
		{name: "forbidden", handler: answering(403, "run network-3f9ac1d2 is\nnot\x00 yours"), kind: Refused, tries: 1,
			message: "the server answered 403 Forbidden: run network-3f9ac1d2 is not yours"},
		{name: "a long explanation", handler: answering(403, strings.Repeat("ä", 400)), kind: Refused, tries: 1, message: "the server answered 403 Forbidden: " + strings.Repeat("ä", 150)},
		{name: "redirected", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere/", http.StatusFound)
		}, kind: Refused, tries: 1,
			message: `the server answered 302 Found: <a href="https://elsewhere/">Found</a>.`},
		{name: "not found", handler: answering(404, ""), kind: Gone, tries: 1, message: "the server answered 404 Not Found"},
		{name: "gone", handler: answering(410, "a newer artifact replaced it"), kind: Gone, tries: 1, message: "the server answered 410 Gone: a newer artifact replaced it"},
		{name: "always 503", handler: answering(503, "not ready"), kind: Unreachable, tries: 4, message: "the server answered 503 Service Unavailable: not ready"},
		{name: "another artifact", handler: sending(other), kind: DigestMismatch, tries: 1,
			message: fmt.Sprintf("its digest is %s, expected is %s", digest.FromBytes(other), digest.FromBytes(content))},
		{name: "cut, as if whole", handler: sending(content[:100]), kind: DigestMismatch, tries: 1,
			message: fmt.Sprintf("its digest is %s, expected is %s", digest.FromBytes(content[:100]), digest.FromBytes(content))},
		{name: "too large", handler: sending(content), limit: 20, kind: Corrupt, tries: 1, message: "it is larger than 20 bytes"},
		{name: "a bomb", handler: sending(bomb), want: bomb, limit: 100_000, kind: Corrupt, tries: 1,
			message: `it can't be extracted: "zeros" and what is before it have more than 100000 bytes`},
		{name: "no archive", handler: sending([]byte("hello")), want: []byte("hello"), kind: Corrupt, tries: 1,
			message: "it can't be extracted: it is no gzip archive: unexpected EOF"},
		{name: "a cut archive", handler: sending(content[:100]), want: content[:100], kind: Corrupt, tries: 1,
			message: "it can't be extracted: it is no tar archive: unexpected EOF"},
		{name: "a path that leads out", handler: sending(escape), want: escape, kind: Corrupt, tries: 1,
			message: `it can't be extracted: the name "../main.tf" leads out of the archive`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			if tc.want == nil {
				tc.want = content
			}
			r, tries := serve(t, tc.want, tc.handler)
			r.MaxBytes = tc.limit
			host := strings.TrimSuffix(strings.TrimPrefix(r.URL, "https://"), fetchPath)
			dir := filepath.Join(t.TempDir(), "work")
			err := Fetch(t.Context(), r, dir)
			var e *Error
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Kind).To(Equal(tc.kind))
			g.Expect(e.Message).To(Equal("artifact " + fetchPath + " of " + host + ": " + tc.message))
			g.Expect(e.Message).NotTo(ContainSubstring("secret-token"))
			g.Expect(tries.Load()).To(Equal(tc.tries))
			if tc.kind == DigestMismatch {
				g.Expect(dir).NotTo(BeADirectory(), "nothing is extracted before the digest is checked")
			}
		})
	}
}

func TestFetch_RefusesAddressesAndDigestsThatAreNone(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request Request
		kind    Kind
	}{
		{"plain http would show the token", Request{URL: "http://x/a", Digest: digest.FromString("x").String()}, Refused},
		{"no host", Request{URL: "https:///a", Digest: digest.FromString("x").String()}, Refused},
		{"no digest", Request{URL: "https://x/a"}, DigestMismatch},
		{"a short digest", Request{URL: "https://x/a", Digest: "sha256:abc"}, DigestMismatch},
		{"no CA", Request{URL: "https://x/a", Digest: digest.FromString("x").String(), CA: []byte("x")}, Unreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			var e *Error
			g.Expect(errors.As(Fetch(t.Context(), tc.request, t.TempDir()), &e)).To(BeTrue())
			g.Expect(e.Kind).To(Equal(tc.kind), e.Message)
		})
	}
}

func TestFetch_DoesNotTrustAnotherCertificate(t *testing.T) {
	g := NewWithT(t)
	r, tries := serve(t, nil, sending(nil))
	r.CA = nil
	err := Fetch(t.Context(), r, t.TempDir())
	var e *Error
	g.Expect(errors.As(err, &e)).To(BeTrue())
	g.Expect(e.Kind).To(Equal(Unreachable))
	g.Expect(e.Message).To(ContainSubstring("x509"))
	g.Expect(tries.Load()).To(BeZero())
}

func TestFetch_StopsWhenItIsTold(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, tries := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	r.retry = wait.Backoff{Duration: time.Hour, Factor: 1, Steps: 4}
	err := Fetch(ctx, r, t.TempDir())
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(tries.Load()).To(BeEquivalentTo(1))
}

func TestFetch_MissingTokenIsOurOwnTrouble(t *testing.T) {
	g := NewWithT(t)
	r, tries := serve(t, nil, sending(nil))
	r.TokenFile = filepath.Join(t.TempDir(), "none")
	err := Fetch(t.Context(), r, t.TempDir())
	var e *Error
	g.Expect(errors.As(err, &e)).To(BeFalse())
	g.Expect(err).To(MatchError(os.ErrNotExist))
	g.Expect(tries.Load()).To(BeZero())
}
