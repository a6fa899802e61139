package rescue_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/internal/rescue"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func owner(t *testing.T, name string) *v1alpha2.Terraform {
	t.Helper()
	tf := &v1alpha2.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: name},
		Spec:       v1alpha2.TerraformSpec{SourceRef: v1alpha2.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "infra"}},
	}
	api.Create(t, tf)
	return tf
}

func TestState_IsWhatWasSavedLast(t *testing.T) {
	g := NewWithT(t)
	tf := owner(t, "net")
	g.Expect(rescue.Load(t.Context(), api.Client, tf)).To(BeNil(), "there is none")
	g.Expect(rescue.Remove(t.Context(), api.Client, tf)).To(Succeed())
	for serial := range int64(2) {
		saved := &rescue.State{Backend: "b", Lineage: "l", Serial: serial, Content: []byte(strings.Repeat("state ", 1<<18))}
		g.Expect(rescue.Save(t.Context(), api.Client, tf, saved)).To(Succeed(), "repetitive text packs well")
		g.Expect(rescue.Load(t.Context(), api.Client, tf)).To(Equal(saved))
	}
	g.Expect(rescue.Remove(t.Context(), api.Client, tf)).To(Succeed())
	g.Expect(rescue.Load(t.Context(), api.Client, tf)).To(BeNil())
}

func TestState_ThatFitsInNoSecret(t *testing.T) {
	g := NewWithT(t)
	noise := make([]byte, 2<<20)
	_, err := rand.Read(noise)
	g.Expect(err).NotTo(HaveOccurred())
	var tooLarge *bundle.TooLargeError
	g.Expect(rescue.Save(t.Context(), api.Client, owner(t, "net"), &rescue.State{Content: noise})).To(BeAssignableToTypeOf(tooLarge))
}

func TestSecretName_FitsForEveryName(t *testing.T) {
	g := NewWithT(t)
	long := &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("n", 253)}}
	g.Expect(len(rescue.SecretName(long))).To(BeNumerically("<=", 253))
	g.Expect(rescue.SecretName(&v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Name: "net"}})).To(Equal("tfrescue-net"))
}
