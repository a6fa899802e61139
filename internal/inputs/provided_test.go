package inputs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func mapping(secret, key, location, path string) v1alpha2.FileMapping {
	return v1alpha2.FileMapping{SecretRef: meta.SecretKeyReference{Name: secret, Key: key}, Location: location, Path: path}
}

func TestReader_ReadsFiles(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	reader := inputs.NewReader(api.Client, namespace)
	files, err := reader.Files(t.Context(), []v1alpha2.FileMapping{
		mapping("db", "tls.crt", "home", ".ssh/id"), mapping("binary", "key.store", "workspace", "/a//b.p12"), mapping("binary", "empty", "home", "e"),
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(Equal([]inputs.File{
		{Location: "home", Path: ".ssh/id", Content: []byte("PEM")},
		{Location: "workspace", Path: "a/b.p12", Content: []byte{0xff, 0}},
		{Location: "home", Path: "e", Content: []byte{}},
	}))
	g.Expect((&inputs.Provided{Files: files}).Secrets()).To(Equal([]string{"PEM"}), "binary content is in no log")
	g.Expect(references(reader.Read())).To(Equal([]string{"Secret/db", "Secret/binary"}))
}

// failure is the message of an *inputs.Error, which begins with its field.
func failure(g *WithT, err error) string {
	var e *inputs.Error
	g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
	g.Expect(e.Message).To(HavePrefix(e.Field + ": "))
	g.Expect(e.Message).NotTo(ContainSubstring("hidden"))
	return e.Message
}

func TestReader_SaysWhatIsWrongWithAFile(t *testing.T) {
	compat.Shows(t, "spec.fileMappings")
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	for _, tc := range []struct {
		name    string
		mapping v1alpha2.FileMapping
		message string
	}{
		{"absent Secret", mapping("none", "a", "home", "a"), `secretRef.name: Secret "NS/none" does not exist; create it`},
		{"no name", mapping("", "a", "home", "a"), `secretRef.name: it is empty; name a Secret`},
		{"absent key", mapping("db", "pasword", "home", "a"), `secretRef.key: Secret "NS/db" has no key "pasword"; its keys are password, tls.crt, user`},
		{"no key", mapping("db", "", "home", "a"), `secretRef.key: Secret "NS/db" has no key ""; its keys are password, tls.crt, user`},
		{"path that leads out", mapping("db", "user", "home", "../a"), `path: "../a" does not name a file below home`},
		{"path that leads out later", mapping("db", "user", "workspace", "a/../../b"), `path: "a/../../b" does not name a file below workspace`},
		{"absolute path that leads out", mapping("db", "user", "home", "/../etc/passwd"), `path: "/../etc/passwd" does not name a file below home`},
		{"folder", mapping("db", "user", "home", "a/"), `path: "a/" does not name a file below home`},
		{"nothing", mapping("db", "user", "home", ""), `path: "" does not name a file below home`},
		{"the place itself", mapping("db", "user", "home", "/"), `path: "/" does not name a file below home`},
		{"unknown place", mapping("db", "user", "root", "a"), `location: "root" is no place for a file; use home or workspace`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := inputs.NewReader(api.Client, namespace).Files(t.Context(), []v1alpha2.FileMapping{mapping("db", "user", "home", "ok"), tc.mapping})
			g.Expect(failure(g, err)).To(Equal("spec.fileMappings[1]." + strings.ReplaceAll(tc.message, "NS", namespace)))
		})
	}
}

func TestReader_ReadsTheCLIConfigAlsoFromElsewhere(t *testing.T) {
	compat.Shows(t, "spec.cliConfigSecretRef")
	g := NewWithT(t)
	own, other := api.Namespace(t), api.Namespace(t)
	const config = "credentials \"a.example\" { token = \"of-a-9f2\" }\ncredentials \"b.example\" {\n  token = \"of-b-9f2\"\n}\nplugin_cache_dir = \"$HOME/x\"\n"
	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "cli"}, Data: map[string][]byte{"x.tfrc": []byte(config), "y": nil}})
	got, err := inputs.NewReader(api.Client, own).CLIConfig(t.Context(), &corev1.SecretReference{Name: "cli", Namespace: other})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal(config))
	g.Expect((&inputs.Provided{CLIConfig: got}).Secrets()).To(Equal([]string{"of-a-9f2", "of-b-9f2", config}))

	_, err = inputs.NewReader(api.Client, own).CLIConfig(t.Context(), &corev1.SecretReference{Name: "cli"})
	g.Expect(failure(g, err)).To(Equal(`spec.cliConfigSecretRef.name: Secret "` + own + `/cli" does not exist; create it`))
	got, err = inputs.NewReader(api.Client, own).CLIConfig(t.Context(), nil)
	g.Expect(got, err).To(BeNil())
}

func TestReader_LaterBackendSettingsOverride(t *testing.T) {
	compat.Shows(t, "spec.backendConfigsFrom")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	got, err := inputs.NewReader(api.Client, namespace).Backend(t.Context(), []v1alpha2.BackendConfigsReference{
		{Kind: "Secret", Name: "db", Keys: []string{"user", "password"}}, {Kind: "ConfigMap", Name: "site", Keys: []string{"user", "motd"}},
		{Kind: "Secret", Name: "later", Optional: true}, {Kind: "Secret", Name: "db", Keys: []string{}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal([]inputs.Setting{
		{Name: "motd", Value: "grüß"}, {Name: "password", Value: "p<a>&\"ss\nword", Secret: true}, {Name: "user", Value: "from-site"},
	}))
	g.Expect((&inputs.Provided{Backend: got}).Secrets()).To(Equal([]string{"p<a>&\"ss\nword"}))
}
