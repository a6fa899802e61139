package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// maxUnpacked bounds what is unpacked to be searched, in bytes.
const maxUnpacked = 64 << 20

// places are texts, by where they stand.
type places map[string]string

// where are the places that show the text: as it is, or in base64.
func (p places) where(text string) []string {
	forms := formsOf(text)
	found := []string{}
	for place, content := range p {
		if slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(content, form) }) {
			found = append(found, place)
		}
	}
	slices.Sort(found)
	return found
}

// formsOf a text that needs no escapes in JSON. In base64 it looks different at each of three distances from the beginning, and
// its edges depend on what stands beside it.
func formsOf(text string) []string {
	forms := []string{text}
	for distance := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(append(make([]byte, distance), text...))
			forms = append(forms, encoded[4:len(encoded)-4])
		}
	}
	return forms
}

func TestForms_AreSeenAtEveryDistance(t *testing.T) {
	g := NewWithT(t)
	const text = "canary-of-the-test-0123456789"
	for _, before := range []string{"", "a", "ab", "abc", "user:"} {
		whole := before + text + "\n and more"
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			g.Expect(places{"here": "x " + encoding.EncodeToString([]byte(whole))}.where(text)).To(Equal([]string{"here"}), before)
		}
		g.Expect(places{"here": whole}.where(text)).To(Equal([]string{"here"}))
	}
	g.Expect(places{"here": "nothing of it"}.where(text)).To(BeEmpty())
}

// lookAround collects what the people of a tenant and of the platform can see. Apart from it are the Secrets that may hold
// secrets.
func lookAround(s *story.Story, intended func(name string) bool) (open, secret places) {
	open, secret = places{}, places{}
	addLogs(s, open)
	addMetrics(s, open)
	for _, kind := range namespacedKinds(s) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		s.Expect(system.Client.List(s.Ctx, list, client.InNamespace(s.Tenant.Namespace))).To(Succeed(), kind.String())
		for i := range list.Items {
			into := open
			if kind.Kind == "Secret" && intended(list.Items[i].GetName()) {
				into = secret
			}
			into[kind.Kind+" "+list.Items[i].GetName()+" of "+kind.GroupVersion().String()] = unfolded(s, &list.Items[i])
		}
	}
	return open, secret
}

func addLogs(s *story.Story, to places) {
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(system.Controller.LogPath()), "*.log"))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(logs).To(ContainElement(system.Controller.LogPath()))
	for _, path := range logs {
		content, err := os.ReadFile(path)
		s.Expect(err).NotTo(HaveOccurred())
		to["log "+filepath.Base(path)] = string(content)
	}
	ofPods, err := system.Node.NamespaceLogs(s.Tenant.Namespace)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(ofPods).NotTo(BeEmpty())
	for path, content := range ofPods {
		to["log of pod "+filepath.Base(filepath.Dir(path))+" "+filepath.Base(path)] = content
	}
}

func addMetrics(s *story.Story, to places) {
	req, err := http.NewRequestWithContext(s.Ctx, http.MethodGet, "http://"+metricsAddress+"/metrics", nil)
	s.Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(req)
	s.Expect(err).NotTo(HaveOccurred())
	body, err := io.ReadAll(resp.Body)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(resp.Body.Close()).To(Succeed())
	s.Expect(string(body)).To(ContainSubstring("controller_runtime_reconcile_total"))
	to["metrics"] = string(body)
}

// namespacedKinds are all kinds that the API server can list in a namespace.
func namespacedKinds(s *story.Story) []schema.GroupVersionKind {
	found, err := discovery.NewDiscoveryClientForConfigOrDie(system.Config).ServerPreferredNamespacedResources()
	s.Expect(err).NotTo(HaveOccurred())
	var kinds []schema.GroupVersionKind
	for _, list := range found {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		s.Expect(err).NotTo(HaveOccurred())
		for i := range list.APIResources {
			if slices.Contains(list.APIResources[i].Verbs, "list") {
				kinds = append(kinds, version.WithKind(list.APIResources[i].Kind))
			}
		}
	}
	return kinds
}

// unfolded is the object as text, and after it whatever is packed in it.
func unfolded(s *story.Story, object *unstructured.Unstructured) string {
	text, err := json.Marshal(object)
	s.Expect(err).NotTo(HaveOccurred())
	var all strings.Builder
	all.Write(text)
	unpackInto(&all, object.Object)
	return all.String()
}

func unpackInto(all *strings.Builder, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			unpackInto(all, inner)
		}
	case []any:
		for _, inner := range v {
			unpackInto(all, inner)
		}
	case string:
		held, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return
		}
		if bytes.HasPrefix(held, []byte{0x1f, 0x8b}) {
			content, err := bundle.Unpack(held, maxUnpacked)
			if err != nil {
				return
			}
			held = content
		}
		all.WriteString("\n")
		all.Write(held) // what is in it may be in base64 again
	}
}
