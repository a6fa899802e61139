package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"
	_ "github.com/opencontainers/go-digest/blake3" // Flux sources may be configured for it
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// DefaultMaxBytes limits an artifact when Request.MaxBytes is 0.
	DefaultMaxBytes = 512 << 20

	// maxErrorBody is how much of a server's explanation is taken over, in bytes.
	maxErrorBody = 300

	// headerTimeout limits the wait for an answer to begin; the download itself is limited by the context only.
	headerTimeout = 30 * time.Second

	// dialTimeout limits the wait for a connection: where a NetworkPolicy drops what is sent, all tries together have to
	// end before the step does, or nobody is told which address it was.
	dialTimeout = 10 * time.Second
)

// defaultRetry waits 0.5 to 20 seconds between nine tries, 50 s in all: longer than the controller needs to be
// replaced. (A Cap would end the tries when it is reached.)
var defaultRetry = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.7, Jitter: 0.1, Steps: 9}

// Request names an artifact.
type Request struct {
	// URL of the artifact, https.
	URL string
	// CA certificates (PEM) that the server's certificate is checked with; nil: the system's.
	CA []byte
	// TokenFile holds the bearer token; it is read for each try, because kubelets renew it. "": no token.
	TokenFile string
	// Digest that the artifact has to have, like sha256:<hex>.
	Digest string
	// MaxBytes limits the archive and also what it holds; 0: DefaultMaxBytes.
	MaxBytes int64
	// HTTP is used instead of a client made from CA, which takes no proxy and follows no redirects.
	HTTP *http.Client

	retry wait.Backoff
}

// Kind says what went wrong with a fetch.
type Kind string

const (
	// Unreachable: no answer, or only 5xx and 429, for as long as it was tried.
	Unreachable Kind = "Unreachable"
	// Refused: the server does not want to give it to us (401, 403, other 4xx, redirects).
	Refused Kind = "Refused"
	// Gone: the server does not have it any more (404, 410); a newer one may be there.
	Gone Kind = "Gone"
	// DigestMismatch: what came is not what was asked for.
	DigestMismatch Kind = "DigestMismatch"
	// Corrupt: it is what was asked for, but no archive that can be extracted, or too large.
	Corrupt Kind = "Corrupt"
)

// Error is a failed fetch. Its text has the path of the URL (no query), and status or digests.
type Error struct {
	Kind    Kind
	Message string
	// Err is the cause, when there is one.
	Err error
}

// Error is Message.
func (e *Error) Error() string { return e.Message }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// Fetch downloads the artifact, checks its digest, and only then extracts it into dir, which should be absent or
// empty; symlinks are left out. Connection errors, also in the middle of the download, and 5xx and 429 are tried
// again. Errors are *Error, or other ones when the machine's own files are the trouble.
func Fetch(ctx context.Context, r Request, dir string) error {
	f, err := newFetch(r)
	if err != nil {
		return err
	}
	archive, err := os.CreateTemp("", "artifact-*.tar.gz")
	if err != nil {
		return fmt.Errorf("making a file for the artifact: %w", err)
	}
	defer func() {
		_ = archive.Close()
		_ = os.Remove(archive.Name())
	}()
	if err := f.retrying(ctx, func() error { return f.download(ctx, archive) }); err != nil {
		return err
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the artifact: %w", err)
	}
	return f.extract(archive, dir)
}

// fetch is one Fetch.
type fetch struct {
	request Request
	url     *url.URL
	digest  digest.Digest
}

func newFetch(r Request) (*fetch, error) {
	f := &fetch{request: r}
	var err error
	if f.url, err = url.Parse(r.URL); err != nil || f.url.Scheme != "https" || f.url.Host == "" {
		return nil, &Error{Kind: Refused, Message: fmt.Sprintf("the artifact's address %q is no https address", r.URL), Err: err}
	}
	if f.digest, err = digest.Parse(r.Digest); err != nil {
		return nil, f.fail(DigestMismatch, err, "the expected digest %q is none: %v", r.Digest, err)
	}
	if f.request.MaxBytes <= 0 {
		f.request.MaxBytes = DefaultMaxBytes
	}
	if f.request.retry.Steps == 0 {
		f.request.retry = defaultRetry
	}
	if f.request.HTTP == nil {
		f.request.HTTP, err = f.client()
	}
	return f, err
}

