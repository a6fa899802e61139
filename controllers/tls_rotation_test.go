package controllers

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// greets says whether a pod that was given this CA gets through to the endpoint at the fixture's time, in a handshake of its own.
func (f *certificateFixture) greets(g Gomega, address string, ca []byte) error {
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "host", Time: func() time.Time { return f.now }})
	if err != nil {
		return err
	}
	return conn.Close()
}

func (f *certificateFixture) serve(t *testing.T, c *ServingCertificate) net.Addr {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = c.TLSConfig()
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr()
}

// aDecadeOfHandshakes steps the clock through the lives of certificates and of the CA: an endpoint that looks at its Secret is
// trusted by each pod with the CA that it was given; one that does not is found out; and the CA ends with a restart.
func aDecadeOfHandshakes(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	running := f.replica("host")
	g.Expect(running.Ensure(t.Context())).To(Succeed())
	address, ca := f.serve(t, running).String(), running.CA()
	g.Expect(f.greets(g, address, ca)).To(Succeed())

	begin, served := f.now, map[string]bool{}
	for f.now.Before(begin.Add(authorityLife - certificateLife - certificateRenew)) {
		g.Expect(running.Ensure(t.Context())).To(Succeed())
		g.Expect(f.greets(g, address, ca)).To(Succeed(), "after %s", f.now.Sub(begin))
		served[string(running.current.Load().certPEM)] = true
		f.now = f.now.Add(certificateRenew / 2)
	}
	g.Expect(len(served)).To(BeNumerically(">=", 9), "certificates of one CA")

	f.now = f.now.Add(certificateLife)
	g.Expect(f.greets(g, address, ca)).To(MatchError(ContainSubstring("expired")), "it was not looked at for a year")
	g.Expect(running.Ensure(t.Context())).To(MatchError(errCAReplaced), "the CA is too old to sign: the process starts again, and hands out the new one")

	fresh := f.replica("host")
	g.Expect(fresh.Ensure(t.Context())).To(Succeed())
	address = f.serve(t, fresh).String()
	g.Expect(f.greets(g, address, fresh.CA())).To(Succeed())
	g.Expect(f.greets(g, address, ca)).NotTo(Succeed(), "a pod with the old CA does not trust the new endpoint")
}
