package backups_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backups"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func object(t *testing.T, name string) *v1alpha2.Terraform {
	t.Helper()
	return &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: name, UID: "uid-1"}}
}

func stateOf(serial int64, content string) *backups.State {
	return &backups.State{
		Workspace: "default", Secret: "infra/tfstate-default-net", Content: []byte(content),
		ID: v1alpha2.StateStatus{Lineage: "0b1f", Serial: serial, Size: int64(len(content))},
	}
}

func save(t *testing.T, tf *v1alpha2.Terraform, s *backups.State) *backups.Version {
	t.Helper()
	v, err := backups.Save(t.Context(), api.Client, tf, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func listed(t *testing.T, tf *v1alpha2.Terraform) []backups.Version {
	t.Helper()
	all, err := backups.List(t.Context(), api.Client, tf)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func secrets(t *testing.T, tf *v1alpha2.Terraform) []corev1.Secret {
	t.Helper()
	list := &corev1.SecretList{}
	if err := api.Client.List(t.Context(), list, client.InNamespace(tf.Namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func serials(versions []backups.Version) (all []int64) {
	for i := range versions {
		all = append(all, versions[i].Serial)
	}
	return all
}

func TestVersions_AreKeptUntilTheyAreTheOldest(t *testing.T) {
	g := NewWithT(t)
	tf, other := object(t, "net"), object(t, "other")
	other.Namespace = tf.Namespace
	for serial := range int64(4) {
		state := stateOf(serial, strings.Repeat("state ", 10))
		v := save(t, tf, state)
		g.Expect(v.Is(&state.ID)).To(BeTrue())
		save(t, tf, state) // once more is no second version
	}
	save(t, other, stateOf(1, "x"))
	all := listed(t, tf)
	g.Expect(serials(all)).To(Equal([]int64{3, 2, 1, 0}))
	g.Expect(all[0].Is(&stateOf(3, strings.Repeat("state ", 10)).ID)).To(BeTrue())
	g.Expect(all[0].Is(&stateOf(3, "state").ID)).To(BeFalse(), "the size counts")

	g.Expect(backups.Prune(t.Context(), api.Client, tf, all, 2)).To(Succeed())
	g.Expect(serials(listed(t, tf))).To(Equal([]int64{3, 2}))
	g.Expect(backups.Prune(t.Context(), api.Client, tf, all, 0)).To(Succeed(), "those that are gone are gone")
	g.Expect(listed(t, tf)).To(BeEmpty())
	g.Expect(listed(t, other)).To(HaveLen(1))
}

func TestVersion_IsAStateSecretsDataAndOutlivesTheObject(t *testing.T) {
	g := NewWithT(t)
	tf := object(t, strings.Repeat("n", 70))
	v := save(t, tf, stateOf(12, "the state"))
	all := secrets(t, tf)
	g.Expect(all).To(HaveLen(1))
	g.Expect(all[0].Name).To(Equal(v.Name))
	g.Expect(all[0].Name).To(HavePrefix("tfbackup-nnnn"))
	g.Expect(all[0].OwnerReferences).To(BeEmpty())
	g.Expect(all[0].Labels).To(HaveKeyWithValue(backups.SerialLabel, "12"))
	g.Expect(all[0].Annotations).To(And(
		HaveKeyWithValue("infra.contrib.fluxcd.io/state-lineage", "0b1f"),
		HaveKeyWithValue("infra.contrib.fluxcd.io/state-secret", "infra/tfstate-default-net"),
		HaveKeyWithValue("infra.contrib.fluxcd.io/state-workspace", "default"),
	))
	content, err := bundle.Unpack(all[0].Data["tfstate"], 100)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).To(Equal("the state"))
}

func TestVersion_LargerThanASecretIsInSeveral(t *testing.T) {
	g := NewWithT(t)
	tf := object(t, "net")
	noise := make([]byte, 2*bundle.ChunkSize+10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	large := stateOf(7, string(noise))
	save(t, tf, large)
	save(t, tf, stateOf(6, "small"))
	var packed bytes.Buffer
	for i, secret := range secrets(t, tf)[1:] {
		g.Expect(secret.Name).To(HaveSuffix(fmt.Sprintf("-%02d", i)), "in the order of their names they are the whole")
		packed.Write(secret.Data["tfstate"])
	}
	g.Expect(bundle.Unpack(packed.Bytes(), len(noise))).To(Equal(noise))
	g.Expect(listed(t, tf)).To(HaveLen(2))

	g.Expect(api.Client.Delete(t.Context(), &secrets(t, tf)[2])).To(Succeed())
	cut := listed(t, tf)
	g.Expect(cut).To(HaveLen(2))
	g.Expect(cut[0].Is(&large.ID) || cut[1].Is(&large.ID)).To(BeFalse(), "what is not whole is no version")
	g.Expect(backups.Prune(t.Context(), api.Client, tf, cut, 2)).To(Succeed())
	g.Expect(serials(listed(t, tf))).To(Equal([]int64{6}), "nor does it stand in for one")
	g.Expect(secrets(t, tf)).To(HaveLen(1))
}

func TestVersion_ThatWasCutShortIsCompletedAndStays(t *testing.T) {
	for _, lost := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("without Secret %d", lost), func(t *testing.T) {
			g := NewWithT(t)
			tf := object(t, "net")
			noise := make([]byte, 2*bundle.ChunkSize+10)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
			large := stateOf(7, string(noise))
			save(t, tf, large)
			g.Expect(api.Client.Delete(t.Context(), &secrets(t, tf)[lost])).To(Succeed())

			all := backups.With(listed(t, tf), save(t, tf, large))
			g.Expect(all).To(HaveLen(1), "it is no second version")
			g.Expect(backups.Prune(t.Context(), api.Client, tf, all, 1)).To(Succeed())
			g.Expect(secrets(t, tf)).To(HaveLen(3))
			g.Expect(listed(t, tf)[0].Is(&large.ID)).To(BeTrue())
			g.Expect(backups.Prune(t.Context(), api.Client, tf, all, 0)).To(Succeed(), "what was there before is known, too")
			g.Expect(secrets(t, tf)).To(BeEmpty())
		})
	}
}

func TestOfLineage_IsOnlyWhatIsCertain(t *testing.T) {
	g := NewWithT(t)
	all := []backups.Version{{Name: "a", Lineage: "0b1f"}, {Name: "b", Lineage: "other"}, {Name: "c"}}
	g.Expect(backups.OfLineage(all, "0b1f")).To(Equal(all[:1]))
	g.Expect(backups.OfLineage(all, "")).To(BeEmpty(), "a state without lineage says nothing of those that have none either")
	g.Expect(all).To(HaveLen(3))
}

func TestVersion_ThatIsTooLargeIsRefused(t *testing.T) {
	g := NewWithT(t)
	tf := object(t, "net")
	noise := make([]byte, 17<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	_, err := backups.Save(t.Context(), api.Client, tf, stateOf(7, string(noise)))
	g.Expect(err).To(BeAssignableToTypeOf(&bundle.TooLargeError{}))
	g.Expect(secrets(t, tf)).To(BeEmpty())
}

func TestEmpty_IsWhatNobodyMisses(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		want    bool
	}{
		"just made":      {`{"version":4,"serial":1,"lineage":"a","outputs":{},"resources":[],"check_results":null}`, true},
		"with resources": {`{"version":4,"resources":[{"mode":"managed"}]}`, false},
		"with outputs":   {`{"version":4,"outputs":{"a":{"value":1}},"resources":[]}`, false},
		"encrypted":      {`{"serial":1,"lineage":"a","encrypted_data":"abc","encryption_version":"v0"}`, false},
		"no state":       {`hello`, false},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(backups.Empty([]byte(tc.content))).To(Equal(tc.want))
		})
	}
}

func TestOwn_LetsTheVersionsOfOneStateGoWithTheObject(t *testing.T) {
	g := NewWithT(t)
	tf := object(t, "net")
	save(t, tf, stateOf(1, `{"version":4,"serial":1,"lineage":"0b1f","resources":[{}]}`))
	other := stateOf(2, `{"version":4,"serial":2,"lineage":"other","resources":[{}]}`)
	other.ID.Lineage = "other"
	save(t, tf, other)
	for range 2 {
		g.Expect(backups.Own(t.Context(), api.Client, tf, listed(t, tf), "0b1f")).To(Succeed(), "also once more")
	}
	for _, secret := range secrets(t, tf) {
		owned := secret.Annotations["infra.contrib.fluxcd.io/state-lineage"] == "0b1f"
		g.Expect(len(secret.OwnerReferences) == 1).To(Equal(owned), secret.Name)
	}
}
