package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/egress"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const (
	artifactBody = "the artifact"
	wait         = 10 * time.Second
	// moreThanBuffers is more than the buffers between the source and the client hold back.
	moreThanBuffers = 256 << 10
)

// artifactFixture is an artifact server before a real API server, with a source-controller that does as told.
type artifactFixture struct {
	*apiserver.Server
	tokens   kubernetes.Interface
	upstream *scriptedUpstream
	http     *http.Client
	url      string
	ca       []byte
	log      *logBuffer
	stop     func()
	ended    chan error
}

// scriptedUpstream is source-controller's file server.
type scriptedUpstream struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	hits    atomic.Int32
}

func (u *scriptedUpstream) does(f http.HandlerFunc) {
	u.hits.Store(0)
	u.handler.Store(&f)
}

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) write(prefix, args string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.WriteString(prefix + args + "\n")
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newUpstreamServer(t *testing.T) *scriptedUpstream {
	t.Helper()
	u := &scriptedUpstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.hits.Add(1)
		(*u.handler.Load())(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func startArtifacts(t *testing.T, server *apiserver.Server) *artifactFixture {
	t.Helper()
	g := NewWithT(t)
	f := &artifactFixture{Server: server, upstream: newUpstreamServer(t), log: &logBuffer{}, ended: make(chan error, 1)}
	f.tokens = kubernetes.NewForConfigOrDie(server.Config)
	certificate := &ServingCertificate{
		Client: server.Client, Namespace: "default", Hosts: []string{"127.0.0.1"}, Now: time.Now,
	}
	g.Expect(certificate.Ready(nil)).NotTo(Succeed())
	g.Expect(certificate.Ensure(t.Context())).To(Succeed())
	g.Expect(certificate.Ready(nil)).To(Succeed())
	handler := NewArtifactHandler(ArtifactOptions{
		Client: server.Client, Reader: server.Client, Retries: 2, RetryWait: time.Millisecond, Streams: 2,
		SourceHost: strings.TrimPrefix(f.upstream.URL, "http://"),
	})
	log := funcr.New(f.log.write, funcr.Options{Verbosity: 10})
	listening, err := NewArtifactServer(logf.IntoContext(t.Context(), log), "127.0.0.1:0", certificate, handler)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(listening.NeedLeaderElection()).To(BeFalse())
	f.url = "https://" + listening.Listener.Addr().String()
	f.ca = certificate.CA()
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(certificate.CA())).To(BeTrue())
	f.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	go func() { f.ended <- listening.Start(ctx) }()
	t.Cleanup(cancel)
	return f
}

// world is what the endpoint looks at: a namespace, an account, a run and its pod.
type world struct {
	namespace, account string
	run                *infrav1.TerraformRun
	pod                *corev1.Pod
}

func (f *artifactFixture) newWorld(t *testing.T, namespace string) *world {
	t.Helper()
	w := &world{namespace: namespace, account: "tf-runner"}
	f.Create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	for _, name := range []string{w.account, "other"} {
		f.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
	tf := &infrav1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "networking"},
		Spec: infrav1.TerraformSpec{
			Interval:  metav1.Duration{Duration: time.Minute},
			SourceRef: infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "app"},
		},
	}
	f.Create(t, tf)
	w.run = &infrav1.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "networking-3f9ac1d2",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))},
		},
		Spec: infrav1.TerraformRunSpec{
			Operation: infrav1.OperationPlan, Reason: "test", Target: "t", Generation: 1,
			PodName: PodName(tf), Hostname: Hostname(tf.Name, "x7k2m9qp"), Terraform: tf.Spec,
			Source: infrav1.RunSource{
				Kind: "GitRepository", Namespace: namespace, Name: "app", Revision: "main@sha1:0123456789",
				Digest: "sha256:00", URL: "http://source-controller.flux-system.svc.cluster.local./app.tar.gz",
			},
		},
	}
	f.Create(t, w.run)
	f.setActive(t, tf, w.run.Name)
	w.pod = BuildPod(PodInput{Terraform: tf, Run: w.run, Config: RunnerConfig{Image: "tf-runner", ArtifactURL: f.url}})
	f.Create(t, w.pod)
	return w
}

