// Package source knows Flux sources: which artifact a Terraform object is to be planned from.
package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/fluxcd/pkg/runtime/controller"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// State says whether a source can be worked from.
type State string

const (
	// Missing: the source object, or its kind, is not in the cluster.
	Missing State = "Missing"
	// Denied: the source is in another namespace, and that is not allowed.
	Denied State = "Denied"
	// NoArtifact: the source object has no artifact yet.
	NoArtifact State = "NoArtifact"
	// Ready: the source has an artifact, maybe an older one than what its repository holds.
	Ready State = "Ready"
	// Disabled: sources of that kind are switched off.
	Disabled State = "Disabled"
	// Unsupported: this version does not work with sources of that kind.
	Unsupported State = "Unsupported"
)

// Source is what is known of an object's source.
type Source struct {
	// State says whether there is something to work with.
	State State
	// Message is for a person; empty when State is Ready.
	Message string

	// Kind, Namespace and Name of the source object.
	Kind, Namespace, Name string

	// Revision, Digest (<algorithm>:<hex>) and URL of the artifact; empty unless State is Ready.
	Revision, Digest, URL string
}

// Object is what all kinds of Flux sources have in common.
type Object interface {
	client.Object
	conditions.Getter
	GetArtifact() *meta.Artifact
}

// kinds are all of source.toolkit.fluxcd.io/v1.
var kinds = []struct {
	name string
	make func() Object
}{
	{sourcev1.GitRepositoryKind, func() Object { return &sourcev1.GitRepository{} }},
	{sourcev1.OCIRepositoryKind, func() Object { return &sourcev1.OCIRepository{} }},
	{sourcev1.BucketKind, func() Object { return &sourcev1.Bucket{} }},
	{sourcev1.ExternalArtifactKind, func() Object { return &sourcev1.ExternalArtifact{} }},
}

// Policy is what the controller's flags allow.
type Policy struct {
	// CrossNamespace lets objects use sources of other namespaces.
	CrossNamespace bool
	// ExternalArtifacts lets objects use what other controllers than source-controller offer.
	ExternalArtifacts bool
}

// Kinds lists the kinds of sources that may be used.
func (p Policy) Kinds() []string {
	names := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		if kind.name != sourcev1.ExternalArtifactKind || p.ExternalArtifacts {
			names = append(names, kind.name)
		}
	}
	return names
}

// NewObject makes an empty source of that kind; nil for a kind that is none.
func NewObject(kind string) Object {
	for _, k := range kinds {
		if k.name == kind {
			return k.make()
		}
	}
	return nil
}

// Resolve looks up the source of an object. Whatever is wrong with the source is a State; only an API server that
// gives no answer is an error. A source that the policy forbids is not even looked at.
func Resolve(ctx context.Context, reader client.Reader, tf *infrav1.Terraform, policy Policy) (Source, error) {
	ref := tf.Spec.SourceRef
	src := Source{Kind: ref.Kind, Namespace: tf.SourceNamespace(), Name: ref.Name}
	if src.Namespace != tf.Namespace && !policy.CrossNamespace {
		return src.deny(tf.Namespace), nil
	}
	obj := NewObject(ref.Kind)
	switch {
	case obj == nil:
		return src.because(Unsupported, "spec.sourceRef.kind: sources of kind %s are not supported by this version; use one of %s",
			ref.Kind, strings.Join(policy.Kinds(), ", ")), nil
	case !slices.Contains(policy.Kinds(), ref.Kind):
		return src.because(Disabled, "spec.sourceRef.kind: sources of kind %s are switched off; start the controller with"+
			" --feature-gates=%s=true", ref.Kind, controller.FeatureGateExternalArtifact), nil
	}
	err := reader.Get(ctx, client.ObjectKey{Namespace: src.Namespace, Name: src.Name}, obj)
	switch {
	case apierrors.IsNotFound(err):
		return src.because(Missing, "spec.sourceRef: %s %s/%s not found", src.Kind, src.Namespace, src.Name), nil
	case apimeta.IsNoMatchError(err):
		return src.because(Missing, "spec.sourceRef: this cluster has no kind %s of %s; install Flux's"+
			" source-controller", src.Kind, sourcev1.GroupVersion), nil
	case err != nil:
		return Source{}, fmt.Errorf("get %s %s/%s: %w", src.Kind, src.Namespace, src.Name, err)
	}
	return src.read(obj), nil
}

func (s Source) deny(own string) Source {
	return s.because(Denied, "cannot access %s %s/%s, cross-namespace references have been disabled; use a source in"+
		" namespace %s or start the controller with --allow-cross-namespace-refs", s.Kind, s.Namespace, s.Name, own)
}

func (s Source) read(obj Object) Source {
	artifact := obj.GetArtifact()
	if artifact == nil {
		return s.because(NoArtifact, "Source is not ready, artifact not found: %s %s/%s: %s",
			s.Kind, s.Namespace, s.Name, s.progress(obj))
	}
	s.State = Ready
	s.Revision, s.Digest, s.URL = artifact.Revision, artifact.Digest, artifact.URL
	return s
}

// progress is the source's own word on what keeps it from having an artifact. As long as its controller is at work on the
// first one there is nothing to tell.
func (s Source) progress(obj Object) string {
	switch {
	case conditions.IsFalse(obj, meta.ReadyCondition):
		return conditions.GetMessage(obj, meta.ReadyCondition)
	case s.Kind == sourcev1.ExternalArtifactKind:
		return "its controller has not made one yet"
	}
	return "source-controller has not fetched it yet"
}

func (s Source) because(state State, format string, args ...any) Source {
	s.State, s.Message = state, fmt.Sprintf(format, args...)
	return s
}
