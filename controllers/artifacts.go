package controllers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/sync/semaphore"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/terraform-controller/terraform-controller/internal/egress"
)

const (
	// artifactPath is what a runner asks for: its namespace and the name of its run.
	artifactPath = "GET /artifacts/{namespace}/{run}"

	artifactHeaderTime = 10 * time.Second
	artifactIdleTime   = time.Minute
	artifactStreamTime = 15 * time.Minute
	artifactQueueTime  = time.Minute
	artifactStopTime   = 30 * time.Second
	upstreamAnswerTime = 30 * time.Second
	upstreamRetryMin   = 500 * time.Millisecond
	upstreamRetryMax   = 10 * time.Second
	maxHeaderBytes     = 32 << 10

	defaultArtifactStreams = 32
)

// ArtifactOptions are what the artifact endpoint needs.
type ArtifactOptions struct {
	// Client creates TokenReviews.
	Client client.Client
	// Reader reads runs; it should not cache, as a runner may ask a moment after its run was made.
	Reader client.Reader
	// SourceHost replaces host and port of artifacts' URLs; empty: as they are.
	SourceHost string
	// Retries is how often a request to source-controller is tried again, before its first byte.
	Retries int
	// RetryWait is the time before the first retry, which doubles up to 10 s. Default: 500ms.
	RetryWait time.Duration
	// Guard says which addresses may be called; nil: any. An address that SourceHost has replaced is not looked at.
	Guard *egress.Guard
	// Streams is the number of artifacts that are served at a time. Default: 32.
	Streams int64
}

// ArtifactHandler serves each runner the artifact of its own run, from source-controller, which is closed to
// tenants' namespaces. It keeps nothing.
type ArtifactHandler struct {
	opts     ArtifactOptions
	upstream *retryablehttp.Client
	streams  *semaphore.Weighted
	mux      *http.ServeMux
	waiting  waitingRequests
}

// refusal is an answer without an artifact: a status and a text for the runner's log.
type refusal struct {
	status int
	text   string
	cause  error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, cause error, format string, args ...any) *refusal {
	return &refusal{status: status, cause: cause, text: fmt.Sprintf(format, args...)}
}

// NewArtifactHandler makes the handler of GET /artifacts/<namespace>/<run>. It answers 200 with the artifact as it
// is, 401 without a good token, 403 when the run is not the token's or the artifact's server may not be called, 404 without such
// a run, 410 when the artifact was deleted, 502 on other trouble with its server, and 503 on trouble of its own.
func NewArtifactHandler(opts ArtifactOptions) *ArtifactHandler {
	if opts.Streams == 0 {
		opts.Streams = defaultArtifactStreams
	}
	if opts.RetryWait == 0 {
		opts.RetryWait = upstreamRetryMin
	}
	h := &ArtifactHandler{
		opts:     opts,
		upstream: newUpstream(opts),
		streams:  semaphore.NewWeighted(opts.Streams),
		mux:      http.NewServeMux(),
	}
	h.mux.HandleFunc(artifactPath, h.serve)
	return h
}

func newUpstream(opts ArtifactOptions) *retryablehttp.Client {
	upstream := retryablehttp.NewClient()
	upstream.Logger = nil
	upstream.RetryMax = opts.Retries
	upstream.RetryWaitMin, upstream.RetryWaitMax = opts.RetryWait, upstreamRetryMax
	upstream.ErrorHandler = retryablehttp.PassthroughErrorHandler
	if transport, ok := upstream.HTTPClient.Transport.(*http.Transport); ok {
		transport.ResponseHeaderTimeout = upstreamAnswerTime
		transport.DisableCompression = true // the digest is that of the file as it is
		if opts.Guard != nil && opts.SourceHost == "" {
			transport.DialContext = opts.Guard.Dialer().DialContext
			transport.Proxy = nil // it would resolve the name in the guard's place
		}
	}
	upstream.HTTPClient.CheckRedirect = egress.SameHost
	upstream.CheckRetry = retryUnlessRefused
	return upstream
}

