// Package health does the checks of spec.healthChecks: whether a TCP port takes connections, and whether a URL answers.
package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// DefaultTimeout is that of a check that names none.
	DefaultTimeout = 20 * time.Second
	// pause is the time between two tries of a check.
	pause = time.Second
	// maxHeaders limits what is read of an answer, in bytes; its body is not read.
	maxHeaders = 64 << 10
)

// Check is one check that is ready to be done.
type Check struct {
	timeout time.Duration
	// try fails with a text that names neither credentials nor the query of a URL.
	try func(context.Context) error
}

// Timeout of a check.
func Timeout(spec *v1alpha2.HealthCheck) time.Duration {
	if spec.Timeout == nil || spec.Timeout.Duration <= 0 {
		return DefaultTimeout
	}
	return spec.Timeout.Duration
}

// New makes a check of what is under field in the object. ${{ .name }} in url and address stands for an output. What is
// wrong is said with the path of the field.
func New(field string, spec *v1alpha2.HealthCheck, outputs map[string]string) (*Check, error) {
	name, text, parse := "url", spec.URL, httpTry
	if spec.Type == "tcp" {
		name, text, parse = "address", spec.Address, tcpTry
	}
	field += "." + name
	if text == "" {
		return nil, fmt.Errorf("%s: is missing, a check of type %s needs it", field, spec.Type)
	}
	target, err := render(field, text, outputs)
	if err != nil {
		return nil, err
	}
	try, err := parse(target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return &Check{timeout: Timeout(spec), try: try}, nil
}

func render(field, text string, outputs map[string]string) (string, error) {
	parsed, err := template.New(field).Delims("${{", "}}").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, outputs); err != nil {
		return "", fmt.Errorf("%s: %w; the outputs are: %s", field, err, strings.Join(slices.Sorted(maps.Keys(outputs)), ", "))
	}
	return strings.TrimSpace(b.String()), nil
}

// Wait tries until the check succeeds, or its timeout is over; then the last try says why.
func (c *Check) Wait(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pause, c.timeout, true, func(ctx context.Context) (bool, error) {
		err := c.try(ctx)
		if err != nil && (last == nil || ctx.Err() == nil) {
			last = err // not that the time was over during a later try
		}
		return err == nil, nil
	})
	if err == nil {
		return nil
	}
	if last == nil {
		last = err
	}
	return fmt.Errorf("%w (tried for %s)", last, c.timeout)
}

func tcpTry(address string) (func(context.Context) error, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isHost(host) {
		return nil, errors.New("is not host:port")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return nil, errors.New("has a port that is not between 1 and 65535")
	}
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return readable("connect to "+address, err)
		}
		return conn.Close()
	}, nil
}

// isHost: a name or an IP address.
func isHost(host string) bool {
	return net.ParseIP(host) != nil || len(validation.IsDNS1123Subdomain(strings.ToLower(strings.TrimSuffix(host, ".")))) == 0
}

// httpTry follows redirects, and takes 200 to 399 for healthy. Certificates are verified.
func httpTry(address string) (func(context.Context) error, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("is no URL of http or https with a host")
	}
	doing := "GET " + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{}).DialContext,
		DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaders,
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return errors.New(doing + ": can't be asked")
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return readable(doing, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("%s: answered %d %s", doing, resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return nil
	}, nil
}

// readable leaves out the address that net/http puts before an error: it may hold a token, be it that of a redirect.
func readable(doing string, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer: %w", doing, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
