package controllers

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Keys of the certificate's Secret, besides those of its type. The CA's key stays with the certificate's: who has
// one can do what the other can, and with it a renewal needs no new CA.
const (
	caCertKey = "ca.crt"
	caKeyKey  = "ca.key"

	clockSkew = time.Hour
)

// keyPair is a serving certificate and the CA that signed it.
type keyPair struct {
	caPEM, caKeyPEM []byte
	certPEM, keyPEM []byte
	serving         tls.Certificate
	leaf, caCert    *x509.Certificate
	roots           *x509.CertPool
}

// parseKeyPair is nil when the data is not a certificate with its key and its CA.
func parseKeyPair(data map[string][]byte) *keyPair {
	p := &keyPair{
		caPEM: data[caCertKey], caKeyPEM: data[caKeyKey],
		certPEM: data[corev1.TLSCertKey], keyPEM: data[corev1.TLSPrivateKeyKey],
	}
	trusted, err := cert.ParseCertsPEM(p.caPEM)
	if err != nil {
		return nil
	}
	if p.serving, err = tls.X509KeyPair(p.certPEM, p.keyPEM); err != nil {
		return nil
	}
	p.leaf, p.caCert = p.serving.Leaf, trusted[0]
	p.roots = x509.NewCertPool()
	for _, root := range trusted {
		p.roots.AddCert(root)
	}
	return p
}

func (p *keyPair) data() map[string][]byte {
	return map[string][]byte{
		corev1.TLSCertKey: p.certPEM, corev1.TLSPrivateKeyKey: p.keyPEM, caCertKey: p.caPEM, caKeyKey: p.caKeyPEM,
	}
}

// goodFor says whether the pair can be served for a while: valid for each host, by its CA, for 30 days to come.
func (p *keyPair) goodFor(hosts []string, now time.Time) bool {
	if p == nil {
		return false
	}
	for _, host := range hosts {
		if p.leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	for _, at := range []time.Time{now, now.Add(certificateRenew)} {
		if _, err := p.leaf.Verify(x509.VerifyOptions{Roots: p.roots, CurrentTime: at}); err != nil {
			return false
		}
	}
	return true
}

// renew makes a new certificate, under the same CA while that lives long enough. It stays valid for the hosts that
// the old one was valid for, so that replicas with other settings do not take turns in replacing it.
func (p *keyPair) renew(hosts []string, now time.Time) (*keyPair, error) {
	caCert, caKey := p.authority(now)
	if caKey == nil {
		var err error
		if caCert, caKey, err = newAuthority(now); err != nil {
			return nil, fmt.Errorf("make a CA: %w", err)
		}
	}
	caKeyPEM, err := keyutil.MarshalPrivateKeyToPEM(caKey)
	if err != nil {
		return nil, fmt.Errorf("encode the CA's key: %w", err)
	}
	caPEM, err := cert.EncodeCertificates(caCert)
	if err != nil {
		return nil, fmt.Errorf("encode the CA: %w", err)
	}
	certPEM, keyPEM, err := issue(p.template(hosts, now), caCert, caKey)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return parseKeyPair(map[string][]byte{
		corev1.TLSCertKey: certPEM, corev1.TLSPrivateKeyKey: keyPEM, caCertKey: caPEM, caKeyKey: caKeyPEM,
	}), nil
}

// authority is the pair's CA; nil where it can't sign another certificate.
func (p *keyPair) authority(now time.Time) (*x509.Certificate, crypto.Signer) {
	if p == nil || !p.caCert.IsCA || p.caCert.NotAfter.Before(now.Add(certificateLife)) {
		return nil, nil
	}
	key, err := keyutil.ParsePrivateKeyPEM(p.caKeyPEM)
	if err != nil {
		return nil, nil
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil
	}
	return p.caCert, signer
}

func newAuthority(now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "terraform-controller-ca"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	caCert, err := x509.ParseCertificate(der)
	return caCert, key, err
}

func newKey() (crypto.Signer, []byte, error) {
	pem, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, nil, err
	}
	key, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a %T can't sign", key)
	}
	return signer, pem, nil
}

func (p *keyPair) template(hosts []string, now time.Time) *x509.Certificate {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "terraform-controller"},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if p != nil {
		template.DNSNames, template.IPAddresses = p.leaf.DNSNames, p.leaf.IPAddresses
	}
	for _, host := range hosts {
		if p != nil && p.leaf.VerifyHostname(host) == nil {
			continue
		}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return template
}

func issue(template, caCert *x509.Certificate, caKey crypto.Signer) (certPEM, keyPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, caCert, key.Public(), caKey)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = cert.EncodeCertificates(leaf)
	return certPEM, keyPEM, err
}
