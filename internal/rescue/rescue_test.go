package rescue_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	g.Expect(rescue.Load(t.Context(), api.Client, tf, "b")).To(BeNil(), "there is none")
	var saved *rescue.State
	for serial := range int64(2) {
		saved = &rescue.State{Backend: "b", Lineage: "l", Serial: serial, Content: []byte(strings.Repeat("state ", 1<<18))}
		g.Expect(rescue.Save(t.Context(), api.Client, tf, saved)).To(Succeed(), "repetitive text packs well")
		g.Expect(rescue.Load(t.Context(), api.Client, tf, "b")).To(Equal(saved))
	}
	for range 2 {
		g.Expect(rescue.Remove(t.Context(), api.Client, tf, saved)).To(Succeed(), "also when it is gone")
	}
	g.Expect(rescue.Load(t.Context(), api.Client, tf, "b")).To(BeNil())
}

// TestState_OfEachBackendIsKept: a workspace, or a backend, that is left while its state waits is not given up for the next one.
func TestState_OfEachBackendIsKept(t *testing.T) {
	g := NewWithT(t)
	tf := owner(t, "net")
	save := func(backend string, serial int64, size int) *rescue.State {
		state := &rescue.State{Backend: backend, Lineage: backend, Serial: serial, Content: noise(t, size)}
		g.Expect(rescue.Save(t.Context(), api.Client, tf, state)).To(Succeed())
		return state
	}
	load := func(backend string) *rescue.State {
		state, err := rescue.Load(t.Context(), api.Client, tf, backend)
		g.Expect(err).NotTo(HaveOccurred())
		return state
	}
	first, second := save("first", 1, 2<<20), save("second", 1, 2<<20)
	g.Expect(first.Secret).To(Equal("tfrescue-net"))
	g.Expect(second.Secret).To(MatchRegexp("^tfrescue-net-[0-9a-f]{8}$"))
	g.Expect(load("first")).To(Equal(first))
	g.Expect(load("second")).To(Equal(second))
	g.Expect(load("third")).To(Equal(first), "so that it is said that there is one")

	g.Expect(rescue.Remove(t.Context(), api.Client, tf, first)).To(Succeed())
	g.Expect(load("third")).To(Equal(second))
	second = save("second", 2, 1<<10)
	g.Expect(load("second")).To(Equal(second), "not its older one")
	g.Expect(rescued(t, tf)).To(ConsistOf(second.Secret))
}

func noise(t *testing.T, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return content
}

func rescued(t *testing.T, tf *v1alpha2.Terraform) []string {
	t.Helper()
	var list corev1.SecretList
	if err := api.Client.List(t.Context(), &list, client.InNamespace(tf.Namespace)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, secret := range list.Items {
		if len(secret.OwnerReferences) == 1 && secret.OwnerReferences[0].UID == tf.UID {
			names = append(names, secret.Name)
		}
	}
	return names
}

func TestState_ThatDoesNotFitIntoOneSecretIsInSeveral(t *testing.T) {
	g := NewWithT(t)
	tf := owner(t, "net")
	var saved *rescue.State
	for serial, tc := range []struct{ size, secrets int }{{3 << 20, 4}, {2 << 20, 3}, {1 << 10, 1}, {5 << 20, 6}} {
		saved = &rescue.State{Backend: "b", Lineage: "l", Serial: int64(serial), Content: noise(t, tc.size)}
		for range 2 {
			g.Expect(rescue.Save(t.Context(), api.Client, tf, saved)).To(Succeed(), "the same again, as after an answer that was lost")
		}
		g.Expect(rescue.Load(t.Context(), api.Client, tf, "b")).To(Equal(saved))
		g.Expect(rescued(t, tf)).To(HaveLen(tc.secrets), "those of the one before are gone, and all belong to the object")
	}
	g.Expect(rescue.Remove(t.Context(), api.Client, tf, saved)).To(Succeed())
	g.Expect(rescued(t, tf)).To(BeEmpty())
}

func TestState_OfWhichAPartIsMissingIsAnError(t *testing.T) {
	g := NewWithT(t)
	tf := owner(t, "net")
	saved := &rescue.State{Content: noise(t, 2<<20)}
	g.Expect(rescue.Save(t.Context(), api.Client, tf, saved)).To(Succeed())
	part := rescued(t, tf)[1]
	g.Expect(part).To(HavePrefix("tfrescue-net-"))
	g.Expect(api.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: part}})).To(Succeed())
	_, err := rescue.Load(t.Context(), api.Client, tf, "")
	g.Expect(err).To(MatchError(ContainSubstring(part)))
	g.Expect(rescue.Remove(t.Context(), api.Client, tf, saved)).To(Succeed(), "it can be given up")
}

func TestState_ThatIsNotKept(t *testing.T) {
	g := NewWithT(t)
	err := rescue.Save(t.Context(), api.Client, owner(t, "net"), &rescue.State{Content: make([]byte, 65<<20)})
	var tooLarge *bundle.TooLargeError
	g.Expect(err).To(BeAssignableToTypeOf(tooLarge), "none is cut")
	g.Expect(err).To(MatchError("it has 68157440 bytes, and 67108864 fit"))
}

func TestState_OfAnObjectWithALongName(t *testing.T) {
	g := NewWithT(t)
	tf := owner(t, strings.Repeat("n", 253))
	for _, backend := range []string{"first", "second"} {
		saved := &rescue.State{Backend: backend, Lineage: "l", Content: noise(t, 2<<20)}
		g.Expect(rescue.Save(t.Context(), api.Client, tf, saved)).To(Succeed())
		g.Expect(rescue.Load(t.Context(), api.Client, tf, backend)).To(Equal(saved))
	}
}
