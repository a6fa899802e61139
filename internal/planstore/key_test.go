package planstore_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

func TestKey_IsMadeOnceAndIsTheObjectsOwn(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	key, err := planstore.Key(t.Context(), api.Client, o)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(key).To(HaveLen(32))
	g.Expect(planstore.Key(t.Context(), api.Client, o)).To(Equal(key))
	secret := stored(t, o.Namespace)["tfkey-network"]
	g.Expect(secret.Labels).To(BeEmpty(), "it is no plan")
	g.Expect(secret.OwnerReferences).To(HaveLen(1))
	g.Expect(planstore.Prune(t.Context(), api.Client, o, "default", "")).To(Succeed())
	g.Expect(stored(t, o.Namespace)).To(HaveKey("tfkey-network"))

	other := object(o.Namespace, strings.Repeat("n", 253))
	g.Expect(planstore.Key(t.Context(), api.Client, other)).NotTo(Equal(key))

	again := object(o.Namespace, "network")
	again.UID = "uid-2"
	g.Expect(planstore.Key(t.Context(), api.Client, again)).NotTo(Equal(key), "the former object's key goes with that")
	g.Expect(stored(t, o.Namespace)["tfkey-network"].OwnerReferences[0].UID).To(BeEquivalentTo("uid-2"))
}

func TestKey_ABrokenOneIsMadeAnew(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	_, err := planstore.Key(t.Context(), api.Client, o)
	g.Expect(err).NotTo(HaveOccurred())
	secret := stored(t, o.Namespace)["tfkey-network"]
	secret.Data["key"] = nil
	g.Expect(api.Client.Update(t.Context(), &secret)).To(Succeed())
	g.Expect(planstore.Key(t.Context(), api.Client, o)).To(HaveLen(32))
}

func TestKey_ASecretOfSomebodyElseStays(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	for reason, tc := range map[string]struct {
		data   []byte
		owners []metav1.OwnerReference
	}{
		"it is no key":      {[]byte("theirs"), nil},
		"it has an owner":   {key, []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "network", UID: "uid-9"}}},
		"of another object": {key, bundle.OwnedBy(object("", "other"))},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), "network")
			theirs := bundle.Secret(o, "tfkey-network", map[string][]byte{"key": tc.data})
			theirs.OwnerReferences = tc.owners
			g.Expect(api.Client.Create(t.Context(), theirs)).To(Succeed())
			_, err := planstore.Key(t.Context(), api.Client, o)
			g.Expect(err).To(MatchError(planstore.ErrForeignKey))
			g.Expect(stored(t, o.Namespace)["tfkey-network"].Data["key"]).To(Equal(tc.data))
		})
	}
}

func TestKey_ThatLostItsOwnerInABackupIsAdopted(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	key, err := planstore.Key(t.Context(), api.Client, o)
	g.Expect(err).NotTo(HaveOccurred())
	secret := stored(t, o.Namespace)["tfkey-network"]
	secret.OwnerReferences = nil
	g.Expect(api.Client.Update(t.Context(), &secret)).To(Succeed())
	o.UID = "uid-2"
	g.Expect(planstore.Key(t.Context(), api.Client, o)).To(Equal(key), "what was approved stays so")
	g.Expect(stored(t, o.Namespace)["tfkey-network"].OwnerReferences).To(Equal(bundle.OwnedBy(o)))
}

func TestKey_OfTwoThatMakeOneTheFirstCounts(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	admin, err := client.NewWithWatch(api.Config, client.Options{Scheme: api.Client.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	var first []byte
	late := interceptor.NewClient(admin, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, is := obj.(*corev1.Secret); is && first == nil {
				var err error
				if first, err = planstore.Key(ctx, api.Client, o); err != nil {
					return err
				}
			}
			return c.Create(ctx, obj, opts...)
		},
	})
	key, err := planstore.Key(t.Context(), late, o)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(key).To(Equal(first))
}
