package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/terraform-controller/terraform-controller/internal/egress"
)

const maxHeaders = 64 << 10

// post sends a payload, and gives back the object of the answer. Its errors have neither the URL nor anything of the answer.
func (c *Caller) post(ctx context.Context, address string, body []byte) (map[string]any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url is no URL of http or https with a host")
	}
	config, err := c.tlsConfig(u.Hostname())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("url can't be called")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "terraform-controller")
	// No proxy: it would resolve the name in the guard's place.
	transport := &http.Transport{
		DialContext: c.Guard.Dialer().DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true,
		DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaders,
	}
	resp, err := (&http.Client{Transport: transport, CheckRedirect: egress.SameHost}).Do(req)
	if err != nil {
		return nil, c.readable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d %s, expected 200", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return c.read(resp.Body)
}

func (c *Caller) read(body io.Reader) (map[string]any, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, c.readable(err)
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("answered with more than %d bytes", maxAnswer)
	}
	var answer map[string]any
	if json.Unmarshal(data, &answer) != nil || answer == nil {
		return nil, errors.New("answered with something that is no JSON object")
	}
	return answer, nil
}

// readable leaves out the address that net/http puts before an error: it may hold a token. The same trouble has the same text each
// time, so that another try tells nobody anything new.
func (c *Caller) readable(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", c.Timeout, context.DeadlineExceeded)
	}
	return fmt.Errorf("can't be called: %w", steady(err))
}

// steady leaves out of an error of the network what is another each time: the port that it was called from.
func steady(err error) error {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return &net.DNSError{Name: lookup.Name, Err: lookupTrouble(lookup), IsNotFound: lookup.IsNotFound, IsTimeout: lookup.IsTimeout, IsTemporary: lookup.IsTemporary}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return &net.OpError{Op: op.Op, Net: op.Net, Addr: op.Addr, Err: steady(op.Err)}
	}
	return err
}

// lookupTrouble stands for the error's own text, which has the addresses of the call to the name server in it.
func lookupTrouble(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "the name server gives no answer"
	}
	return "the name server can't tell"
}

// tlsConfig trusts the system's roots, and those that the operator has put in the folder of the host; a client's certificate
// is shown where there is one.
func (c *Caller) tlsConfig(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if !filepath.IsLocal(host) || filepath.Base(host) != host {
		return config, nil // no host of that name has a folder
	}
	dir := filepath.Join(c.Certificates, host)
	authorities, err := readOptional(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	if authorities != nil {
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s holds no certificate", filepath.Join(dir, "ca.crt"))
		}
	}
	certificate, err := readOptional(filepath.Join(dir, "tls.crt"))
	if certificate == nil || err != nil {
		return config, err
	}
	key, err := readOptional(filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("tls.crt and tls.key in %s: %w", dir, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func readOptional(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificates of the host: %w", err)
	}
	return data, nil
}