func (f *artifactFixture) setActive(t *testing.T, tf *infrav1.Terraform, run string) {
	t.Helper()
	tf.Status.ActiveRun = &infrav1.ActiveRun{Name: run, Sequence: 1}
	NewWithT(t).Expect(f.Client.Status().Update(t.Context(), tf)).To(Succeed())
}

func (f *artifactFixture) token(t *testing.T, account string, pod *corev1.Pod, namespace, audience string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		}
	}
	got, err := f.tokens.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return got.Status.Token
}

func (f *artifactFixture) ownToken(t *testing.T, w *world) string {
	t.Helper()
	return f.token(t, w.account, w.pod, w.namespace, infrav1.ArtifactAudience)
}

func (f *artifactFixture) open(t *testing.T, w *world, run, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/artifacts/"+w.namespace+"/"+run, nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := f.http.Do(req)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (f *artifactFixture) get(t *testing.T, w *world, run, token string) (int, string) {
	t.Helper()
	resp := f.open(t, w, run, token)
	body, err := io.ReadAll(resp.Body)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, string(body)
}

func serves(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestArtifactEndpoint(t *testing.T) {
	compat.Shows(t, "promise.multi-tenancy")
	f := startArtifacts(t, api)
	own := f.newWorld(t, "infra")
	t.Run("serves the run's own pod", func(t *testing.T) { f.servesItsRun(t, own) })
	t.Run("refuses everyone else", func(t *testing.T) { f.refusesOthers(t, own) })
	t.Run("says what is wrong at the source", func(t *testing.T) { f.passesOnTrouble(t, own) })
	t.Run("tells a cut from an end", func(t *testing.T) { f.tellsACut(t, own) })
	t.Run("streams without buffering", func(t *testing.T) { f.streamsLargeArtifacts(t, own) })
	t.Run("limits streams", func(t *testing.T) { f.limitsStreams(t, own) })
	t.Run("refuses when the run has ended", func(t *testing.T) { f.refusesEndedRuns(t) })
	t.Run("refuses when the pod is gone", func(t *testing.T) { f.refusesDeadPods(t) })
	t.Run("certificate", func(t *testing.T) { testCertificate(t, api) })
	t.Run("lets streams finish when it stops", func(t *testing.T) { f.stopsGracefully(t, own) })
	NewWithT(t).Expect(f.log.String()).NotTo(ContainSubstring("eyJ"), "a token was logged")
}

func (f *artifactFixture) servesItsRun(t *testing.T, w *world) {
	g := NewWithT(t)
	var seen http.Header
	var host string
	f.upstream.does(func(w http.ResponseWriter, r *http.Request) {
		seen, host = r.Header, r.URL.Path
		serves(http.StatusOK, artifactBody)(w, r)
	})
	status, body := f.get(t, w, w.run.Name, f.ownToken(t, w))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(body).To(Equal(artifactBody))
	g.Expect(seen).NotTo(HaveKey("Authorization"), "the token is not source-controller's")
	g.Expect(host).To(Equal("/app.tar.gz"))
}

func (f *artifactFixture) refusesOthers(t *testing.T, w *world) {
	f.upstream.does(serves(http.StatusOK, artifactBody))
	neighbour := f.newWorld(t, "neighbour")
	other := w.pod.DeepCopy()
	other.ObjectMeta = metav1.ObjectMeta{Namespace: w.namespace, Name: "other-tf-runner"}
	f.Create(t, other)
	thief := other.DeepCopy()
	thief.ObjectMeta = metav1.ObjectMeta{Namespace: w.namespace, Name: "thief"}
	thief.Spec.ServiceAccountName = "other"
	f.Create(t, thief)
	const audience = infrav1.ArtifactAudience
	for _, c := range []struct {
		reason, run, token, text string
		status                   int
	}{
		{"no token", "", "", "a bearer token is needed", http.StatusUnauthorized},
		{"no token at all", "", "nonsense", "not good for audience", http.StatusUnauthorized},
		{
			"a token for the API", "", f.token(t, w.account, w.pod, w.namespace, ""),
			"not good for audience", http.StatusUnauthorized,
		},
		{
			"a token for somebody else", "", f.token(t, w.account, w.pod, w.namespace, "vault"),
			"not good for audience", http.StatusUnauthorized,
		},
		{
			"a token that was good", "", f.ShiftToken(t, f.ownToken(t, w), -2*time.Hour),
			"not good for audience", http.StatusUnauthorized,
		},
		{
			"a token that is not good yet", "", f.ShiftToken(t, f.ownToken(t, w), 2*time.Hour),
			"not good for audience", http.StatusUnauthorized,
		},
		{
			"another namespace", "", f.ownToken(t, neighbour),
			"for its own runners", http.StatusForbidden,
		},
		{
			"another namespace learns nothing of runs", "no-such-run", f.ownToken(t, neighbour),
			"for its own runners", http.StatusForbidden,
		},
		{
			"another account", "", f.token(t, "other", thief, w.namespace, audience),
			"the run is for account tf-runner", http.StatusForbidden,
		},
		{
			"another pod of the account", "", f.token(t, w.account, other, w.namespace, audience),
			"not bound to the run's pod networking-tf-runner", http.StatusForbidden,
		},
		{
			"a token of no pod", "", f.token(t, w.account, nil, w.namespace, audience),
			"not bound to the run's pod", http.StatusForbidden,
		},
		{"a run that is not there", "no-such-run", f.ownToken(t, w), "there is no run", http.StatusNotFound},
	} {
		t.Run(c.reason, func(t *testing.T) {
			g := NewWithT(t)
			if c.run == "" {
				c.run = w.run.Name
			}
			status, body := f.get(t, w, c.run, c.token)
			g.Expect(body).To(ContainSubstring(c.text))
			g.Expect(status).To(Equal(c.status))
		})
	}
	g := NewWithT(t)
	g.Expect(f.upstream.hits.Load()).To(BeZero(), "nothing was asked of source-controller")
	status, _ := f.get(t, w, w.run.Name, f.ShiftToken(t, f.ownToken(t, w), -time.Minute))
	g.Expect(status).To(Equal(http.StatusOK), "a token made anew for the test is good as long as it has not expired")
}

func (f *artifactFixture) passesOnTrouble(t *testing.T, w *world) {
	token := f.ownToken(t, w)
	once := func(first int) http.HandlerFunc {
		var n atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				w.WriteHeader(first)
				return
			}
			serves(http.StatusOK, artifactBody)(w, r)
		}
	}
	for _, c := range []struct {
		reason   string
		upstream http.HandlerFunc
		status   int
		text     string
		hits     int32
	}{
		{"the artifact was deleted", serves(404, "x"), http.StatusGone, "does not have the artifact any more", 1},
		{"the source forbids it", serves(403, "x"), http.StatusBadGateway, "answers 403", 1},
		{"the source fails", serves(500, "x"), http.StatusBadGateway, "answers 500", 3},
		{"the source fails once", once(503), http.StatusOK, artifactBody, 2},
		{"the source hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			http.StatusBadGateway, "gives no answer", 3},
	} {
		t.Run(c.reason, func(t *testing.T) {
			g := NewWithT(t)
			f.upstream.does(c.upstream)
			status, body := f.get(t, w, w.run.Name, token)
			g.Expect(status).To(Equal(c.status))
			g.Expect(body).To(ContainSubstring(c.text))
			g.Expect(f.upstream.hits.Load()).To(BeNumerically(">=", c.hits))
		})
	}
}

