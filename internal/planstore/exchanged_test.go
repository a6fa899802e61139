package planstore_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// pretend stores a plan, under the names and with the marks of one with another digest, which edit may look after.
func pretend(t *testing.T, g Gomega, o *v1alpha2.Terraform, p *planstore.Plan, digest string, edit func(manifest []byte) []byte) {
	elsewhere := object(api.Namespace(t), o.Name)
	g.Expect(planstore.Save(t.Context(), api.Client, elsewhere, "default", p)).To(Succeed())
	for name, s := range stored(t, elsewhere.Namespace) {
		data := s.Data
		if manifest, found := data["manifest.json"]; found {
			data["manifest.json"] = edit(bytes.ReplaceAll(manifest, []byte(p.Digest), []byte(digest)))
		}
		s.Annotations[planstore.DigestAnnotation] = digest
		api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Namespace, Name: strings.Replace(name, short(p), short(&planstore.Plan{Digest: digest}), 1),
			Labels: s.Labels, Annotations: s.Annotations, OwnerReferences: s.OwnerReferences,
		}, Data: data})
	}
}

func asItIs(manifest []byte) []byte { return manifest }

func TestLoad_RefusesAnyPartThatWasExchangedTogetherWithTheManifest(t *testing.T) {
	compat.Shows(t, "plan-secret.read", "weak.24")
	whole := func() *planstore.Plan {
		p := planOf([]byte("a plan"))
		p.Extra = []byte("extra")
		return sealed(p)
	}
	exchange := map[string]func(p *planstore.Plan){
		"ID":             func(p *planstore.Plan) { p.ID = "plan-main-b8e362c206-ffffffff" },
		"File":           func(p *planstore.Plan) { p.File = []byte("another plan") },
		"LockFile":       func(p *planstore.Plan) { p.LockFile = []byte("# another\n") },
		"Engine":         func(p *planstore.Plan) { p.Engine.Version = "1.12.5" },
		"ArtifactDigest": func(p *planstore.Plan) { p.ArtifactDigest = "sha256:other" },
		"Lineage":        func(p *planstore.Plan) { p.Lineage = "other" },
		"Serial":         func(p *planstore.Plan) { p.Serial = 8 },
		"Variables":      func(p *planstore.Plan) { p.Variables = "sha256:other" },
		"Extra":          func(p *planstore.Plan) { p.Extra = []byte("other") },
		"no LockFile":    func(p *planstore.Plan) { p.LockFile = nil },
		"no Extra":       func(p *planstore.Plan) { p.Extra = nil },
		"no Lineage":     func(p *planstore.Plan) { p.Lineage, p.Serial = "", 0 },
		"empty LockFile": func(p *planstore.Plan) { p.LockFile = []byte{} },
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[planstore.Plan]()) {
		if field.Name != "Digest" {
			NewWithT(t).Expect(exchange).To(HaveKey(field.Name))
		}
	}
	for what, change := range exchange {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			o, digest := object(api.Namespace(t), "network"), whole().Digest
			other := whole()
			change(other)
			pretend(t, g, o, sealed(other), digest, asItIs)
			_, err := planstore.Load(t.Context(), api.Client, o, "default", digest)
			e, unfit := errors.AsType[*planstore.Error](err)
			g.Expect(unfit).To(BeTrue(), "got %v", err)
			g.Expect(e.Reason).To(Equal(planstore.Tampered), e.Message)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		g := NewWithT(t)
		o := object(api.Namespace(t), "network")
		pretend(t, g, o, whole(), whole().Digest, asItIs)
		g.Expect(planstore.Load(t.Context(), api.Client, o, "default", whole().Digest)).To(Equal(whole()))
	})
}

func TestLoad_RefusesAPlanOfAnOlderVersion(t *testing.T) {
	g := NewWithT(t)
	o, p := object(api.Namespace(t), "network"), planOf([]byte("a plan"))
	digest := planstore.Digest(p.File)
	pretend(t, g, o, p, digest, func([]byte) []byte {
		return []byte(`{"id":"` + p.ID + `","digest":"` + digest + `","chunks":1,"engine":{"name":"tofu","version":"1.12.6"},` +
			`"artifactDigest":"sha256:abc","lockFile":"` + planstore.Digest(p.LockFile) + `"}`)
	})
	_, err := planstore.Load(t.Context(), api.Client, o, "default", digest)
	e, unfit := errors.AsType[*planstore.Error](err)
	g.Expect(unfit).To(BeTrue(), "got %v", err)
	g.Expect(e.Reason).To(Equal(planstore.Missing), "a new one is made")
	g.Expect(e.Message).To(ContainSubstring("stored by an older version"))
}
