package source_test

import (
	"context"
	"errors"
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
)

// oneSource answers as an API server with one GitRepository in it, or with an error. A stand-in is enough: Resolve
// makes one Get, and all it needs of the answer is the object or the type of the error.
type oneSource struct {
	client.Reader
	repository *sourcev1.GitRepository
	err        error
	asked      int
}

func (o *oneSource) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	o.asked++
	if o.err != nil {
		return o.err
	}
	if o.repository == nil || client.ObjectKeyFromObject(o.repository) != key {
		return apierrors.NewNotFound(schema.GroupResource{Group: sourcev1.GroupVersion.Group, Resource: "gitrepositories"}, key.Name)
	}
	o.repository.DeepCopyInto(obj.(*sourcev1.GitRepository))
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
			reason: "an artifact is all that is needed", cluster: oneSource{repository: repository("infra", artifact, "")},
			state: source.Ready, lookedAtSource: true,
		},
		{
			reason:  "the last good artifact serves while the source fails",
			cluster: oneSource{repository: repository("infra", artifact, "no route to host")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "no artifact, and the source's own word why", cluster: oneSource{
				repository: repository("infra", nil, "authentication required"),
			},
			state: source.NoArtifact, lookedAtSource: true,
			message: "Source is not ready, artifact not found: GitRepository infra/app: authentication required",
		},
		{
			reason: "no artifact, and no word yet", cluster: oneSource{repository: repository("infra", nil, "")},
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
			cluster: oneSource{repository: repository("flux-system", artifact, "")}, state: source.Denied,
			message: "cannot access GitRepository flux-system/app, cross-namespace references have been disabled",
		},
		{
			reason: "another namespace where that is allowed", ref: "flux-system", allow: true,
			cluster: oneSource{repository: repository("flux-system", artifact, "")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "the own namespace, said explicitly", ref: "infra",
			cluster: oneSource{repository: repository("infra", artifact, "")},
			state:   source.Ready, lookedAtSource: true,
		},
		{
			reason: "a kind for later", kind: "Bucket", state: source.Unsupported,
			message: "spec.sourceRef.kind: sources of kind Bucket are not supported",
		},
		{
			reason: "denied comes before unsupported", kind: "OCIRepository", ref: "flux-system", state: source.Denied,
			message: "cannot access OCIRepository flux-system/app",
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			g := NewWithT(t)
			tf := terraform(c.kind, c.ref)
			got, err := source.Resolve(context.Background(), &c.cluster, tf, c.allow)
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

func TestResolve_IsAnErrorOnlyWhenTheAPIGivesNoAnswer(t *testing.T) {
	g := NewWithT(t)
	cause := errors.New("connection refused")
	_, err := source.Resolve(context.Background(), &oneSource{err: cause}, terraform("", ""), false)
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
