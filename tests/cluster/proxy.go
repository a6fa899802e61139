package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"

	"k8s.io/client-go/rest"
)

// Interference answers a request in the API server's place and says true, or lets it pass. It may also delay it.
type Interference func(w http.ResponseWriter, r *http.Request) (answered bool)

// Proxy stands in front of the API server, for faults that a real one can't be brought to show: conflicts, refusals for
// too many requests, slow answers.
type Proxy struct {
	// URL of the proxy.
	URL string

	port         string
	interference atomic.Pointer[Interference]
}

// Interfere sets what happens to requests from now on; nil ends it.
func (p *Proxy) Interfere(i Interference) {
	if i == nil {
		p.interference.Store(nil)
		return
	}
	p.interference.Store(&i)
}

// podsPort is where pods find the API server.
func (c *Cluster) podsPort() string {
	if c.Proxy == nil {
		return c.port
	}
	return c.Proxy.port
}

func (c *Cluster) startProxy(ctx context.Context) error {
	if !c.opts.Proxied {
		return nil
	}
	transport, err := proxyTransport(c.Config)
	if err != nil {
		return err
	}
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		return fmt.Errorf("parsing the API server's address: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(c.host, "0"))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return fmt.Errorf("reading the proxy's address: %w", err)
	}
	p := &Proxy{URL: "https://" + listener.Addr().String(), port: port}
	logFile, err := openLog(c.path("logs", "proxy.log"))
	if err != nil {
		return err
	}
	logger := log.New(logFile, "", log.LstdFlags)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport, FlushInterval: -1, ErrorLog: logger,
	}
	server := &http.Server{ErrorLog: logger, ReadHeaderTimeout: startTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i := p.interference.Load(); i != nil && (*i)(w, r) {
			return
		}
		forward.ServeHTTP(w, r)
	})}
	go func() {
		if err := server.ServeTLS(listener, c.path("pki", "server.crt"), c.path("pki", "server.key")); err != nil {
			logger.Print(err)
		}
	}()
	c.Proxy = p
	c.onStop(func() error {
		if err := server.Close(); err != nil {
			return fmt.Errorf("closing the proxy: %w", err)
		}
		return logFile.Close()
	})
	return nil
}

// proxyTransport trusts the API server, and leaves authentication to the request.
func proxyTransport(config *rest.Config) (http.RoundTripper, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("trusting the API server: %w", err)
	}
	tlsConfig.MinVersion = tls.VersionTLS12
	return &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}, nil
}
