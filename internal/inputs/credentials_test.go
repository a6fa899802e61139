package inputs_test

import (
	"crypto/ed25519"
	encoding "encoding/pem"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

const knownHosts = "# servers\ngit.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkCVJnMMwvFVUiWJqk6ab3pDdLB/mhlFC+1VzYNLVrj\n"

// identity is an SSH key, with that passphrase unless it is empty.
func identity(t *testing.T, passphrase string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(encoding.EncodeToMemory(block))
}

func credentialSecrets(t *testing.T, namespace string) []client.Object {
	t.Helper()
	var list []client.Object
	for name, data := range map[string]map[string]string{
		"basic":    {"username": "reader", "password": "hidden-password"},
		"bearer":   {"bearerToken": "hidden-bearer"},
		"token":    {"token": "hidden-token"},
		"token-2":  {"token": "hidden-token-2"},
		"both":     {"username": "reader", "password": "hidden", "bearerToken": "hidden"},
		"half":     {"password": "hidden"},
		"newline":  {"token": "hidden\n"},
		"nothing":  {"user": "reader"},
		"bad-ca":   {"ca.crt": "hidden"},
		"half-tls": {"tls.crt": "hidden"},
		"key":      {"identity": strings.TrimSpace(identity(t, "")), "identity.pub": "x", "known_hosts": knownHosts},
		"locked":   {"identity": identity(t, "hidden-passphrase"), "known_hosts": knownHosts, "password": "hidden-passphrase"},
		"shut":     {"identity": identity(t, "hidden-passphrase"), "known_hosts": knownHosts},
		"mistaken": {"identity": identity(t, "hidden-passphrase"), "known_hosts": knownHosts, "password": "hidden"},
		"no-key":   {"identity": "hidden", "known_hosts": knownHosts},
		"no-hosts": {"identity": identity(t, "")},
		"empty":    {"identity": identity(t, ""), "known_hosts": "# nobody\n"},
	} {
		list = append(list, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data})
	}
	return list
}

func credentialOf(url, secret string) v1alpha2.ModuleCredential {
	return v1alpha2.ModuleCredential{URL: url, SecretRef: meta.LocalObjectReference{Name: secret}}
}

func TestReader_ReadsCredentials(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, credentialSecrets(t, namespace)...)
	reader := inputs.NewReader(api.Client, namespace)
	got, err := reader.Credentials(t.Context(), []v1alpha2.ModuleCredential{
		credentialOf("https://Git.example.com/platform/", "basic"), credentialOf("http://git.example.com:8080", "bearer"),
		credentialOf("https://registry.example.com", "token"), credentialOf("ssh://git@git.example.com", "key"), credentialOf("ssh://git@git.example.com:22/x.git", "locked"),
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got[:3]).To(Equal([]inputs.Credential{
		{URL: "https://git.example.com/platform", Username: "reader", Password: "hidden-password"},
		{URL: "http://git.example.com:8080", BearerToken: "hidden-bearer"},
		{URL: "https://registry.example.com", Token: "hidden-token"},
	}))
	for _, c := range got[3:] {
		g.Expect(c.SSH()).To(BeTrue())
		g.Expect(string(c.KnownHosts)).To(Equal(knownHosts))
		_, err := ssh.ParsePrivateKey(c.Identity)
		g.Expect(err).NotTo(HaveOccurred(), "no passphrase is left")
		g.Expect(string(c.Identity)).To(HaveSuffix("\n"), "ssh reads no key whose last line does not end")
	}
	g.Expect((&inputs.Provided{Credentials: got}).Secrets()).To(Equal([]string{
		"hidden-password", "hidden-bearer", "hidden-token", string(got[3].Identity), string(got[4].Identity),
	}))
	g.Expect(references(reader.Read())).To(Equal([]string{"Secret/basic", "Secret/bearer", "Secret/token", "Secret/key", "Secret/locked"}))
}

