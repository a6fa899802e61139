package inputs

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/fluxcd/pkg/runtime/secrets"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const schemeSSH = "ssh"

// hostName is what a host, with or without a port, may look like in the configuration of git and ssh.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]-]*$`)

// Credential lets a run into a place that modules are fetched from. As JSON it is kept for a destroy.
type Credential struct {
	// URL that the addresses begin with; SSH has a user.
	URL string `json:"url"`
	// Username and Password, or BearerToken, are for git over HTTPS.
	Username    string `json:"username,omitempty"`
	Password    string `json:"password,omitempty"`
	BearerToken string `json:"bearerToken,omitempty"`
	// Token is for the registry of the URL's host.
	Token string `json:"token,omitempty"`
	// CA has signed the server's certificate, Certificate and Key are this client's. All are PEM.
	CA          []byte `json:"ca,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
	Key         []byte `json:"key,omitempty"`
	// Identity is an SSH key, as PEM without a passphrase, KnownHosts are the keys of the servers.
	Identity   []byte `json:"identity,omitempty"`
	KnownHosts []byte `json:"knownHosts,omitempty"`
}

// SSH says that it is for git over SSH.
func (c *Credential) SSH() bool { return len(c.Identity) > 0 }

func (c *Credential) secrets() []string {
	var list []string
	for _, value := range []string{c.Password, c.BearerToken, c.Token, string(c.Key), string(c.Identity)} {
		list = appendText(list, []byte(value))
	}
	return list
}

// Credentials are those of spec.moduleCredentials.
func (r *Reader) Credentials(ctx context.Context, from []v1alpha2.ModuleCredential) ([]Credential, error) {
	var list []Credential
	taken := map[string]string{}
	for i := range from {
		field := fmt.Sprintf("spec.moduleCredentials[%d]", i)
		c, err := r.credential(ctx, field, &from[i])
		if err != nil {
			return nil, err
		}
		if other := taken[c.URL]; other != "" {
			return nil, fail(field+".url", "it is that of %s; leave one", other)
		}
		taken[c.URL] = field
		if registry := c.registry(); registry != "" {
			if other := taken[registry]; other != "" {
				return nil, fail(field+".secretRef", "a registry has one token, and %s has that of %s; leave one", other, registry)
			}
			taken[registry] = field
		}
		list = append(list, *c)
	}
	return list, nil
}

// registry is the host that the token is for; "" without one.
func (c *Credential) registry() string {
	u, err := url.Parse(c.URL)
	if err != nil || c.Token == "" {
		return ""
	}
	return u.Host
}

func (r *Reader) credential(ctx context.Context, field string, from *v1alpha2.ModuleCredential) (*Credential, error) {
	address, err := credentialURL(field+".url", from.URL)
	if err != nil {
		return nil, err
	}
	field += ".secretRef"
	o, err := r.secret(ctx, field, r.objects.namespace, from.SecretRef.Name)
	if err != nil {
		return nil, err
	}
	c := &Credential{URL: address.String()}
	if address.Scheme == schemeSSH {
		return c, c.readSSH(ctx, field, o)
	}
	return c, c.readHTTP(ctx, field, o)
}

// credentialURL is a URL in the form that git compares. What is wrong with it is said without it where it may have a password.
func credentialURL(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fail(field, "it is no URL; use https://host/path or ssh://git@host/path")
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != schemeSSH:
		return nil, fail(field, "use https://, http:// or ssh://")
	case u.Scheme == schemeSSH && u.User.Username() == "":
		return nil, fail(field, "%q has no user; most git servers want ssh://git@host", text)
	case u.User != nil && (u.Scheme != schemeSSH || hasPassword(u)):
		return nil, fail(field, "leave out user and password: the Secret has them")
	case !hostName.MatchString(u.Host):
		return nil, fail(field, "%q has no host, or one that is no name or address", text)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fail(field, "leave out what follows the path: %q is the beginning of addresses", text)
	}
	u.Host = strings.ToLower(u.Host)
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func hasPassword(u *url.URL) bool {
	_, set := u.User.Password()
	return set
}

// asSecret is the object in the form that the library of Flux reads.
func (o *object) asSecret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.namespace, Name: o.name}, Data: o.data}
}

func (c *Credential) readHTTP(ctx context.Context, field string, o *object) error {
	if err := c.readTLS(ctx, field, o); err != nil {
		return err
	}
	methods, err := secrets.AuthMethodsFromSecret(ctx, o.asSecret())
	if err != nil {
		return fail(field, "%v; %s", err, o.keys())
	}
	if methods.Basic != nil {
		c.Username, c.Password = methods.Basic.Username, methods.Basic.Password
	}
	c.BearerToken, c.Token = string(methods.Bearer), string(methods.Token)
	for _, value := range []struct{ key, text string }{
		{secrets.KeyUsername, c.Username}, {secrets.KeyPassword, c.Password}, {secrets.KeyBearerToken, c.BearerToken}, {secrets.KeyToken, c.Token},
	} {
		if strings.ContainsAny(value.text, "\r\n\x00") {
			return fail(field, "key %q of %s has a line break or NUL, which no header can hold; store it without, as by kubectl create secret --from-literal", value.key, o)
		}
	}
	switch {
	case c.Username+c.Password != "" && c.BearerToken != "":
		return fail(field, "%s has both username and bearerToken; leave one", o)
	case c.Username+c.Password+c.BearerToken+c.Token == "" && len(c.CA)+len(c.Certificate) == 0:
		return fail(field, "%s has neither username and password, nor bearerToken, token, ca.crt, or tls.crt and tls.key; %s", o, o.keys())
	}
	return nil
}

func (c *Credential) readTLS(ctx context.Context, field string, o *object) error {
	either := func(key, legacy string) []byte {
		if value := o.data[key]; len(value) > 0 {
			return value
		}
		return o.data[legacy]
	}
	c.CA = either(secrets.KeyCACert, secrets.LegacyKeyCACert)
	c.Certificate = either(secrets.KeyTLSCert, secrets.LegacyKeyTLSCert)
	c.Key = either(secrets.KeyTLSPrivateKey, secrets.LegacyKeyTLSPrivateKey)
	if len(c.CA)+len(c.Certificate)+len(c.Key) == 0 {
		return nil
	}
	if _, err := secrets.TLSConfigFromSecret(ctx, o.asSecret()); err != nil {
		return fail(field, "%s: %v; %s", o, err, o.keys())
	}
	return nil
}

func (c *Credential) readSSH(ctx context.Context, field string, o *object) error {
	auth, err := secrets.SSHAuthFromSecret(ctx, o.asSecret())
	if err != nil {
		return fail(field, "%v; %s", err, o.keys())
	}
	if c.Identity, err = openIdentity(field, o, auth); err != nil {
		return err
	}
	if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(auth.KnownHosts)); err != nil {
		return fail(field, "key %q of %s has no key of a server; fill it with ssh-keyscan, and compare what it finds", secrets.KeySSHKnownHosts, o)
	}
	c.KnownHosts = []byte(auth.KnownHosts)
	return nil
}

// openIdentity is the key without its passphrase, as nobody is there to be asked for it.
func openIdentity(field string, o *object, auth *secrets.SSHAuth) ([]byte, error) {
	key, err := ssh.ParseRawPrivateKey(auth.PrivateKey)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if auth.Password == "" {
			return nil, fail(field, "key %q of %s has a passphrase; add it as key %q", secrets.KeySSHPrivateKey, o, secrets.KeyPassword)
		}
		if key, err = ssh.ParseRawPrivateKeyWithPassphrase(auth.PrivateKey, []byte(auth.Password)); err != nil {
			return nil, fail(field, "key %q of %s is not the passphrase of %q", secrets.KeyPassword, o, secrets.KeySSHPrivateKey)
		}
	}
	if err != nil {
		return nil, fail(field, "key %q of %s is no SSH key", secrets.KeySSHPrivateKey, o)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, fail(field, "key %q of %s is of a kind that is not supported; use ed25519, ECDSA or RSA", secrets.KeySSHPrivateKey, o)
	}
	return pem.EncodeToMemory(block), nil
}
