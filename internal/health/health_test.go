package health

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var outputs = map[string]string{"host": "app.example.com", "port": "8080", "my-url": "https://x.example.com/", "empty": ""}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	compat.Shows(t, "spec.healthChecks")
	cases := map[string]struct {
		reason string
		check  v1alpha2.HealthCheck
		want   string
	}{
		"no url":          {"the schema does not ask for it", v1alpha2.HealthCheck{Type: "http", Address: "x:1"}, "spec.healthChecks[0].url: is missing, a check of type http needs it"},
		"no address":      {"likewise", v1alpha2.HealthCheck{Type: "tcp", URL: "http://x"}, "spec.healthChecks[0].address: is missing, a check of type tcp needs it"},
		"other scheme":    {"only what can be asked", v1alpha2.HealthCheck{Type: "http", URL: "ftp://x"}, "spec.healthChecks[0].url: is no URL of http or https with a host"},
		"no scheme":       {"a host alone is no URL", v1alpha2.HealthCheck{Type: "http", URL: "example.com"}, "spec.healthChecks[0].url: is no URL of http or https with a host"},
		"no host":         {"a port is not enough", v1alpha2.HealthCheck{Type: "http", URL: "http://:80/"}, "spec.healthChecks[0].url: is no URL of http or https with a host"},
		"unreadable URL":  {"its text may hold a secret, and is not repeated", v1alpha2.HealthCheck{Type: "http", URL: "http://u:secret@x\x01/"}, "spec.healthChecks[0].url: is no URL of http or https with a host"},
		"tcp with scheme": {"an address is no URL", v1alpha2.HealthCheck{Type: "tcp", Address: "tcp://x:1"}, "spec.healthChecks[0].address: is not host:port"},
		"no port":         {"which one is not guessed", v1alpha2.HealthCheck{Type: "tcp", Address: "example.com"}, "spec.healthChecks[0].address: is not host:port"},
		"odd host":        {"no name has a blank", v1alpha2.HealthCheck{Type: "tcp", Address: "a b:1"}, "spec.healthChecks[0].address: is not host:port"},
		"port 0":          {"nothing listens there", v1alpha2.HealthCheck{Type: "tcp", Address: "x:0"}, "spec.healthChecks[0].address: has a port that is not between 1 and 65535"},
		"port too high":   {"there is no such port", v1alpha2.HealthCheck{Type: "tcp", Address: "x:65536"}, "spec.healthChecks[0].address: has a port that is not between 1 and 65535"},
		"named port":      {"ports are numbers", v1alpha2.HealthCheck{Type: "tcp", Address: "x:http"}, "spec.healthChecks[0].address: has a port that is not between 1 and 65535"},
		"empty output":    {"an output that is empty is seen", v1alpha2.HealthCheck{Type: "tcp", Address: "${{ .empty }}"}, "spec.healthChecks[0].address: is not host:port"},
		"unclosed":        {"a template that ends too early", v1alpha2.HealthCheck{Type: "tcp", Address: "${{ .host"}, "spec.healthChecks[0].address: template: spec.healthChecks[0].address:1: unclosed action"},
		"mistyped output": {
			"the outputs that there are help", v1alpha2.HealthCheck{Type: "tcp", Address: "${{ .hots }}:1"},
			`spec.healthChecks[0].address: template: spec.healthChecks[0].address:1:4: executing "spec.healthChecks[0].address" at <.hots>: ` +
				`map has no entry for key "hots"; the outputs are: empty, host, my-url, port`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New("spec.healthChecks[0]", &tc.check, outputs)
			NewWithT(t).Expect(err).To(MatchError(tc.want), tc.reason)
		})
	}
}

func TestNew_TakesTemplates(t *testing.T) {
	for _, check := range []v1alpha2.HealthCheck{
		{Type: "tcp", Address: "${{ .host }}:${{ .port }}"},
		{Type: "tcp", Address: "[::1]:80"},
		{Type: "tcp", Address: "Example.COM.:80"},
		{Type: "http", URL: `${{ index . "my-url" }}healthz`},
		{Type: "http", URL: "http://${{.host}}:${{.port}}/?a=b"},
	} {
		_, err := New("spec.healthChecks[0]", &check, outputs)
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%+v", check)
	}
}