func TestReader_SaysWhatIsWrongWithACredential(t *testing.T) {
	namespace := api.Namespace(t)
	api.Create(t, credentialSecrets(t, namespace)...)
	const host = "https://git.example.com"
	for _, tc := range []struct {
		name, url, secret, message string
	}{
		{"absent Secret", host, "none", `.secretRef.name: Secret "NS/none" does not exist; create it`},
		{"no name", host, "", `.secretRef.name: it is empty; name a Secret`},
		{"half of it", host, "half", `.secretRef: secret 'NS/half': malformed basic auth - has 'password' but missing 'username'; its keys are password`},
		{"nothing of it", host, "nothing", `.secretRef: Secret "NS/nothing" has neither username and password, nor bearerToken, token, ca.crt, or tls.crt and tls.key; its keys are user`},
		{"a key for HTTPS", host, "key", `.secretRef: Secret "NS/key" has neither username and password, nor bearerToken, token, ca.crt, or tls.crt and tls.key; its keys are identity, identity.pub, known_hosts`},
		{"two ways", host, "both", `.secretRef: Secret "NS/both" has both username and bearerToken; leave one`},
		{"a line break", host, "newline", `.secretRef: key "token" of Secret "NS/newline" has a line break or NUL, which no header can hold; store it without, as by kubectl create secret --from-literal`},
		{"no certificate", host, "bad-ca", `.secretRef: Secret "NS/bad-ca": failed to parse CA certificate; its keys are ca.crt`},
		{"half a pair", host, "half-tls", `.secretRef: Secret "NS/half-tls": secret 'NS/half-tls' contains 'tls.crt' but missing 'tls.key'; its keys are tls.crt`},
		{"a password for SSH", "ssh://git@git.example.com", "basic", `.secretRef: secret 'NS/basic': key 'identity' not found; its keys are password, username`},
		{"unknown hosts", "ssh://git@git.example.com", "no-hosts", `.secretRef: secret 'NS/no-hosts': key 'known_hosts' not found; its keys are identity`},
		{"no hosts", "ssh://git@git.example.com", "empty", `.secretRef: key "known_hosts" of Secret "NS/empty" has no key of a server; fill it with ssh-keyscan, and compare what it finds`},
		{"no key", "ssh://git@git.example.com", "no-key", `.secretRef: key "identity" of Secret "NS/no-key" is no SSH key`},
		{"a key without its passphrase", "ssh://git@git.example.com", "shut", `.secretRef: key "identity" of Secret "NS/shut" has a passphrase; add it as key "password"`},
		{"a wrong passphrase", "ssh://git@git.example.com", "mistaken", `.secretRef: key "password" of Secret "NS/mistaken" is not the passphrase of "identity"`},
		{"no URL", "https://a b", "basic", `.url: it is no URL; use https://host/path or ssh://git@host/path`},
		{"another scheme", "git::https://git.example.com", "basic", `.url: use https://, http:// or ssh://`},
		{"no user", "ssh://git.example.com", "key", `.url: "ssh://git.example.com" has no user; most git servers want ssh://git@host`},
		{"a user", "https://me:hidden@git.example.com", "basic", `.url: leave out user and password: the Secret has them`},
		{"a password of a key", "ssh://me:hidden@git.example.com", "key", `.url: leave out user and password: the Secret has them`},
		{"no host", "https:///path", "basic", `.url: "https:///path" has no host, or one that is no name or address`},
		{"an odd host", "ssh://git@-oProxyCommand=x", "key", `.url: "ssh://git@-oProxyCommand=x" has no host, or one that is no name or address`},
		{"more than an address", host + "?ref=v1", "basic", `.url: leave out what follows the path: "https://git.example.com?ref=v1" is the beginning of addresses`},
		{"the same again", "https://registry.example.com/", "basic", `.url: it is that of spec.moduleCredentials[0]; leave one`},
		{"a second token", "https://registry.example.com/x", "token-2", `.secretRef: a registry has one token, and spec.moduleCredentials[0] has that of registry.example.com; leave one`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := inputs.NewReader(api.Client, namespace).Credentials(t.Context(), []v1alpha2.ModuleCredential{
				credentialOf("https://registry.example.com", "token"), credentialOf(tc.url, tc.secret),
			})
			g.Expect(failure(g, err)).To(Equal("spec.moduleCredentials[1]" + strings.ReplaceAll(tc.message, "NS", namespace)))
		})
	}
}