func (f *fetch) fail(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: err, Message: fmt.Sprintf("artifact %s of %s: ", f.url.Path, f.url.Host) + fmt.Sprintf(format, args...)}
}

// client takes no proxy from the environment: that is meant for the engine, and the server is in the cluster.
func (f *fetch) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.request.CA != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(f.request.CA) {
			return nil, f.fail(Unreachable, nil, "the CA given to check the server with holds no certificate")
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   headerTimeout,
			ResponseHeaderTimeout: headerTimeout,
			ForceAttemptHTTP2:     true,
			DisableKeepAlives:     true,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// retrying calls try until it succeeds, fails for good, or the tries or the context end.
func (f *fetch) retrying(ctx context.Context, try func() error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, f.request.retry, func(context.Context) (bool, error) {
		last = try()
		if last != nil && worthARetry(last) && ctx.Err() == nil {
			return false, nil
		}
		return true, last
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && (last == nil || errors.Is(last, ctx.Err())):
		return f.fail(Unreachable, ctx.Err(), "stopped: %v", context.Cause(ctx))
	case ctx.Err() != nil:
		return f.fail(Unreachable, ctx.Err(), "stopped: %v; before: %v", context.Cause(ctx), last)
	}
	return last
}

// worthARetry says whether the same request may succeed later: not when the server's certificate is wrong.
func worthARetry(err error) bool {
	var failed *Error
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &failed) && failed.Kind == Unreachable && !errors.As(err, &certificate)
}

// download writes the artifact over the file and checks its digest.
func (f *fetch) download(ctx context.Context, file *os.File) error {
	if err := errors.Join(rewind(file), file.Truncate(0)); err != nil {
		return fmt.Errorf("making room for the artifact: %w", err)
	}
	response, err := f.get(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return f.refusal(response)
	}
	digester := f.digest.Algorithm().Digester()
	body := &readErrors{reader: io.LimitReader(response.Body, f.request.MaxBytes+1)}
	size, err := io.Copy(io.MultiWriter(file, digester.Hash()), body)
	switch {
	case body.err != nil:
		return f.fail(Unreachable, body.err, "the download broke off after %d bytes: %v", size, body.err)
	case err != nil:
		return fmt.Errorf("writing the artifact: %w", err)
	case size > f.request.MaxBytes:
		return f.fail(Corrupt, nil, "it is larger than %d bytes", f.request.MaxBytes)
	case digester.Digest() != f.digest:
		return f.fail(DigestMismatch, nil, "its digest is %s, expected is %s", digester.Digest(), f.digest)
	}
	return nil
}

func rewind(file *os.File) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// readErrors tells errors of the network from those of the disk.
type readErrors struct {
	reader io.Reader
	err    error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (f *fetch) get(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url.String(), nil)
	if err != nil {
		return nil, f.fail(Refused, err, "%v", err)
	}
	if f.request.TokenFile != "" {
		token, err := os.ReadFile(f.request.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the token for the artifact: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := f.request.HTTP.Do(request)
	if err != nil {
		// A url.Error repeats the address; its cause is enough.
		cause := err
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			cause = wrapped.Err
		}
		return nil, f.fail(Unreachable, err, "no answer: %v", cause)
	}
	return response, nil
}

// refusal is the error for an answer that is not the artifact.
func (f *fetch) refusal(response *http.Response) *Error {
	kind := Refused
	switch code := response.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		kind = Gone
	case code >= http.StatusInternalServerError || code == http.StatusTooManyRequests:
		kind = Unreachable
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	explanation := printable(body)
	if err != nil || explanation == "" {
		return f.fail(kind, nil, "the server answered %s", response.Status)
	}
	return f.fail(kind, nil, "the server answered %s: %s", response.Status, explanation)
}

// printable is a server's explanation as one line of text.
func printable(body []byte) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, string(body))
	return strings.Join(strings.Fields(text), " ")
}

// extract unpacks the archive.
func (f *fetch) extract(archive io.ReadSeeker, dir string) error {
	err := Unpack(archive, dir, f.request.MaxBytes)
	if err == nil {
		return nil
	}
	if _, bad := errors.AsType[*ArchiveError](err); bad {
		return f.fail(Corrupt, err, "it can't be extracted: %v", err)
	}
	return fmt.Errorf("extracting the artifact: %w", err)
}
