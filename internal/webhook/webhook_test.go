package webhook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/egress"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func caller(t *testing.T, allowed ...string) *Caller {
	t.Helper()
	guard, err := egress.New(allowed, "")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &Caller{Guard: guard, Certificates: t.TempDir(), Timeout: 5 * time.Second}
}

func question(hooks ...v1alpha2.Webhook) Question {
	tf := &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{
		Namespace: "infra", Name: "net", Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "s3cret", "team": "a"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
	tf.Spec.Path, tf.Spec.Webhooks, tf.Spec.Cloud = "./net", hooks, &v1alpha2.CloudSpec{Organization: "o", Token: "s3cret"}
	tf.Status.LastAppliedRevision = "main@sha1:1"
	return Question{Object: tf, Plan: json.RawMessage(`{"resource_changes":[]}`)}
}

// answering serves an answer, and remembers what it was sent.
func answering(t *testing.T, status int, answer string) (url string, sent func() string) {
	t.Helper()
	var last atomic.Value
	last.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last.Store(r.Method + " " + r.Header.Get("Content-Type") + " " + string(body))
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() string { return last.Load().(string) }
}

func TestAsk_Answers(t *testing.T) {
	compat.Shows(t, "weak.26")
	const test, message = "${{ .passed }}", "violated: ${{ range .reasons }}${{ . }}; ${{ end }}"
	cases := map[string]struct {
		reason, answer string
		status         int
		test, message  string
		says           string
	}{
		"agrees":           {"the plan may go on", `{"passed":true}`, 200, test, message, ""},
		"agrees, in words": {"yes is true, blanks do not count", `{"passed":"yes"}`, 200, " " + test + "\n", message, ""},
		"denies":           {"what the user says about it stands alone, as in alerts that know it", `{"passed":false,"reasons":["too large","too late"]}`, 200, test, message, "violated: too large; too late;"},
		"denies, in words": {"no is false", `{"passed":"no","reasons":["late"]}`, 200, test, message, "violated: late;"},
		"no message":       {"a denial says something", `{"passed":false}`, 200, test, "", "spec.webhooks[0] (HOST): does not agree to the plan"},
		"undecided":        {"what is neither is no consent, and is not shown", `{"passed":"s3cret"}`, 200, test, message, "spec.webhooks[0] (HOST): testExpression comes to none of true, yes, false, no"},
		"nothing":          {"a key that is missing is no consent", `{}`, 200, test, message, "spec.webhooks[0] (HOST): testExpression comes to none of true, yes, false, no"},
		"no object":        {"an answer is an object", `["s3cret"]`, 200, test, message, "spec.webhooks[0] (HOST): answered with something that is no JSON object"},
		"null":             {"and not nothing", `null`, 200, test, message, "spec.webhooks[0] (HOST): answered with something that is no JSON object"},
		"no JSON":          {"nothing of it is shown", `s3cret`, 200, test, message, "spec.webhooks[0] (HOST): answered with something that is no JSON object"},
		"an error":         {"an answer of another server than the one that was meant may hold anything", `{"passed":true,"s3cret":1}`, 500, test, message, "spec.webhooks[0] (HOST): answered 500 Internal Server Error, expected 200"},
		"another success":  {"exactly 200, as before", `{"passed":true}`, 202, test, message, "spec.webhooks[0] (HOST): answered 202 Accepted, expected 200"},
		"too much":         {"an answer is bounded", `{"passed":true,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, 200, test, message, "spec.webhooks[0] (HOST): answered with more than 1048576 bytes"},
		"mistyped test":    {"said with line and column", `{"passed":true}`, 200, "${{ .passed", message, "spec.webhooks[0] (HOST): testExpression: template: testExpression:1: unclosed action"},
		"mistyped message": {"a denial stays one", `{"passed":false}`, 200, test, "${{ .x", "spec.webhooks[0] (HOST): does not agree to the plan; errorMessageTemplate: template: errorMessageTemplate:1: unclosed action"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url, _ := answering(t, c.status, c.answer)
			q := question(v1alpha2.Webhook{URL: url, TestExpression: c.test, ErrorMessageTemplate: c.message})
			want := strings.ReplaceAll(c.says, "HOST", strings.TrimPrefix(url, "http://"))
			NewWithT(t).Expect(caller(t, "127.0.0.0/8").Ask(t.Context(), q)).To(Equal(want), c.reason)
		})
	}
}

func TestAsk_Payloads(t *testing.T) {
	const object = `"apiVersion":"infra.contrib.fluxcd.io/v1alpha2","kind":"Terraform"`
	for kind, c := range map[string]struct{ reason, sent, says string }{
		"":            {"all, by default", `"status":{"tfplan":{"resource_changes":[]}}`, ""},
		"SpecAndPlan": {"all", `"status":{"tfplan":{"resource_changes":[]}}`, ""},
		"SpecOnly":    {"the object, without its status", object, ""},
		"PlanOnly":    {"the plan", `POST application/json {"resource_changes":[]}`, ""},
		"specOnly":    {"a word nobody knows is no consent", "", `payloadType "specOnly" is none of SpecAndPlan, SpecOnly, PlanOnly`},
	} {
		t.Run("payload "+kind, func(t *testing.T) {
			g := NewWithT(t)
			url, sent := answering(t, 200, `{}`)
			q := question(v1alpha2.Webhook{URL: strings.Replace(url, "//", "//user:s3cret@", 1) + "/p?token=s3cret", PayloadType: kind, TestExpression: "true"})
			message := caller(t, "127.0.0.0/8").Ask(t.Context(), q)
			g.Expect(message).To(ContainSubstring(c.says), c.reason)
			g.Expect(message == "").To(Equal(c.says == ""), message)
			g.Expect(sent()).To(ContainSubstring(c.sent), c.reason)
			g.Expect(sent()+message).NotTo(ContainSubstring("s3cret"), "credentials are for nobody else")
			g.Expect(q.Object.Spec.Cloud.Token).To(Equal("s3cret"), "the object is not changed")
			if kind == "SpecOnly" {
				g.Expect(sent()).NotTo(Or(ContainSubstring("tfplan"), ContainSubstring("status"), ContainSubstring("managedFields")))
				g.Expect(sent()).To(And(ContainSubstring(`"team":"a"`), ContainSubstring(`"path":"./net"`), ContainSubstring(url+"/p\"")))
			}
		})
	}
}

func TestAsk_WithoutAPlan(t *testing.T) {
	g := NewWithT(t)
	url, sent := answering(t, 200, `{}`)
	q := question(v1alpha2.Webhook{URL: url, TestExpression: "true", PayloadType: v1alpha2.PayloadSpecOnly})
	q.Plan = nil
	g.Expect(caller(t, "127.0.0.0/8").Ask(t.Context(), q)).To(BeEmpty(), "the spec alone needs no plan")
	q.Object.Spec.Webhooks[0].PayloadType = v1alpha2.PayloadPlanOnly
	g.Expect(sent()).NotTo(BeEmpty())
	g.Expect(caller(t, "127.0.0.0/8").Ask(t.Context(), q)).To(ContainSubstring("ask for a new plan"))
}

func TestAsk_OneAfterTheOther(t *testing.T) {
	g := NewWithT(t)
	agrees, first := answering(t, 200, `{"ok":true}`)
	denies, _ := answering(t, 200, `{"ok":false,"why":"no"}`)
	never, last := answering(t, 200, `{"ok":true}`)
	hook := func(url string) v1alpha2.Webhook {
		return v1alpha2.Webhook{URL: url, TestExpression: "${{ .ok }}", ErrorMessageTemplate: "${{ .why }}"}
	}
	off := hook("://")
	off.Enabled = ptr.To(false)
	g.Expect(caller(t, "127.0.0.0/8").Ask(t.Context(), question(off, hook(agrees), hook(denies), hook(never)))).To(Equal("no"))
	g.Expect(first()).NotTo(BeEmpty())
	g.Expect(last()).To(BeEmpty(), "one that does not agree is enough")
}

func TestAsk_Addresses(t *testing.T) {
	url, sent := answering(t, 200, `{}`)
	closed := httptest.NewServer(nil)
	closed.Close()
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer silent.Close()
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-hang
	}))
	defer drip.Close()
	defer close(hang)
	redirect := httptest.NewServer(http.RedirectHandler(url+"/?token=s3cret", http.StatusTemporaryRedirect))
	defer redirect.Close()
	c := caller(t, "127.0.0.0/8")
	c.Timeout = 300 * time.Millisecond
	for _, tc := range []struct {
		reason string
		caller *Caller
		url    string
		says   string
	}{
		{"loopback is the controller itself", caller(t), url, "the controller does not call 127.0.0.1: it is a loopback address"},
		{"metadata hold credentials", c, "http://169.254.169.254/latest/meta-data?s3cret", "it is a link-local address; --egress-allowed-cidrs allows addresses"},
		{"nobody is there", c, closed.URL + "/?s3cret", "connection refused"},
		{"no answer", c, silent.URL + "/?s3cret", "no answer within 300ms"},
		{"no end of an answer", c, drip.URL + "/?s3cret", "no answer within 300ms"},
		{"another host", c, redirect.URL, "answered 307 Temporary Redirect"},
		{"another scheme", c, "file:///etc/passwd", "url is no URL of http or https with a host"},
		{"no URL", c, "https://user:s3cret@:\x7f/", "url is no URL of http or https with a host"},
		{"no host", c, "https:///s3cret", "url is no URL of http or https with a host"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			before := sent()
			message := tc.caller.Ask(t.Context(), question(v1alpha2.Webhook{URL: tc.url, TestExpression: "true"}))
			g.Expect(message).To(And(HavePrefix("spec.webhooks[0]"), ContainSubstring(tc.says)))
			g.Expect(message).NotTo(ContainSubstring("s3cret"))
			g.Expect(sent()).To(Equal(before), "nobody else is called")
		})
	}
}

// TestAsk_Certificates: the system's roots count, the operator's come to them, and a client shows a certificate where it has one.
func TestAsk_Certificates(t *testing.T) {
	compat.Shows(t, "weak.26")
	g := NewWithT(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) }))
	defer server.Close()
	c := caller(t, "127.0.0.0/8")
	q := question(v1alpha2.Webhook{URL: server.URL, TestExpression: "true"})
	g.Expect(c.Ask(t.Context(), q)).To(ContainSubstring("certificate signed by unknown authority"))
	dir := filepath.Join(c.Certificates, "127.0.0.1")
	g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	write := func(name string, data []byte) {
		g.Expect(os.WriteFile(filepath.Join(dir, name), data, 0o600)).To(Succeed())
	}
	write("ca.crt", []byte("s3cret"))
	g.Expect(c.Ask(t.Context(), q)).To(And(HaveSuffix("ca.crt holds no certificate"), Not(ContainSubstring("s3cret"))))
	write("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	g.Expect(c.Ask(t.Context(), q)).To(BeEmpty(), "no certificate of a client is needed")
	write("tls.crt", []byte("s3cret"))
	g.Expect(c.Ask(t.Context(), q)).To(And(ContainSubstring("tls.crt and tls.key in "), Not(ContainSubstring("s3cret"))))

	config, err := c.tlsConfig("..")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.RootCAs).To(BeNil(), "a host is no way out of the folder")
}

func TestExpression_IsBounded(t *testing.T) {
	answer := map[string]any{"list": []any{"a", "b"}, "long": strings.Repeat("x", maxText)}
	double := "${{ $a := \"xxxxxxxx\" }}" + strings.Repeat("${{ $a = print $a $a }}", 60)
	for reason, c := range map[string]struct{ text, says string }{
		"a range over a number":       {"${{ range 1000000000 }}${{ end }}", "too many steps"},
		"ranges in ranges":            {"${{ range 1000 }}${{ range 1000 }}${{ end }}${{ end }}", "too many steps"},
		"a range in an else":          {"${{ if .none }}${{ else }}${{ range 100000 }}${{ end }}${{ end }}", "too many steps"},
		"templates that call":         {`${{ define "a" }}${{ template "a" }}${{ template "a" }}${{ end }}${{ template "a" }}`, "too many steps"},
		"texts that double":           {double, "too long a text"},
		"wide formats":                {`${{ printf "%999999d" 1 }}`, "widths of at most three digits"},
		"wide formats by an argument": {`${{ printf "%*d" 999999 1 }}`, "widths of at most three digits"},
		"many arguments":              {"${{ print" + strings.Repeat(" .long", maxArguments+1) + " }}", "at most 16 arguments"},
		"a long output":               {"${{ .long }}${{ .long }}", "too long a text"},
		"escapes":                     {"${{ urlquery .long .long }}", "too long a text"},
		"a long template":             {strings.Repeat("x", maxTemplate+1), "is longer than 65536 bytes"},
		"what is common works":        {`${{ range $i, $e := .list }}${{ if $i }}, ${{ end }}${{ printf "%q" $e }}${{ end }} ${{ len .list }} ${{ print "a" 1 }}`, ""},
	} {
		t.Run(reason, func(t *testing.T) {
			e, err := newExpression(t.Context(), "testExpression", c.text)
			text := ""
			if err == nil {
				text, err = e.render(answer)
			}
			if c.says == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				NewWithT(t).Expect(text).To(Equal(`"a", "b" 2 a1`))
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.says)))
		})
	}
}

func TestExpression_EndsWithItsTime(t *testing.T) {
	compat.Shows(t, "weak.26")
	ctx, cancel := context.WithCancel(t.Context())
	e, err := newExpression(ctx, "testExpression", "${{ range 10 }}${{ end }}true")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(e.render(nil)).To(Equal("true"))
	cancel()
	_, err = e.render(nil)
	NewWithT(t).Expect(err).To(MatchError(context.Canceled))
}

func TestBounded(t *testing.T) {
	g := NewWithT(t)
	g.Expect(bounded("short")).To(Equal("short"))
	for i := range 4 {
		text := bounded(strings.Repeat("x", i) + strings.Repeat("世", maxMessage))
		g.Expect(len(text)).To(BeNumerically("<=", maxMessage+3))
		g.Expect(utf8.ValidString(text)).To(BeTrue())
	}
}
