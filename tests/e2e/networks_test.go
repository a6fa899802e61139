package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/networks"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

const modulePassword = "password-of-the-git-server"

// callOf is a module that calls another one.
func callOf(source string) map[string]string {
	return map[string]string{"main.tf": `
module "greeting" {
  source = "` + source + `"
}
output "greeting" { value = module.greeting.greeting }
`}
}

// withCredentials lets the runs into places: pairs of a URL and the name of a Secret.
func withCredentials(pairs ...string) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.ModuleCredentials = nil
		for i := 0; i < len(pairs); i += 2 {
			tf.Spec.ModuleCredentials = append(tf.Spec.ModuleCredentials, infrav1.ModuleCredential{
				URL: pairs[i], SecretRef: meta.LocalObjectReference{Name: pairs[i+1]},
			})
		}
	}
}

func TestModules_OfAPrivateGitServerOverHTTPS(t *testing.T) {
	t.Parallel()
	authority := networks.NewAuthority(t)
	git := authority.HTTPS("reader", modulePassword)
	git.Repo("greeting.git", map[string]string{"main.tf": story.Greeting})
	s := story.New(t, system, callOf("git::"+git.URL+"/greeting.git?ref=v1"))
	secret := secretOf(s, "git", map[string]string{"username": "reader", "password": modulePassword, "ca.crt": authority.PEM})
	s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	s.Create(withCredentials(git.URL, "git"), story.OutputsTo("outputs"), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })

	id := s.Held()
	s.Eventually(func() []corev1.Pod { return s.Pods() }).Should(BeEmpty(), "the plan's pod goes")
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring(s.Revision()))
	pods := podsOfRuns(s)
	s.Expect(pods).To(HaveLen(2))
	s.Expect(pods[1]).NotTo(Equal(pods[0]), "the apply has a pod of its own, and fetches the module again")
	s.Expect(string(s.Secret("outputs").Data["greeting"])).To(Equal("hello world"))

	s.Expect(system.Client.Delete(s.Ctx, secret)).To(Succeed())
	s.DeleteObject()
	s.LeavesNothing()
}

// TestModules_SayWhatKeepsThemOut: each mistake fails the run with a message that names the remedy, and no secret.
func TestModules_SayWhatKeepsThemOut(t *testing.T) {
	t.Parallel()
	authority := networks.NewAuthority(t)
	git := authority.HTTPS("reader", modulePassword)
	git.Repo("greeting.git", map[string]string{"main.tf": story.Greeting})
	s := story.New(t, system, callOf("git::"+git.URL+"/greeting.git?ref=v1"))
	const wrong = "not-the-password"
	for name, data := range map[string]map[string]string{
		"wrong":      {"username": "reader", "password": wrong, "ca.crt": authority.PEM},
		"wrong-hand": {"bearerToken": wrong, "ca.crt": authority.PEM},
		"unknown-ca": {"username": "reader", "password": modulePassword, "ca.crt": networks.NewAuthority(t).PEM},
		"half":       {"username": "reader"},
		"mistyped":   {"user": "reader", "passwort": modulePassword},
		"right":      {"bearerToken": modulePassword, "ca.crt": authority.PEM},
	} {
		s.Expect(system.Client.Create(s.Ctx, secretOf(s, name, data))).To(Succeed())
	}
	ns := s.Tenant.Namespace
	s.Create(withCredentials(git.URL, "right"))
	s.Held()
	for _, tc := range []struct {
		what, secret, message string
	}{
		{"a wrong password", "wrong", "fatal: Authentication failed for '" + git.URL + "/greeting.git/'"},
		{"a wrong bearer token", "wrong-hand", "fatal: Authentication failed for '" + git.URL + "/greeting.git/'"},
		{"another authority", "unknown-ca", "server certificate verification failed"},
		{"a missing Secret", "gone", `spec.moduleCredentials[0].secretRef.name: Secret "` + ns + `/gone" does not exist; create it`},
		{"a missing key", "half", `its keys are username`},
		{"mistyped keys", "mistyped", `Secret "` + ns + `/mistyped" has neither username and password, nor bearerToken, token, ca.crt, or tls.crt and tls.key; its keys are passwort, user`},
	} {
		t.Log(tc.what)
		s.Change(withCredentials(git.URL, tc.secret))
		s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, And(ContainSubstring(tc.message),
			Not(ContainSubstring(wrong)), Not(ContainSubstring(modulePassword))))
	}
	said, err := json.Marshal([]any{s.Runs(), s.Events(), s.Get()})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(string(said)).NotTo(Or(ContainSubstring(wrong), ContainSubstring(modulePassword)))
}

