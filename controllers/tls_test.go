package controllers

import (
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

// certificateFixture is a namespace with replicas of a controller, at a time of our choice.
type certificateFixture struct {
	*apiserver.Server
	namespace string
	now       time.Time
}

func newCertificateFixture(t *testing.T, server *apiserver.Server, namespace string) *certificateFixture {
	t.Helper()
	f := &certificateFixture{Server: server, namespace: namespace, now: time.Now()}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	NewWithT(t).Expect(server.Client.Create(t.Context(), ns)).To(Succeed())
	return f
}

func (f *certificateFixture) replica(hosts ...string) *ServingCertificate {
	return &ServingCertificate{
		Client: f.Client, Namespace: f.namespace, Hosts: hosts, Now: func() time.Time { return f.now },
	}
}

func (f *certificateFixture) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	key := client.ObjectKey{Namespace: f.namespace, Name: CertificateSecret}
	NewWithT(t).Expect(f.Client.Get(t.Context(), key, s)).To(Succeed())
	return s
}

func (f *certificateFixture) verifies(g Gomega, c *ServingCertificate, ca []byte, host string) {
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
	served, err := c.TLSConfig().GetCertificate(nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = served.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: f.now})
	g.Expect(err).NotTo(HaveOccurred())
}

func testCertificate(t *testing.T, server *apiserver.Server) {
	for name, test := range map[string]func(*testing.T, *certificateFixture){
		"replicas-serve-the-same":      replicasServeTheSame,
		"renewed-under-the-same-ca":    renewedUnderTheSameCA,
		"a-decade-of-handshakes":       aDecadeOfHandshakes,
		"new-host-keeps-the-old":       newHostKeepsTheOld,
		"deleted-secret-comes-back":    deletedSecretComesBack,
		"nonsense-is-replaced":         nonsenseIsReplaced,
		"replaced-ca-is-an-error-once": replacedCAIsAnError,
		"somebody-elses-is-served":     somebodyElsesIsServed,
	} {
		t.Run(name, func(t *testing.T) { test(t, newCertificateFixture(t, server, name)) })
	}
}

func replicasServeTheSame(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	replicas := make([]*ServingCertificate, 4)
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i := range replicas {
		replicas[i] = f.replica("terraform-controller.flux-system.svc", "10.0.0.9")
		all.Go(func() { errs[i] = replicas[i].Ensure(context.Background()) })
	}
	all.Wait()
	for i, c := range replicas {
		g.Expect(errs[i]).NotTo(HaveOccurred())
		g.Expect(c.CA()).To(Equal(replicas[0].CA()))
		f.verifies(g, c, replicas[0].CA(), "terraform-controller.flux-system.svc")
		f.verifies(g, c, replicas[0].CA(), "10.0.0.9")
	}
	g.Expect(f.secret(t).Type).To(Equal(corev1.SecretTypeTLS))
}

func renewedUnderTheSameCA(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	c := f.replica("host")
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	ca, first := c.CA(), f.secret(t).Data[corev1.TLSCertKey]

	f.now = f.now.Add(certificateLife - certificateRenew - time.Hour)
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	g.Expect(f.secret(t).Data[corev1.TLSCertKey]).To(Equal(first), "31 days are left")

	f.now = f.now.Add(2 * time.Hour)
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	g.Expect(f.secret(t).Data[corev1.TLSCertKey]).NotTo(Equal(first), "30 days are left")
	f.now = f.now.Add(certificateRenew)
	f.verifies(g, c, ca, "host")
}

func newHostKeepsTheOld(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	before, after := f.replica("old"), f.replica("new")
	g.Expect(before.Ensure(t.Context())).To(Succeed())
	g.Expect(after.Ensure(t.Context())).To(Succeed())
	version := f.secret(t).ResourceVersion
	g.Expect(before.Ensure(t.Context())).To(Succeed())
	g.Expect(f.secret(t).ResourceVersion).To(Equal(version), "replicas do not take turns")
	for _, host := range []string{"old", "new"} {
		f.verifies(g, before, after.CA(), host)
		f.verifies(g, after, before.CA(), host)
	}
}

func deletedSecretComesBack(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	c := f.replica("host")
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	before := f.secret(t)
	g.Expect(f.Client.Delete(t.Context(), before)).To(Succeed())
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	g.Expect(f.secret(t).Data).To(Equal(before.Data))
}

func nonsenseIsReplaced(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	broken := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: CertificateSecret},
		Data:       map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("y")},
	}
	g.Expect(f.Client.Create(t.Context(), broken)).To(Succeed())
	c := f.replica("host")
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	f.verifies(g, c, f.secret(t).Data[caCertKey], "host")
}

func replacedCAIsAnError(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	running := f.replica("host")
	g.Expect(running.Ensure(t.Context())).To(Succeed())
	g.Expect(f.Client.Delete(t.Context(), f.secret(t))).To(Succeed())
	g.Expect(f.replica("host").Ensure(t.Context())).To(Succeed(), "one that knows nothing makes a new CA")
	g.Expect(running.Ensure(t.Context())).To(MatchError(errCAReplaced))
}

func somebodyElsesIsServed(t *testing.T, f *certificateFixture) {
	g := NewWithT(t)
	g.Expect(f.replica("host").Ensure(t.Context())).To(Succeed())
	s := f.secret(t)
	delete(s.Data, caKeyKey)
	g.Expect(f.Client.Update(t.Context(), s)).To(Succeed())
	c := f.replica("host")
	g.Expect(c.Ensure(t.Context())).To(Succeed())
	g.Expect(f.secret(t).Data).To(Equal(s.Data), "a good certificate without its CA's key is left alone")
}
