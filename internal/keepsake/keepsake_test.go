package keepsake_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/internal/keepsake"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func object(namespace, name string) *v1alpha2.Terraform {
	return &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-1"}}
}

func kept(revision string) *keepsake.Kept {
	return &keepsake.Kept{
		Revision: revision, Spec: v1alpha2.TerraformSpec{Path: "./app", Workspace: "stage"},
		Files: []byte("packed"), Variables: []byte(`{"a":"x"}`), Secrets: []string{"x"},
	}
}

func secrets(t *testing.T, namespace string) []corev1.Secret {
	t.Helper()
	list := &corev1.SecretList{}
	if err := api.Client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestSave_LoadsWhatWasStored(t *testing.T) {
	for _, name := range []string{"net", strings.Repeat("long.", 50) + "net"} {
		g := NewWithT(t)
		o := object(api.Namespace(t), name)
		digest, size, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(size).To(BeNumerically(">", len("packed")))
		g.Expect(keepsake.Load(t.Context(), api.Client, o, digest)).To(Equal(kept("main@sha1:1")))

		again, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again).To(Equal(digest), "the same again is success")
		all := secrets(t, o.Namespace)
		g.Expect(all).To(HaveLen(1))
		g.Expect(all[0].OwnerReferences).To(ConsistOf(HaveField("UID", o.UID)), "it goes with the object")
	}
}

func TestSave_MakesAnewWhatWillGoWithAFormerObject(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "net")
	digest, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
	g.Expect(err).NotTo(HaveOccurred())
	o.UID = "uid-2"
	again, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(digest))
	g.Expect(secrets(t, o.Namespace)).To(ConsistOf(HaveField("OwnerReferences", ConsistOf(HaveField("UID", o.UID)))))
}

func TestLoad_RefusesWhatIsNotWhatWasStored(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*corev1.Secret)
		says   string
	}{
		"another file":    {"code that was swapped is not run", func(s *corev1.Secret) { s.Data["files.tar.gz"] = []byte("other") }, "was altered"},
		"other variables": {"nor with other values", func(s *corev1.Secret) { s.Data["variables.json"] = nil }, "was altered"},
		"deleted":         {"and gone is gone", nil, "is gone"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), "net")
			digest, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
			g.Expect(err).NotTo(HaveOccurred())
			secret := &secrets(t, o.Namespace)[0]
			if tc.change == nil {
				g.Expect(api.Client.Delete(t.Context(), secret)).To(Succeed())
			} else {
				tc.change(secret)
				g.Expect(api.Client.Update(t.Context(), secret)).To(Succeed())
			}
			_, err = keepsake.Load(t.Context(), api.Client, o, digest)
			refused, ok := errors.AsType[*keepsake.Error](err)
			g.Expect(ok).To(BeTrue(), tc.reason)
			g.Expect(refused.Message).To(ContainSubstring(tc.says), tc.reason)
		})
	}
	_, err := keepsake.Load(t.Context(), api.Client, object("default", "net"), "sha256:../..")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("no digest")))
}

func TestSave_RefusesWhatNoSecretHolds(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "net")
	large := kept("main@sha1:1")
	large.Files = make([]byte, bundle.MaxSecret)
	_, _, err := keepsake.Save(t.Context(), api.Client, o, large)
	_, ok := errors.AsType[*bundle.TooLargeError](err)
	g.Expect(ok).To(BeTrue(), "%v", err)
	g.Expect(secrets(t, o.Namespace)).To(BeEmpty())
	large.Files = make([]byte, bundle.MaxSecret-4096)
	_, _, err = keepsake.Save(t.Context(), api.Client, o, large)
	g.Expect(err).NotTo(HaveOccurred(), "what is allowed fits")
}

func TestPrune_KeepsTheLastOneAndThoseOfOthers(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "net")
	other := object(o.Namespace, "other")
	_, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:1"))
	g.Expect(err).NotTo(HaveOccurred())
	last, _, err := keepsake.Save(t.Context(), api.Client, o, kept("main@sha1:2"))
	g.Expect(err).NotTo(HaveOccurred())
	others, _, err := keepsake.Save(t.Context(), api.Client, other, kept("main@sha1:3"))
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(keepsake.Prune(t.Context(), api.Client, o, last)).To(Succeed())
	g.Expect(secrets(t, o.Namespace)).To(HaveLen(2))
	g.Expect(keepsake.Prune(t.Context(), api.Client, o, "")).To(Succeed())
	g.Expect(secrets(t, o.Namespace)).To(ConsistOf(HaveField("Annotations", HaveKeyWithValue(keepsake.DigestAnnotation, others))))
}