// sshKey is a new key: the private part as ssh-keygen writes it, and the line for authorized_keys.
func sshKey(s *story.Story, passphrase string) (private, public string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.Expect(err).NotTo(HaveOccurred())
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	s.Expect(err).NotTo(HaveOccurred())
	line, err := ssh.NewPublicKey(&key.PublicKey)
	s.Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
}

func TestModules_OfAPrivateGitServerOverSSH(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, nil)
	private, public := sshKey(s, "passphrase-of-the-key")
	stranger, otherHost := sshKey(s, "")
	git := networks.SSH(t, public)
	git.Repo("greeting.git", map[string]string{"main.tf": story.Greeting})
	address, _, _ := strings.Cut(git.HostKey, " ")
	for name, data := range map[string]map[string]string{
		"right":    {"identity": private, "password": "passphrase-of-the-key", "known_hosts": git.HostKey},
		"stranger": {"identity": stranger, "known_hosts": git.HostKey},
		"impostor": {"identity": private, "password": "passphrase-of-the-key", "known_hosts": address + " " + otherHost},
		"locked":   {"identity": private, "known_hosts": git.HostKey},
		"nowhere":  {"identity": stranger},
	} {
		s.Expect(system.Client.Create(s.Ctx, secretOf(s, name, data))).To(Succeed())
	}
	_, err := s.Tenant.Commit(s.Ctx, "call a module", callOf("git::"+git.URL+"/greeting.git?ref=v1"))
	s.Expect(err).NotTo(HaveOccurred())
	s.Create(withCredentials(git.URL, "impostor"))
	for _, tc := range []struct {
		what, secret, message string
	}{
		{"another host than it says it is", "impostor", "Host key verification failed."},
		{"a key that the server does not know", "stranger", "Permission denied (publickey)"},
		{"a key that nobody can open", "locked", `spec.moduleCredentials[0].secretRef: key "identity" of Secret "` + s.Tenant.Namespace + `/locked" has a passphrase; add it as key "password"`},
		{"no known hosts", "nowhere", `key 'known_hosts' not found; its keys are identity`},
	} {
		t.Log(tc.what)
		s.Change(withCredentials(git.URL, tc.secret))
		s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, ContainSubstring(tc.message))
	}
	s.Change(withCredentials(git.URL, "right"), story.Auto)
	s.Applied(s.Revision())
}

func TestModules_OfARegistryThatWantsAToken(t *testing.T) {
	compat.Shows(t, "use.private-registries")
	t.Parallel()
	authority := networks.NewAuthority(t)
	const token = "token-of-the-registry"
	registry := authority.ModuleRegistry(token, map[string]string{"main.tf": story.Greeting})
	s := story.New(t, system, callOf(registry+"/acme/greeting/local"))
	for name, data := range map[string]map[string]string{
		"right": {"token": token, "ca.crt": authority.PEM}, "wrong": {"token": "of-somebody-else", "ca.crt": authority.PEM}, "no-ca": {"token": token},
	} {
		s.Expect(system.Client.Create(s.Ctx, secretOf(s, name, data))).To(Succeed())
	}
	s.Create(withCredentials("https://"+registry, "wrong"))
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, And(ContainSubstring("401"), Not(ContainSubstring("of-somebody-else"))))
	s.Change(withCredentials("https://"+registry, "no-ca"))
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, ContainSubstring("certificate"))
	s.Change(withCredentials("https://"+registry, "right"), story.Auto)
	s.Applied(s.Revision())
}