func (f *artifactFixture) tellsACut(t *testing.T, w *world) {
	for reason, length := range map[string]string{"with a length": "1000000", "without a length": ""} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			f.upstream.does(func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = w.Write(make([]byte, moreThanBuffers))
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			resp := f.open(t, w, w.run.Name, f.ownToken(t, w))
			g.Expect(resp.StatusCode).To(Equal(http.StatusOK))
			_, err := io.ReadAll(resp.Body)
			g.Expect(err).To(MatchError(io.ErrUnexpectedEOF))
			g.Expect(f.upstream.hits.Load()).To(Equal(int32(1)), "no retry after the first byte")
		})
	}
}

func (f *artifactFixture) streamsLargeArtifacts(t *testing.T, w *world) {
	g := NewWithT(t)
	const size, limit = 60 << 20, 30 << 20
	f.upstream.does(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 64<<10)
		for range size / len(chunk) {
			_, _ = w.Write(chunk)
		}
	})
	token := f.ownToken(t, w)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, f.open(t, w, w.run.Name, token).Body)
	runtime.ReadMemStats(&after)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(n).To(Equal(int64(size)))
	g.Expect(after.TotalAlloc-before.TotalAlloc).To(BeNumerically("<", limit), "bytes allocated, garbage included")
}

func (f *artifactFixture) limitsStreams(t *testing.T, w *world) {
	g := NewWithT(t)
	gate := make(chan struct{})
	f.upstream.does(func(w http.ResponseWriter, _ *http.Request) {
		<-gate
		_, _ = io.WriteString(w, artifactBody)
	})
	token := f.ownToken(t, w)
	statuses := make(chan int, 3)
	for range cap(statuses) {
		go func() {
			status, _ := f.get(t, w, w.run.Name, token)
			statuses <- status
		}()
	}
	g.Eventually(f.upstream.hits.Load, wait).Should(Equal(int32(2)))
	g.Consistently(f.upstream.hits.Load, "300ms").Should(Equal(int32(2)), "the third waits for its turn")
	close(gate)
	for range cap(statuses) {
		g.Eventually(statuses, wait).Should(Receive(Equal(http.StatusOK)))
	}
}

