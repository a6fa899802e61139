package source_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// oneSource answers as an API server with one source in it, or with an error. A stand-in is enough: Resolve makes one
// Get, and all it needs of the answer is the object or the type of the error.
type oneSource struct {
	client.Reader
	source source.Object
	err    error
	asked  int
}

func (o *oneSource) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	o.asked++
	if o.err != nil {
		return o.err
	}
	if o.source == nil || client.ObjectKeyFromObject(o.source) != key || reflect.TypeOf(o.source) != reflect.TypeOf(obj) {
		return apierrors.NewNotFound(schema.GroupResource{Group: sourcev1.GroupVersion.Group, Resource: "sources"}, key.Name)
	}
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(o.source).Elem())
	return nil
}

func repository(namespace string, artifact *meta.Artifact, ready string) *sourcev1.GitRepository {
	r := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"}}
	r.Status.Artifact = artifact
	if ready != "" {
		r.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: "False", Message: ready}}
	}
	return r
}

func TestResolve_SaysWhatTheSourceIs(t *testing.T) {
	compat.Shows(t, "spec.sourceRef.namespace")
	artifact := &meta.Artifact{Revision: "main@sha1:0123", Digest: "sha256:4567", URL: "http://source/app.tar.gz"}
	for _, c := range []struct {
		reason         string
		kind, ref      string
		allow          bool
		cluster        oneSource
		state          source.State
		message        string
		lookedAtSource bool
	}{
		{
			reason: "an artifact is all that is needed", cluster: oneSource{source: repository("infra", artifact, "")},
			state: source.Ready, lookedAtSource: true,
		},
		{
			reason:  "the last good artifact serves while the source fails",
			cluster: oneSource{source: repository("infra", artifact, "no route to host")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "no artifact, and the source's own word why", cluster: oneSource{
				source: repository("infra", nil, "authentication required"),
			},
			state: source.NoArtifact, lookedAtSource: true,
			message: "Source is not ready, artifact not found: GitRepository infra/app: authentication required",
		},
		{
			reason: "no artifact, and no word yet", cluster: oneSource{source: repository("infra", nil, "")},
			state: source.NoArtifact, lookedAtSource: true, message: "has not fetched it yet",
		},
		{
			reason: "a source that is not there", state: source.Missing, lookedAtSource: true,
			message: "spec.sourceRef: GitRepository infra/app not found",
		},
		{
			reason: "Flux is not installed", cluster: oneSource{
				err: &apimeta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "GitRepository"}},
			},
			state: source.Missing, lookedAtSource: true, message: "install Flux's source-controller",
		},
		{
			reason: "another namespace is not even looked at", ref: "flux-system",
			cluster: oneSource{source: repository("flux-system", artifact, "")}, state: source.Denied,
			message: "cannot access GitRepository flux-system/app, cross-namespace references have been disabled",
		},
		{
			reason: "another namespace where that is allowed", ref: "flux-system", allow: true,
			cluster: oneSource{source: repository("flux-system", artifact, "")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "the own namespace, said explicitly", ref: "infra",
			cluster: oneSource{source: repository("infra", artifact, "")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "a kind that is none", kind: "HelmChart", state: source.Unsupported,
			message: "spec.sourceRef.kind: sources of kind HelmChart are not supported by this version; use one of GitRepository, OCIRepository, Bucket",
		},
		{
			reason: "a kind that has to be asked for", kind: "ExternalArtifact", state: source.Disabled,
			message: "spec.sourceRef.kind: sources of kind ExternalArtifact are switched off; start the controller with --feature-gates=ExternalArtifact=true",
		},
		{
			reason: "denied comes before unsupported", kind: "OCIRepository", ref: "flux-system", state: source.Denied,
			message: "cannot access OCIRepository flux-system/app",
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			g := NewWithT(t)
			tf := terraform(c.kind, c.ref)
			got, err := source.Resolve(context.Background(), &c.cluster, tf, source.Policy{CrossNamespace: c.allow})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.State).To(Equal(c.state))
			g.Expect(got.Message).To(ContainSubstring(c.message))
			g.Expect(got.Kind).To(Equal(tf.Spec.SourceRef.Kind))
			g.Expect(got.Namespace + "/" + got.Name).To(Equal(tf.SourceNamespace() + "/app"))
			g.Expect(c.cluster.asked > 0).To(Equal(c.lookedAtSource))
			if c.state == source.Ready {
				g.Expect(got.Message).To(BeEmpty())
				g.Expect([]string{got.Revision, got.Digest, got.URL}).To(
					Equal([]string{artifact.Revision, artifact.Digest, artifact.URL}))
			} else {
				g.Expect(got.Revision + got.Digest + got.URL).To(BeEmpty())
			}
		})
	}
}

