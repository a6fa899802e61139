package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/egress"
)

func TestReadable_SaysTheSameOfTheSameTrouble(t *testing.T) {
	at := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	server := at("192.0.2.1", 443)
	reading := func(port int) error {
		return &net.OpError{Op: "read", Net: "tcp", Source: at("10.0.0.9", port), Addr: server, Err: syscall.ECONNRESET}
	}
	looking := func(port int, change func(*net.DNSError)) error {
		e := &net.DNSError{Name: "policy", Server: fmt.Sprintf("10.96.0.%d:53", port%10), Err: fmt.Sprintf("read udp 10.0.0.9:%d->10.96.0.10:53: i/o timeout", port)}
		change(e)
		return &net.OpError{Op: "dial", Net: "tcp", Err: e}
	}
	for name, c := range map[string]struct {
		reason string
		err    func(port int) error
		says   string
	}{
		"reset": {"the port is another each time", reading, "can't be called: read tcp 192.0.2.1:443: connection reset by peer"},
		"reset, wrapped": {
			"net/http wraps it", func(port int) error { return fmt.Errorf("transport connection broken: %w", reading(port)) },
			"can't be called: read tcp 192.0.2.1:443: connection reset by peer",
		},
		"no name server": {
			"so is that of a lookup", func(port int) error { return looking(port, func(e *net.DNSError) { e.IsTimeout = true }) },
			"can't be called: lookup policy: the name server gives no answer",
		},
		"no such name": {
			"whichever server says so", func(port int) error { return looking(port, func(e *net.DNSError) { e.IsNotFound = true }) },
			"can't be called: lookup policy: no such host",
		},
		"a name server in trouble": {
			"whichever it is", func(port int) error { return looking(port, func(e *net.DNSError) { e.IsTemporary = true }) },
			"can't be called: lookup policy: the name server can't tell",
		},
		"anything else": {"it is shown as it is", func(int) error { return errors.New("no") }, "can't be called: no"},
	} {
		t.Run(name, func(t *testing.T) {
			for port := range 3 {
				err := caller(t).readable(&url.Error{Op: "Post", URL: "https://s3cret", Err: c.err(40000 + port)})
				NewWithT(t).Expect(err).To(MatchError(c.says), c.reason)
			}
		})
	}
	refused := caller(t).readable(&net.OpError{Op: "dial", Net: "tcp", Source: at("10.0.0.9", 1), Err: egress.ErrRefused})
	NewWithT(t).Expect(refused).To(MatchError(egress.ErrRefused), "the cause stays")
}

func TestAsk_SaysTheSameOfAConnectionThatBreaks(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = connection.(*net.TCPConn).SetLinger(0) // ends it with a reset
			_ = connection.Close()
		}
	}))
	t.Cleanup(server.Close)
	c, q := caller(t, "127.0.0.0/8"), question(v1alpha2.Webhook{URL: server.URL, TestExpression: "true"})
	first := c.Ask(t.Context(), q)
	g.Expect(first).To(ContainSubstring("can't be called: read tcp "))
	g.Expect(c.Ask(t.Context(), q)).To(Equal(first))
}