func check(t *testing.T, spec *v1alpha2.HealthCheck) error {
	t.Helper()
	c, err := New("spec.healthChecks[0]", spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Wait(t.Context())
}

func second() *metav1.Duration { return &metav1.Duration{Duration: time.Second} }

func TestWait_HTTP(t *testing.T) {
	compat.Shows(t, "spec.healthChecks")
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	status := func(path string, code int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte("the-body"))
		})
	}
	status("/ok", 200)
	status("/empty", 204)
	status("/unmodified", 304)
	status("/down", 503)
	status("/gone", 404)
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/moved-away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/down?token=hidden", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop?token=hidden", http.StatusFound)
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hidden" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	insecure := httptest.NewTLSServer(mux)
	t.Cleanup(insecure.Close)

	host := strings.TrimPrefix(server.URL, "http://")
	cases := map[string]struct {
		reason, url, want string
	}{
		"ok":              {"it answers", server.URL + "/ok", ""},
		"no content":      {"2xx is healthy", server.URL + "/empty", ""},
		"unmodified":      {"3xx is healthy", server.URL + "/unmodified", ""},
		"redirect":        {"it is followed", server.URL + "/moved", ""},
		"login":           {"credentials of the URL are sent", "http://me:hidden@" + host + "/login", ""},
		"down":            {"the body is not repeated: it may hold anything", server.URL + "/down", ": answered 503 Service Unavailable (tried for 1s)"},
		"gone":            {"4xx is not healthy", server.URL + "/gone?token=hidden", "GET " + server.URL + "/gone: answered 404 Not Found"},
		"redirected down": {"where it leads counts", server.URL + "/moved-away", "/moved-away: answered 503 Service Unavailable"},
		"loop":            {"it ends", server.URL + "/loop", "/loop: stopped after 10 redirects"},
		"wrong password":  {"credentials are not repeated", "http://me:hidden2@" + host + "/login", "GET http://" + host + "/login: answered 401 Unauthorized"},
		"hangs":           {"it takes too long", server.URL + "/hangs", "/hangs: no answer: context deadline exceeded (tried for 1s)"},
		"unknown CA":      {"certificates are verified", insecure.URL + "/ok", "certificate signed by unknown authority"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			err := check(t, &v1alpha2.HealthCheck{Type: "http", URL: tc.url, Timeout: second()})
			if tc.want == "" {
				g.Expect(err).NotTo(HaveOccurred(), tc.reason)
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(tc.want)), tc.reason)
			g.Expect(err.Error()).NotTo(ContainSubstring("hidden"), tc.reason)
			g.Expect(err.Error()).NotTo(ContainSubstring("the-body"), tc.reason)
		})
	}
}

func TestWait_TCP(t *testing.T) {
	compat.Shows(t, "spec.healthChecks")
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	spec := &v1alpha2.HealthCheck{Type: "tcp", Address: address, Timeout: second()}
	g.Expect(check(t, spec)).To(Succeed())
	g.Expect(listener.Close()).To(Succeed())
	g.Expect(check(t, spec)).To(MatchError(And(HavePrefix("connect to "+address+": "), HaveSuffix(" (tried for 1s)"))))
}

func TestWait_TriesUntilItIsHealthy(t *testing.T) {
	compat.Shows(t, "spec.healthChecks.timeout")
	g := NewWithT(t)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	g.Expect(check(t, &v1alpha2.HealthCheck{Type: "http", URL: server.URL})).To(Succeed(), "what was just made needs a moment")
	g.Expect(asked.Load()).To(BeEquivalentTo(3))
}

func TestWait_EndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	c, err := New("x", &v1alpha2.HealthCheck{Type: "tcp", Address: "127.0.0.1:1"}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(c.Wait(ctx)).To(HaveOccurred())
}

func TestTimeout(t *testing.T) {
	compat.Shows(t, "spec.healthChecks.timeout")
	g := NewWithT(t)
	g.Expect(Timeout(&v1alpha2.HealthCheck{})).To(Equal(20 * time.Second))
	g.Expect(Timeout(&v1alpha2.HealthCheck{Timeout: &metav1.Duration{}})).To(Equal(20*time.Second), "0 is no time at all")
	g.Expect(Timeout(&v1alpha2.HealthCheck{Timeout: second()})).To(Equal(time.Second))
}
