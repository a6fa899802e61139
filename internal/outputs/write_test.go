package outputs_test

import (
	"context"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/internal/outputs"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func get(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := api.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "out"}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestWrite_WritesWhatDiffersAndNothingElse(t *testing.T) {
	compat.Shows(t, "spec.writeOutputsToSecret", "spec.writeOutputsToSecret.labels", "spec.writeOutputsToSecret.annotations",
		"outputs.labels", "outputs.update", "outputs.by-hand", "weak.11", "weak.25",
	)
	g := NewWithT(t)
	namespace := api.Namespace(t)
	o := owner(namespace, "vpc_id", "private")
	o.Spec.WriteOutputsToSecret.Labels = map[string]string{"ours": "1"}

	keys, changed, err := outputs.Write(t.Context(), api.Client, o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeTrue())
	g.Expect(keys).To(Equal([]string{"private", "private__type", "vpc_id"}))
	first := get(t, namespace)

	_, changed, err = outputs.Write(t.Context(), api.Client, o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeFalse())
	g.Expect(get(t, namespace).ResourceVersion).To(Equal(first.ResourceVersion), "nothing was written")

	edited := first.DeepCopy()
	edited.Data["extra"] = []byte("x")
	delete(edited.Data, "vpc_id")
	edited.Labels = map[string]string{"ours": "2", "theirs": "3"}
	edited.Annotations = map[string]string{"theirs": "4"}
	g.Expect(api.Client.Update(t.Context(), edited)).To(Succeed())
	_, changed, err = outputs.Write(t.Context(), api.Client, o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeTrue(), "a hand-made change is corrected")
	now := get(t, namespace)
	g.Expect(now.Data).To(Equal(first.Data), "all data is ours")
	g.Expect(now.Labels).To(Equal(map[string]string{"ours": "1", "theirs": "3"}), "labels of others stay")
	g.Expect(now.Annotations).To(Equal(map[string]string{"theirs": "4"}))

	o.Spec.WriteOutputsToSecret.Annotations = map[string]string{"ours": "5"}
	_, changed, err = outputs.Write(t.Context(), api.Client, o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeTrue(), "a changed spec counts also after the creation")
	g.Expect(get(t, namespace).Annotations).To(Equal(map[string]string{"theirs": "4", "ours": "5"}))

	keys, changed, err = outputs.Write(t.Context(), api.Client, o, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeFalse())
	g.Expect(keys).To(BeEmpty())
	g.Expect(get(t, namespace).Data).To(Equal(first.Data), "no outputs, no change")
}

func TestWrite_TakesOverWhatNobodyElseControls(t *testing.T) {
	compat.Shows(t, "outputs.secret")
	yes := true
	for _, tc := range []struct {
		name, reason string
		owners       []metav1.OwnerReference
	}{
		{"nobody's", "users prepare the Secret for tools that watch it", nil},
		{"of the object's former self", "an object that was made anew or restored has another UID",
			[]metav1.OwnerReference{{APIVersion: "infra.contrib.fluxcd.io/v1alpha1", Kind: "Terraform", Name: "network", UID: "old", Controller: &yes}}},
		{"with other owners", "a plain owner does not control",
			[]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "cm"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			namespace := api.Namespace(t)
			api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "out", OwnerReferences: tc.owners}})
			_, changed, err := outputs.Write(t.Context(), api.Client, owner(namespace), module)
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(changed).To(BeTrue())
			ref := metav1.GetControllerOf(get(t, namespace))
			g.Expect(ref.UID).To(BeEquivalentTo("uid-1"), tc.reason)
		})
	}
}

func TestWrite_LeavesAForeignSecretAlone(t *testing.T) {
	compat.Shows(t, "outputs.foreign")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	yes := true
	foreign := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "out", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: "another", UID: "u", Controller: &yes},
		}},
		Data: map[string][]byte{"a": []byte("b")},
	}
	api.Create(t, foreign)
	_, _, err := outputs.Write(t.Context(), api.Client, owner(namespace), module)
	g.Expect(err).To(MatchError(`spec.writeOutputsToSecret.name: Secret "` + namespace + `/out" belongs to Terraform "another"; choose another name`))
	g.Expect(outputs.Delete(t.Context(), api.Client, owner(namespace))).To(Succeed())
	g.Expect(get(t, namespace).Data).To(Equal(foreign.Data))
}

func TestDelete_RemovesOnlyTheOwnSecret(t *testing.T) {
	compat.Shows(t, "cleanup.deletion")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	o := owner(namespace)
	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed(), "absent")
	_, _, err := outputs.Write(t.Context(), api.Client, o, module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed())
	err = api.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "out"}, &corev1.Secret{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue())

	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "out"}})
	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed())
	get(t, namespace)
	o.Spec.WriteOutputsToSecret = nil
	g.Expect(outputs.Delete(t.Context(), api.Client, o)).To(Succeed())
}

// TestWrite_LooksAgainWhenSomeoneElseIsFaster has a real conflict on the real server; only the moment is arranged.
func TestWrite_LooksAgainWhenSomeoneElseIsFaster(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	base, err := client.NewWithWatch(api.Config, client.Options{Scheme: api.Client.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	meddled := false
	racing := interceptor.NewClient(base, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "out"}}
			g.Expect(c.Create(ctx, theirs)).To(Succeed())
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if !meddled {
				meddled = true
				theirs := get(t, namespace)
				theirs.Labels = map[string]string{"theirs": "1"}
				g.Expect(c.Update(ctx, theirs)).To(Succeed())
			}
			return c.Update(ctx, obj, opts...)
		},
	})
	_, changed, err := outputs.Write(t.Context(), racing, owner(namespace), module)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changed).To(BeTrue())
	g.Expect(get(t, namespace).Labels).To(HaveKeyWithValue("theirs", "1"))
	g.Expect(get(t, namespace).Data).To(HaveKey("vpc_id"))
}

func TestWrite_NamesTheRightThatIsMissing(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	account := api.Account(t, namespace, "tf-runner", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}})
	_, _, err := outputs.Write(t.Context(), account, owner(namespace), module)
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue())
	g.Expect(err).To(MatchError(And(HavePrefix(`writing the outputs Secret "`+namespace+`/out": `), ContainSubstring("bind a Role"))))
}
