package api_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var accountFields = []string{"serviceAccountName", "planServiceAccountName"}

// TestAccounts_TakeEveryNameThatThereCanBe: also none, which some templates write for the default.
func TestAccounts_TakeEveryNameThatThereCanBe(t *testing.T) {
	compat.Shows(t, "spec.serviceAccountName")
	for _, name := range []string{"", "a", "0", "tf-runner", "team.tf-runner", strings.Repeat("a", 253)} {
		for _, field := range accountFields {
			object := manifest(t, "Terraform", "account", `{interval: 10m, sourceRef: {kind: Bucket, name: source}, `+field+`: "`+name+`"}`)
			NewWithT(t).Expect(server.client.Create(t.Context(), object, client.DryRunAll)).To(Succeed(), "%s %q", field, name)
		}
	}
}

func TestAccounts_AreCheckedInV1alpha1Too(t *testing.T) {
	g := NewWithT(t)
	object := manifest(t, "Terraform", "account", `{interval: 10m, sourceRef: {kind: Bucket, name: source}, serviceAccountName: "a:b"}`)
	object.SetAPIVersion("infra.contrib.fluxcd.io/v1alpha1")
	err := create(t, object)
	g.Expect(err).To(MatchError(ContainSubstring("spec.serviceAccountName: ")))
	g.Expect(err).To(Satisfy(apierrors.IsInvalid))
}

// TestAccounts_OfStoredObjectsMayBeWrong: an object from before this rule can still be reported on, changed and deleted. It is one
// of a group of its own, so that the rule can come after it.
func TestAccounts_OfStoredObjectsMayBeWrong(t *testing.T) {
	g := NewWithT(t)
	stored := func() *apiextensionsv1.CustomResourceDefinition {
		c := crd(t, "terraforms")
		c.Spec.Group = "stored.example.com"
		c.Name = c.Spec.Names.Plural + "." + c.Spec.Group
		return c
	}
	before := stored()
	for _, v := range before.Spec.Versions {
		spec := v.Schema.OpenAPIV3Schema.Properties["spec"]
		for _, field := range accountFields {
			if account, found := spec.Properties[field]; found {
				account.XValidations = nil
				spec.Properties[field] = account
			}
		}
	}
	g.Expect(create(t, before)).To(Succeed())
	wrong := func(name string) *unstructured.Unstructured {
		object := manifest(t, "Terraform", name, `{interval: 10m, sourceRef: {kind: Bucket, name: source}, serviceAccountName: "a:b", planServiceAccountName: "c:d"}`)
		object.SetAPIVersion("stored.example.com/v1alpha2")
		object.SetFinalizers([]string{"finalizers.example.com/kept"})
		return object
	}
	object := wrong("old")
	g.Eventually(func() error { return server.client.Create(t.Context(), object) }, time.Minute).Should(Succeed())
	after := before.DeepCopy()
	after.Spec = stored().Spec
	g.Expect(server.client.Patch(t.Context(), after, client.MergeFrom(before))).To(Succeed())
	g.Eventually(func() error { return server.client.Create(t.Context(), wrong("new"), client.DryRunAll) }, time.Minute).
		Should(Satisfy(apierrors.IsInvalid))

	status := client.RawPatch("application/merge-patch+json", []byte(`{"status": {"runSequence": 1}}`))
	g.Expect(server.client.Status().Patch(t.Context(), object, status)).To(Succeed())
	g.Expect(patch(t, object, `[{"op": "add", "path": "/spec/suspend", "value": true}]`)).To(Succeed())
	g.Expect(patch(t, object, `[{"op": "replace", "path": "/spec/serviceAccountName", "value": "e:f"}]`)).To(Satisfy(apierrors.IsInvalid))
	g.Expect(server.client.Delete(t.Context(), object)).To(Succeed())
	g.Expect(patch(t, object, `[{"op": "remove", "path": "/metadata/finalizers"}]`)).To(Succeed())
}
