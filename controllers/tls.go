package controllers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// CertificateSecret is the name of the Secret, in the controller's namespace, that holds the certificate of the
	// artifact endpoint.
	CertificateSecret = "terraform-controller-tls"

	authorityLife    = 10 * 365 * 24 * time.Hour
	certificateLife  = 365 * 24 * time.Hour
	certificateRenew = 30 * 24 * time.Hour
	certificateCheck = time.Minute
)

var (
	errNoCertificate = errors.New("the certificate of the artifact endpoint is not loaded yet")
	errCAReplaced    = errors.New("the CA of the artifact endpoint was replaced: start again, to hand runners the new one")

	_ manager.LeaderElectionRunnable = (*ServingCertificate)(nil)
	_ manager.Runnable               = (*ServingCertificate)(nil)
)

// ServingCertificate is the certificate of the artifact endpoint. It is kept in one Secret, so that all replicas
// serve the same. It is renewed under the same CA 30 days before it ends, so that pods that were given the CA before
// still trust it.
type ServingCertificate struct {
	// Client reads and writes the Secret. It must not cache Secrets.
	Client client.Client
	// Namespace of the Secret: the controller's own.
	Namespace string
	// Hosts are the DNS names and IP addresses that the certificate has to be valid for.
	Hosts []string
	// Now is the clock.
	Now func() time.Time

	current atomic.Pointer[keyPair]
}

// Ensure loads the certificate, after it has made or renewed it where that is necessary. Afterwards CA is known.
func (c *ServingCertificate) Ensure(ctx context.Context) error {
	lost := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err := retry.OnError(retry.DefaultBackoff, lost, func() error { return c.ensureOnce(ctx) })
	if err != nil {
		return fmt.Errorf("certificate of the artifact endpoint (Secret %s/%s): %w", c.Namespace, CertificateSecret, err)
	}
	return nil
}

func (c *ServingCertificate) ensureOnce(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: CertificateSecret}}
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	found := err == nil
	pair := parseKeyPair(secret.Data)
	if !found {
		pair = c.current.Load() // deleted by somebody: the same again, as pods know its CA
	}
	if pair.goodFor(c.Hosts, c.Now()) {
		if found {
			return c.use(pair)
		}
	} else if pair, err = pair.renew(c.Hosts, c.Now()); err != nil {
		return err
	}
	return c.store(ctx, secret, pair, found)
}

func (c *ServingCertificate) store(ctx context.Context, secret *corev1.Secret, pair *keyPair, found bool) error {
	secret.Data = pair.data()
	var err error
	if found {
		err = c.Client.Update(ctx, secret, client.FieldOwner(infrav1.FieldManager))
	} else {
		secret.Type = corev1.SecretTypeTLS
		err = c.Client.Create(ctx, secret, client.FieldOwner(infrav1.FieldManager))
	}
	if err != nil {
		return err
	}
	return c.use(pair)
}

func (c *ServingCertificate) use(pair *keyPair) error {
	before := c.current.Swap(pair)
	if before != nil && !bytes.Equal(before.caPEM, pair.caPEM) {
		return errCAReplaced
	}
	return nil
}

// CA is the PEM bundle that verifies the certificate; nil before the first Ensure.
func (c *ServingCertificate) CA() []byte {
	if pair := c.current.Load(); pair != nil {
		return bytes.Clone(pair.caPEM)
	}
	return nil
}

// Ready is a readiness check: an error until the certificate is loaded.
func (c *ServingCertificate) Ready(*http.Request) error {
	if c.current.Load() == nil {
		return errNoCertificate
	}
	return nil
}

// TLSConfig serves the certificate as it is at the time of each handshake.
func (c *ServingCertificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair := c.current.Load()
			if pair == nil {
				return nil, errNoCertificate
			}
			return &pair.serving, nil
		},
	}
}

// NeedLeaderElection is false: every replica serves artifacts.
func (c *ServingCertificate) NeedLeaderElection() bool { return false }

// Start looks at the Secret every minute until ctx ends. It fails when the CA was replaced: this process has
// handed the old one to its runners.
func (c *ServingCertificate) Start(ctx context.Context) error {
	ticker := time.NewTicker(certificateCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := c.Ensure(ctx)
		if errors.Is(err, errCAReplaced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			logf.FromContext(ctx).Error(err, "the certificate was not checked; it is served as it was")
		}
	}
}