func (f *artifactFixture) refusesEndedRuns(t *testing.T) {
	g := NewWithT(t)
	f.upstream.does(serves(http.StatusOK, artifactBody))
	w := f.newWorld(t, "ended")
	token := f.ownToken(t, w)
	tf := &infrav1.Terraform{}
	g.Expect(f.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "networking"}, tf)).To(Succeed())
	f.setActive(t, tf, "another")
	refused, text := f.get(t, w, w.run.Name, token)
	g.Expect(refused).To(Equal(http.StatusForbidden))
	g.Expect(text).To(ContainSubstring("is not the active run"), "a run that somebody else has made is served nothing")
	f.setActive(t, tf, w.run.Name)
	w.run.Status.Phase = infrav1.RunRunning
	w.run.Status.Runner = &infrav1.RunnerIdentity{PodUID: string(w.pod.UID)}
	g.Expect(f.Client.Status().Update(t.Context(), w.run)).To(Succeed())
	status, _ := f.get(t, w, w.run.Name, token)
	g.Expect(status).To(Equal(http.StatusOK), "claimed by this pod")

	w.run.Status.Runner.PodUID = "another"
	g.Expect(f.Client.Status().Update(t.Context(), w.run)).To(Succeed())
	status, body := f.get(t, w, w.run.Name, token)
	g.Expect(status).To(Equal(http.StatusForbidden))
	g.Expect(body).To(ContainSubstring("claimed by another pod"))

	w.run.Status.Runner.PodUID = string(w.pod.UID)
	w.run.Status.Phase = infrav1.RunFailed
	g.Expect(f.Client.Status().Update(t.Context(), w.run)).To(Succeed())
	status, body = f.get(t, w, w.run.Name, token)
	g.Expect(status).To(Equal(http.StatusForbidden))
	g.Expect(body).To(ContainSubstring("the run has ended (Failed)"))
}