// TestResolve_KnowsEveryKind: each kind of source is asked for as what it is, with the same rules.
func TestResolve_KnowsEveryKind(t *testing.T) {
	compat.Shows(t, "spec.sourceRef")
	all := source.Policy{ExternalArtifacts: true}
	named := metav1.ObjectMeta{Namespace: "infra", Name: "app"}
	artifact := &meta.Artifact{Revision: "latest@sha256:0123", Digest: "sha256:4567", URL: "http://source/app.tar.gz"}
	sources := map[string]source.Object{
		"GitRepository":    &sourcev1.GitRepository{ObjectMeta: named, Status: sourcev1.GitRepositoryStatus{Artifact: artifact}},
		"OCIRepository":    &sourcev1.OCIRepository{ObjectMeta: named, Status: sourcev1.OCIRepositoryStatus{Artifact: artifact}},
		"Bucket":           &sourcev1.Bucket{ObjectMeta: named, Status: sourcev1.BucketStatus{Artifact: artifact}},
		"ExternalArtifact": &sourcev1.ExternalArtifact{ObjectMeta: named, Status: sourcev1.ExternalArtifactStatus{Artifact: artifact}},
	}
	NewWithT(t).Expect(all.Kinds()).To(ConsistOf(slices.Collect(maps.Keys(sources))), "no kind without a case")
	for _, kind := range all.Kinds() {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			resolve := func(cluster *oneSource, namespace string) source.Source {
				src, err := source.Resolve(t.Context(), cluster, terraform(kind, namespace), all)
				g.Expect(err).NotTo(HaveOccurred())
				return src
			}
			there := resolve(&oneSource{source: sources[kind]}, "")
			g.Expect(there).To(Equal(source.Source{
				State: source.Ready, Kind: kind, Namespace: "infra", Name: "app", Revision: artifact.Revision, Digest: artifact.Digest, URL: artifact.URL,
			}))
			g.Expect(resolve(&oneSource{}, "").Message).To(Equal("spec.sourceRef: " + kind + " infra/app not found"))
			g.Expect(resolve(&oneSource{source: sources[kind]}, "flux-system").State).To(Equal(source.Denied))
			absent := &apimeta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: kind}}
			g.Expect(resolve(&oneSource{err: absent}, "").Message).To(HavePrefix("spec.sourceRef: this cluster has no kind " + kind + " of source.toolkit.fluxcd.io/v1"))
			empty := source.NewObject(kind)
			empty.SetNamespace("infra")
			empty.SetName("app")
			g.Expect(resolve(&oneSource{source: empty}, "").Message).To(HavePrefix("Source is not ready, artifact not found: " + kind + " infra/app: "))
		})
	}
}

func TestResolve_IsAnErrorOnlyWhenTheAPIGivesNoAnswer(t *testing.T) {
	g := NewWithT(t)
	cause := errors.New("connection refused")
	_, err := source.Resolve(context.Background(), &oneSource{err: cause}, terraform("", ""), source.Policy{})
	g.Expect(err).To(MatchError(cause))
	g.Expect(err).To(MatchError(ContainSubstring("get GitRepository infra/app")))
}

func terraform(kind, namespace string) *infrav1.Terraform {
	if kind == "" {
		kind = sourcev1.GitRepositoryKind
	}
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "networking"}}
	tf.Spec.SourceRef = infrav1.CrossNamespaceSourceReference{Kind: kind, Name: "app", Namespace: namespace}
	return tf
}