// retryUnlessRefused: an address that may not be called is no other a moment later.
func retryUnlessRefused(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if errors.Is(err, egress.ErrRefused) {
		return false, err
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// ServeHTTP serves one request.
func (h *ArtifactHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *ArtifactHandler) serve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), artifactStreamTime)
	defer cancel()
	namespace, name := r.PathValue("namespace"), r.PathValue("run")
	log := logf.FromContext(ctx).WithName("artifacts").WithValues("namespace", namespace, "run", name)

	h.waiting.add(r, cancel)
	defer h.waiting.done(r)
	address, err := h.authorize(ctx, r, namespace, name)
	if err == nil {
		err = h.stream(ctx, w, r, address)
	}
	if err == nil {
		log.V(1).Info("artifact served")
		return
	}
	h.answer(w, log, err)
}

func (h *ArtifactHandler) answer(w http.ResponseWriter, log logr.Logger, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		log.Error(err, "the artifact was cut off")
		panic(http.ErrAbortHandler) // the only way to tell the client that what it has is not all
	}
	if h.waiting.stopped() {
		no = refuse(http.StatusServiceUnavailable, err, "the controller is stopping; try again")
	}
	log.Info("artifact refused", "status", no.status, "text", no.text, "cause", fmt.Sprint(no.cause))
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, no.text, no.status)
}

// Stop ends the requests whose streams have not begun: they might wait for an artifact's server for minutes.
func (h *ArtifactHandler) Stop() { h.waiting.stop() }

// stream copies the artifact to w. Its error is a refusal as long as nothing was written. From then on a stop lets it finish.
func (h *ArtifactHandler) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, address string) error {
	if err := h.admit(ctx); err != nil {
		return err
	}
	defer h.streams.Release(1)
	resp, err := h.open(ctx, address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !h.waiting.done(r) {
		return refuse(http.StatusServiceUnavailable, nil, "the stream would be cut")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if length := resp.Header.Get("Content-Length"); length != "" {
		w.Header().Set("Content-Length", length)
	}
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("copy the artifact: %w", err)
	}
	return nil
}

func (h *ArtifactHandler) admit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, artifactQueueTime)
	defer cancel()
	if err := h.streams.Acquire(ctx, 1); err != nil {
		return refuse(http.StatusServiceUnavailable, err, "too many artifacts are being served; try again")
	}
	return nil
}

func (h *ArtifactHandler) open(ctx context.Context, address string) (*http.Response, error) {
	target, err := url.Parse(address)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, refuse(http.StatusBadGateway, err, "the run's artifact has no http(s) address")
	}
	if h.opts.SourceHost != "" {
		target.Host = h.opts.SourceHost
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, refuse(http.StatusBadGateway, err, "the run's artifact has no usable address")
	}
	resp, err := h.upstream.Do(req)
	if errors.Is(err, egress.ErrRefused) {
		return nil, refuse(http.StatusForbidden, err, "the artifact's server at %s may not be called; --egress-allowed-cidrs of the controller allows addresses", target.Host)
	}
	if err != nil {
		return nil, refuse(http.StatusBadGateway, err, "the artifact's server at %s gives no answer", target.Host)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, refuse(http.StatusGone, nil,
			"its server does not have the artifact any more; a run of the newest revision follows")
	}
	return nil, refuse(http.StatusBadGateway, nil, "the artifact's server at %s answers %s", target.Host, resp.Status)
}

// NewArtifactServer listens on addr at once and serves handler when it is started, on every replica, until its
// context ends; streams then have 30 s to finish, and requests without one end. It logs to the logger of ctx.
func NewArtifactServer(
	ctx context.Context, addr string, certificate *ServingCertificate, handler *ArtifactHandler,
) (*manager.Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for runners: %w", err)
	}
	stop, log := artifactStopTime, logf.FromContext(ctx)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: artifactHeaderTime,
		WriteTimeout:      artifactStreamTime,
		IdleTimeout:       artifactIdleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return context.WithoutCancel(ctx) // a stop lets streams finish
		},
	}
	server.RegisterOnShutdown(handler.Stop)
	return &manager.Server{
		Name:            "artifacts",
		Listener:        tls.NewListener(listener, certificate.TLSConfig()),
		ShutdownTimeout: &stop,
		Server:          server,
	}, nil
}