func (f *artifactFixture) refusesDeadPods(t *testing.T) {
	g := NewWithT(t)
	f.upstream.does(serves(http.StatusOK, artifactBody))
	w := f.newWorld(t, "dead")
	token := f.ownToken(t, w)
	w.pod.Finalizers = nil
	g.Expect(f.Client.Update(t.Context(), w.pod)).To(Succeed())
	g.Expect(f.Client.Delete(t.Context(), w.pod, client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(func() int {
		status, _ := f.get(t, w, w.run.Name, token)
		return status
	}, 30*time.Second, 500*time.Millisecond).Should(Equal(http.StatusUnauthorized))
}

func (f *artifactFixture) stopsGracefully(t *testing.T, w *world) {
	g := NewWithT(t)
	gate, asked := make(chan struct{}), make(chan struct{})
	f.upstream.does(func(w http.ResponseWriter, r *http.Request) {
		if f.upstream.hits.Load() > 1 {
			close(asked)
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(make([]byte, moreThanBuffers))
		_ = http.NewResponseController(w).Flush()
		<-gate
		_, _ = io.WriteString(w, "last")
	})
	token := f.ownToken(t, w)
	resp := f.open(t, w, w.run.Name, token)
	type got struct {
		status int
		body   string
	}
	early := make(chan got, 1)
	go func() {
		status, body := f.get(t, w, w.run.Name, token)
		early <- got{status, body}
	}()
	g.Eventually(asked, wait).Should(BeClosed())
	f.stop()
	g.Eventually(early, wait).Should(Receive(Equal(got{http.StatusServiceUnavailable, "the controller is stopping; try again\n"})),
		"what has no stream yet waits for nothing")
	g.Eventually(func() error {
		_, err := (&http.Client{Transport: &http.Transport{}, Timeout: wait}).Get(f.url)
		return err
	}, wait).Should(MatchError(ContainSubstring("connection refused")), "nobody new is let in")
	close(gate)
	body, err := io.ReadAll(resp.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(body).To(HaveLen(moreThanBuffers + len("last")))
	g.Eventually(f.ended, wait).Should(Receive(BeNil()))
}

func TestArtifacts_AreFetchedWithoutAProxyUnderAGuard(t *testing.T) {
	for _, c := range []struct {
		reason, sourceHost string
		guard              *egress.Guard
		proxy              bool
	}{
		{"a proxy would resolve names, and connect, in the guard's place", "", &egress.Guard{}, false},
		{"the operator has named the host", "source", &egress.Guard{}, true},
		{"nothing is guarded", "", nil, true},
	} {
		g := NewWithT(t)
		transport, ok := newUpstream(ArtifactOptions{Guard: c.guard, SourceHost: c.sourceHost}).HTTPClient.Transport.(*http.Transport)
		g.Expect(ok).To(BeTrue())
		g.Expect(transport.Proxy != nil).To(Equal(c.proxy), c.reason)
	}
}

func TestArtifacts_CallsNoAddressThatAGuardRefuses(t *testing.T) {
	g := NewWithT(t)
	upstream := newUpstreamServer(t)
	upstream.does(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		reason, sourceHost string
		allowed            []string
		called             int32
	}{
		{"an artifact's address is what a status says", "", nil, 0},
		{"the flag allows it", "", []string{"127.0.0.0/8"}, 1},
		{"the operator has named the host", strings.TrimPrefix(upstream.URL, "http://"), nil, 1},
	} {
		guard, err := egress.New(c.allowed, "")
		g.Expect(err).NotTo(HaveOccurred())
		upstream.hits.Store(0)
		handler := NewArtifactHandler(ArtifactOptions{Guard: guard, SourceHost: c.sourceHost, Retries: 5, RetryWait: wait})
		resp, err := handler.open(t.Context(), upstream.URL+"/a.tar.gz")
		g.Expect(upstream.hits.Load()).To(Equal(c.called), c.reason)
		if c.called > 0 {
			g.Expect(err).NotTo(HaveOccurred(), c.reason)
			g.Expect(resp.Body.Close()).To(Succeed())
			continue
		}
		g.Expect(err).To(MatchError(And(ContainSubstring("may not be called"), ContainSubstring("--egress-allowed-cidrs"))))
		var refused *refusal
		g.Expect(errors.As(err, &refused)).To(BeTrue())
		g.Expect(refused.status).To(Equal(http.StatusForbidden))
	}
}
