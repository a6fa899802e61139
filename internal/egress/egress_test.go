package egress

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestGuard_Check(t *testing.T) {
	guard, err := New([]string{"127.0.0.2/32", "169.254.20.0/24"}, "https://10.96.0.1")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for address, c := range map[string]struct{ reason, refused string }{
		"10.96.4.7:80":                {"in-cluster Services are the main use", ""},
		"192.168.1.1:8443":            {"so are private networks", ""},
		"8.8.8.8:443":                 {"and what is public", ""},
		"[2001:db8::1]:443":           {"in either family", ""},
		"[fd12:3456::1]:443":          {"a private network, in IPv6", ""},
		"127.0.0.1:80":                {"the controller's own pod", "loopback"},
		"127.8.0.1:80":                {"all of it", "loopback"},
		"[::1]:80":                    {"in either family", "loopback"},
		"[::ffff:127.0.0.1]:80":       {"however it is written", "loopback"},
		"[64:ff9b::7f00:1]:80":        {"or translated", "loopback"},
		"127.0.0.2:80":                {"allowed by the flag", ""},
		"169.254.169.254:80":          {"a cloud's metadata hold credentials", "link-local"},
		"[::ffff:169.254.169.254]:80": {"however it is written", "link-local"},
		"[64:ff9b::a9fe:a9fe]:80":     {"or translated", "link-local"},
		"169.254.20.10:80":            {"a node-local service, allowed by the flag", ""},
		"[fe80::1%eth0]:80":           {"a neighbour of the node", "link-local"},
		"[fd00:ec2::254]:80":          {"metadata of AWS", "metadata"},
		"100.100.100.200:80":          {"metadata of Alibaba Cloud", "metadata"},
		"168.63.129.16:80":            {"metadata of Azure", "metadata"},
		"0.0.0.0:80":                  {"means this host to Linux", "unspecified"},
		"0.1.2.3:80":                  {"and so does its network to some", "unspecified"},
		"[::]:80":                     {"in either family", "unspecified"},
		"224.0.0.251:80":              {"many hosts", "multicast"},
		"255.255.255.255:80":          {"all hosts", "broadcast"},
		"[ff02::1]:80":                {"in either family", "multicast"},
		"10.96.0.1:443":               {"the API server trusts who comes from here", "API server"},
		"[::ffff:10.96.0.1]:443":      {"however it is written", "API server"},
		"10.96.0.1:8443":              {"another port is not the API server", ""},
	} {
		t.Run(address, func(t *testing.T) {
			err := guard.Check(netip.MustParseAddrPort(address))
			if c.refused == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred(), c.reason)
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ErrRefused), c.reason)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.refused)), c.reason)
		})
	}
}

func TestNew(t *testing.T) {
	for server, known := range map[string]string{
		"https://127.0.0.1:6443": "127.0.0.1:6443", "https://[fd00::1]:443": "[fd00::1]:443", "https://[fd00::1]": "[fd00::1]:443",
		"https://api.example.com": "", "": "", "://": "",
	} {
		guard, err := New(nil, server)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		if known == "" {
			NewWithT(t).Expect(guard.Refused).To(BeEmpty(), server)
			continue
		}
		NewWithT(t).Expect(guard.Refused).To(ConsistOf(netip.MustParseAddrPort(known)), server)
	}
	_, err := New([]string{"10.0.0.1"}, "")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`"10.0.0.1" is no network like 10.0.0.0/8`)))
}

// client of a guard that allows what it is given.
func client(t *testing.T, allowed ...string) *http.Client {
	t.Helper()
	guard, err := New(allowed, "")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &http.Client{Transport: &http.Transport{DialContext: guard.Dialer().DialContext}, CheckRedirect: SameHost}
}

func TestDialer_LooksAtTheAddressThatANameStandsFor(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, url := range []string{server.URL, byName} {
		_, err := client(t).Get(url)
		g.Expect(err).To(MatchError(ErrRefused), url)
		resp, err := client(t, "127.0.0.0/8", "::1/128").Get(url)
		g.Expect(err).NotTo(HaveOccurred(), url)
		g.Expect(resp.Body.Close()).To(Succeed())
	}
}

func TestSameHost(t *testing.T) {
	g := NewWithT(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody else was called") }))
	defer elsewhere.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/there", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/round", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/end", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, status := range map[string]int{"/there": http.StatusTemporaryRedirect, "/here": http.StatusTeapot, "/round": http.StatusTemporaryRedirect} {
		resp, err := client(t, "127.0.0.0/8").Get(server.URL + path)
		g.Expect(err).NotTo(HaveOccurred(), path)
		g.Expect(resp.StatusCode).To(Equal(status), path)
		g.Expect(resp.Body.Close()).To(Succeed())
	}
}
