package planstore_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

const planID = "plan-main-b8e362c206-0011aabb"

// texts are the ConfigMaps of a namespace by name, but for the API server's own.
func texts(t *testing.T, namespace string) map[string]corev1.ConfigMap {
	t.Helper()
	list := &corev1.ConfigMapList{}
	if err := api.Client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	byName := map[string]corev1.ConfigMap{}
	for _, c := range list.Items {
		if strings.HasPrefix(c.Name, "tfplan-") {
			byName[c.Name] = c
		}
	}
	return byName
}

func TestSaveReadable_WritesWhatTheIncumbentsToolsRead(t *testing.T) {
	compat.Shows(t, "spec.storeReadablePlan", "key.infra.contrib.fluxcd.io/plan-name, plan-workspace", "readable.json",
		"readable.human",
	)
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	save := func(format, content string) {
		g.Expect(planstore.SaveReadable(t.Context(), api.Client, o, "stage", planstore.Readable{ID: planID, Format: format, Content: []byte(content)})).To(Succeed())
	}
	save("human", "Plan: 1 to add.\n")
	text := texts(t, o.Namespace)["tfplan-stage-network"]
	g.Expect(text.Data).To(Equal(map[string]string{"tfplan": "Plan: 1 to add.\n"}))
	g.Expect(text.Labels).To(Equal(map[string]string{"infra.contrib.fluxcd.io/plan-name": "network", "infra.contrib.fluxcd.io/plan-workspace": "stage"}))
	g.Expect(text.Annotations).To(HaveKeyWithValue("savedPlan", planID))
	g.Expect(text.Annotations).NotTo(HaveKey("encoding"))
	owners := []metav1.OwnerReference{{APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: "network", UID: "uid-1"}}
	g.Expect(text.OwnerReferences).To(Equal(owners))
	save("human", "Plan: 1 to add.\n")
	g.Expect(texts(t, o.Namespace)["tfplan-stage-network"].ResourceVersion).To(Equal(text.ResourceVersion), "a retry changes nothing")

	save("json", `{"a":1}`)
	g.Expect(texts(t, o.Namespace)).To(BeEmpty(), "the other form is not asked for any more")
	secret := stored(t, o.Namespace)["tfplan-stage-network.json"]
	g.Expect(secret.Labels).To(HaveKeyWithValue("infra.contrib.fluxcd.io/plan-name", "network.json"))
	g.Expect(secret.Annotations).To(HaveKeyWithValue("encoding", "gzip"))
	g.Expect(secret.OwnerReferences).To(Equal(owners))
	unzipped, err := gzip.NewReader(bytes.NewReader(secret.Data["tfplan"]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(io.ReadAll(unzipped)).To(BeEquivalentTo(`{"a":1}`))

	g.Expect(planstore.Prune(t.Context(), api.Client, object(o.Namespace, "network.json"), "stage", "")).To(Succeed())
	g.Expect(stored(t, o.Namespace)).To(HaveLen(1), "an object of that name has the same label, and nothing to do with it")
	g.Expect(planstore.PruneReadable(t.Context(), api.Client, o)).To(Succeed())
	g.Expect(stored(t, o.Namespace)).To(BeEmpty())
}

func TestSaveReadable_CutsBetweenRunes(t *testing.T) {
	compat.Shows(t, "spec.storeReadablePlan", "readable.human", "weak.24")
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	long := "x" + strings.Repeat("ä€😀", 200_000)
	g.Expect(planstore.SaveReadable(t.Context(), api.Client, o, "default", planstore.Readable{ID: planID, Format: "human", Content: []byte(long)})).To(Succeed())
	all := texts(t, o.Namespace)
	g.Expect(all).To(HaveLen(2))
	joined := ""
	for _, name := range []string{"tfplan-default-network-0", "tfplan-default-network-1"} {
		g.Expect(all).To(HaveKey(name))
		g.Expect(utf8.ValidString(all[name].Data["tfplan"])).To(BeTrue())
		joined += all[name].Data["tfplan"]
	}
	g.Expect(joined == long).To(BeTrue())
	g.Expect(planstore.SaveReadable(t.Context(), api.Client, o, "default", planstore.Readable{ID: planID, Format: "human", Content: []byte("short")})).To(Succeed())
	g.Expect(texts(t, o.Namespace)).To(And(HaveLen(1), HaveKey("tfplan-default-network")), "what is left of a longer one goes")
}

func TestSaveReadable_FindsANameAndLeavesOthersAlone(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	for _, o := range []struct{ workspace, name string }{{"My_Stage", "network"}, {"default", strings.Repeat("a", 253)}} {
		for _, format := range []string{"human", "json"} {
			g.Expect(planstore.SaveReadable(t.Context(), api.Client, object(namespace, o.name), o.workspace, planstore.Readable{ID: planID, Format: format, Content: []byte("x")})).To(Succeed())
		}
	}
	g.Expect(stored(t, namespace)).To(HaveLen(2))
	// Workspace a-b of c and workspace a of b-c have the same name.
	g.Expect(planstore.SaveReadable(t.Context(), api.Client, object(namespace, "c"), "a-b", planstore.Readable{ID: planID, Format: "human", Content: []byte("x")})).To(Succeed())
	g.Expect(planstore.SaveReadable(t.Context(), api.Client, object(namespace, "b-c"), "a", planstore.Readable{ID: planID, Format: "human", Content: []byte("y")})).
		To(MatchError(ContainSubstring("belongs to another object")))
}

func TestPruneReadable_RemovesWhatTheAccountMay(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	g.Expect(planstore.SaveReadable(t.Context(), api.Client, o, "default", planstore.Readable{ID: planID, Format: "json", Content: []byte("{}")})).To(Succeed())
	account := api.Account(t, o.Namespace, "by-hand", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "delete"}})
	g.Expect(planstore.PruneReadable(t.Context(), account, o)).To(MatchError(ContainSubstring("configmaps")))
	g.Expect(stored(t, o.Namespace)).To(BeEmpty())
}
