package e2e

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/source"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// offering is a kind of source, beside the GitRepository of all other stories. Objects of it are named app.
type offering struct {
	// spec gives a new source what it fetches from.
	spec func(s *story.Story, obj source.Object)
	// publish puts files where the source finds them.
	publish func(s *story.Story, files map[string]string)
	// revision and planID are how revisions and the ids of their plans look.
	revision, planID string
}

var offerings = map[string]offering{
	sourcev1.OCIRepositoryKind: {ociSpec, ociPublish, "^latest@sha256:[0-9a-f]{64}$", "^plan-latest-[0-9a-f]{10}-[0-9a-f]{32}$"},
	sourcev1.BucketKind:        {bucketSpec, bucketPublish, "^sha256:[0-9a-f]{64}$", "^plan-[0-9a-f]{10}-[0-9a-f]{32}$"},
	sourcev1.ExternalArtifactKind: {
		func(*story.Story, source.Object) {}, externalPublish, "^latest@sha256:[0-9a-f]{64}$", "^plan-latest-[0-9a-f]{10}-[0-9a-f]{32}$",
	},
}

// TestSource_OfEachKindIsAppliedAsItChanges: the object waits for the source, says for what, and is woken by each step,
// long before its next try.
func TestSource_OfEachKindIsAppliedAsItChanges(t *testing.T) {
	compat.Shows(t, "spec.sourceRef", "format.plan-id", "use.oci-artifact")
	for kind, offered := range offerings {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"README": "this repository is not the source"})
			s.Create(story.Auto, story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
				tf.Spec.SourceRef = infrav1.CrossNamespaceSourceReference{Kind: kind, Name: "app"}
			})
			s.Refuses(infrav1.ReasonArtifactFailed, "spec.sourceRef: "+kind+" "+s.Tenant.Namespace+"/app not found")
			s.RestsQuietly()

			obj := source.NewObject(kind)
			obj.SetNamespace(s.Tenant.Namespace)
			obj.SetName("app")
			offered.spec(s, obj)
			s.Expect(system.Client.Create(s.Ctx, obj)).To(Succeed())
			s.Refuses(infrav1.ReasonArtifactFailed, "Source is not ready, artifact not found: "+kind+" "+s.Tenant.Namespace+"/app: ")

			offered.publish(s, map[string]string{"main.tf": story.Greeting})
			first := offers(s, obj, "")
			s.Expect(first).To(MatchRegexp(offered.revision))
			tf := s.Applied(first)
			s.Expect(tf.Status.Plan.LastApplied).To(MatchRegexp(offered.planID))
			s.Expect(string(s.Secret("net-outputs").Data["greeting"])).To(Equal("hello world"))

			offered.publish(s, map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
			s.Applied(offers(s, obj, first))
			s.Expect(string(s.Secret("net-outputs").Data["more"])).To(Equal("1"))
			s.RestsQuietly()
		})
	}
}

// offers waits until the source has an artifact of another revision.
func offers(s *story.Story, obj source.Object, before string) (revision string) {
	s.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(s.Ctx, s.Key("app"), obj)).To(Succeed())
		g.Expect(obj.GetArtifact()).NotTo(BeNil())
		revision = obj.GetArtifact().Revision
		g.Expect(revision).NotTo(Equal(before))
	}).Should(Succeed())
	return revision
}

// look makes source-controller look at the source now, as a webhook would.
func look(s *story.Story, obj client.Object) {
	obj.SetNamespace(s.Tenant.Namespace)
	obj.SetName("app")
	s.Expect(local.Annotate(s.Ctx, system.Client, obj, meta.ReconcileRequestAnnotation, time.Now().Format(time.RFC3339Nano))).To(Succeed())
}

func ociSpec(s *story.Story, obj source.Object) {
	obj.(*sourcev1.OCIRepository).Spec = sourcev1.OCIRepositorySpec{
		URL: system.Registry.URL(s.Tenant.Namespace), Reference: &sourcev1.OCIRepositoryRef{Tag: "latest"},
		Interval: metav1.Duration{Duration: time.Hour}, Insecure: true,
	}
}

func ociPublish(s *story.Story, files map[string]string) {
	_, err := system.Registry.Push(s.Ctx, s.Tenant.Namespace, "latest", files)
	s.Expect(err).NotTo(HaveOccurred())
	look(s, &sourcev1.OCIRepository{})
}

func bucketSpec(s *story.Story, obj source.Object) {
	s.Expect(system.Client.Create(s.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "s3"},
		StringData: map[string]string{"accesskey": "reader", "secretkey": "a word"},
	})).To(Succeed())
	obj.(*sourcev1.Bucket).Spec = sourcev1.BucketSpec{
		Provider: sourcev1.BucketProviderGeneric, BucketName: s.Tenant.Namespace, Endpoint: system.Buckets.Endpoint, Insecure: true,
		Interval: metav1.Duration{Duration: time.Hour}, SecretRef: &meta.LocalObjectReference{Name: "s3"},
	}
}

func bucketPublish(s *story.Story, files map[string]string) {
	s.Expect(system.Buckets.Put(s.Ctx, s.Tenant.Namespace, files)).To(Succeed())
	look(s, &sourcev1.Bucket{})
}

// externalPublish does what a controller would that makes artifacts of artifacts: here, of the one of the GitRepository.
func externalPublish(s *story.Story, files map[string]string) {
	commit, err := s.Tenant.Commit(s.Ctx, "another version", files)
	s.Expect(err).NotTo(HaveOccurred())
	s.Eventually(s.SourceRevision).Should(Equal(commit))
	obj := &sourcev1.ExternalArtifact{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("app"), obj)).To(Succeed())
	before := obj.DeepCopy()
	obj.Status.Artifact = s.Source().Status.Artifact
	obj.Status.Artifact.Revision = "latest@" + obj.Status.Artifact.Digest
	s.Expect(system.Client.Status().Patch(s.Ctx, obj, client.MergeFrom(before))).To(Succeed())
}

// TestSource_OfAnotherNamespaceIsRefused, whatever its kind, and whether it is there or not.
func TestSource_OfAnotherNamespaceIsRefused(t *testing.T) {
	compat.Shows(t, "spec.sourceRef.namespace", "condition.Ready=False/AccessDenied", "event.AccessDenied",
		"use.cross-namespace-references", "flag.--allow-cross-namespace-refs",
	)
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	other, err := system.NewTenant(s.Ctx, "e2e", map[string]string{"main.tf": story.Greeting})
	s.Expect(err).NotTo(HaveOccurred())
	s.Create(story.Auto, func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Namespace = other.Namespace })
	for _, kind := range (source.Policy{ExternalArtifacts: true}).Kinds() {
		s.Change(func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Kind = kind })
		s.Refuses(infrav1.ReasonAccessDenied, "cannot access "+kind+" "+other.Namespace+"/infra", "--allow-cross-namespace-refs")
		s.RestsQuietly()
	}
	s.Expect(s.Runs()).To(BeEmpty())
	s.Change(func(tf *infrav1.Terraform) {
		tf.Spec.SourceRef = infrav1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: local.SourceName}
	})
	s.Eventually(func() string { return s.Get().Status.LastAppliedRevision }).Should(HavePrefix("main@sha1:"), "the own one is used")
}