// trusting lets all programs of a runner pod trust the certificates of a ConfigMap, as docs/private-networks.md says.
func trusting(s *story.Story, bundle string) func(*infrav1.Terraform) {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "company-ca"}, Data: map[string]string{"ca.crt": bundle},
	})).To(Succeed())
	return func(tf *infrav1.Terraform) {
		pod := &tf.Spec.RunnerPodTemplate.Spec
		pod.Volumes = []corev1.Volume{{Name: "company-ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "company-ca"},
		}}}}
		pod.VolumeMounts = []corev1.VolumeMount{{Name: "company-ca", MountPath: "/company-ca", ReadOnly: true}}
		pod.Env = append(pod.Env, corev1.EnvVar{Name: "SSL_CERT_DIR", Value: "/etc/ssl/certs:/company-ca"},
			corev1.EnvVar{Name: "GIT_SSL_CAINFO", Value: "/company-ca/ca.crt"})
	}
}

func TestProviders_OfAMirrorWithACertificateOfTheCompany(t *testing.T) {
	t.Parallel()
	authority := networks.NewAuthority(t)
	mirror := authority.ProviderMirror("../../bin/mirror", "registry.opentofu.org/hashicorp/null", "1.0.0", "linux_amd64")
	s := story.New(t, system, map[string]string{"main.tf": `resource "null_resource" "it" {}`})
	secret := secretOf(s, "cli", map[string]string{"mirror.tfrc": `provider_installation {
  network_mirror { url = "` + mirror + `" }
}`})
	s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	s.Create(func(tf *infrav1.Terraform) { tf.Spec.CliConfigSecretRef = &corev1.SecretReference{Name: "cli"} })
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, ContainSubstring("certificate"))
	s.Change(trusting(s, authority.PEM), story.Auto)
	s.Applied(s.Revision())
}

func TestModules_ThroughAProxy(t *testing.T) {
	t.Parallel()
	authority := networks.NewAuthority(t)
	git := authority.HTTPS("reader", modulePassword)
	git.Repo("greeting.git", map[string]string{"main.tf": story.Greeting})
	url := strings.Replace(git.URL, "127.0.0.1", "localhost", 1) // the API server's address is reached without a proxy
	proxy := networks.NewProxy(t)
	s := story.New(t, system, callOf("git::"+url+"/greeting.git?ref=v1"))
	s.Expect(system.Client.Create(s.Ctx, secretOf(s, "git", map[string]string{"username": "reader", "password": modulePassword}))).To(Succeed())
	s.Create(withCredentials(url, "git"), trusting(s, authority.PEM), story.Auto, func(tf *infrav1.Terraform) {
		pod := &tf.Spec.RunnerPodTemplate.Spec
		pod.Env = append(pod.Env, corev1.EnvVar{Name: "HTTPS_PROXY", Value: proxy.URL}, corev1.EnvVar{Name: "NO_PROXY", Value: "10.0.0.0/8"})
	})
	s.Applied(s.Revision())
	s.Expect(proxy.Seen()).To(ContainElement(strings.TrimPrefix(url, "https://")))
}

// TestModules_OfAnOCIRegistryThatWantsAPassword: OpenTofu reads what docker would; a Secret for image pulls is put there.
func TestModules_OfAnOCIRegistryThatWantsAPassword(t *testing.T) {
	t.Parallel()
	authority := networks.NewAuthority(t)
	folder := t.TempDir()
	NewWithT(t).Expect(os.WriteFile(filepath.Join(folder, "main.tf"), []byte(story.Greeting), 0o600)).To(Succeed())
	host, config := authority.OCIRegistry("puller", modulePassword, folder)
	s := story.New(t, system, callOf("oci://"+host+"/modules/greeting?tag=v1"))
	secret := secretOf(s, "pull", map[string]string{corev1.DockerConfigJsonKey: config})
	secret.Type = corev1.SecretTypeDockerConfigJson
	s.Expect(system.Client.Create(s.Ctx, secret)).To(Succeed())
	s.Create(trusting(s, authority.PEM))
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonTFExecInitFailed, ContainSubstring("oci://"+host))
	s.Change(story.Auto, func(tf *infrav1.Terraform) {
		tf.Spec.FileMappings = []infrav1.FileMapping{{
			SecretRef: meta.SecretKeyReference{Name: "pull", Key: corev1.DockerConfigJsonKey}, Location: "home", Path: ".docker/config.json",
		}}
	})
	s.Applied(s.Revision())
}
