package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestBadInput: each is said in a condition that names the field, the value and what to do, and nothing is tried
// again before its time.
func TestBadInput(t *testing.T) {
	compat.Shows(t, "spec.path", "spec.serviceAccountName", "spec.runnerPodTemplate.spec.image", "spec.runnerPodTemplate.spec.env",
		"condition.Ready=False/ArtifactFailed", "condition.Ready=False/TFExecNewFailed", "condition.Ready=False/OutputsWritingFailed",
		"event.OutputsWritingFailed", "outputs.unknown",
	)
	cases := map[string]struct {
		files  map[string]string
		change func(*infrav1.Terraform)
		reason string
		says   []string
		// mend makes it right; nil: a commit or a changed spec is shown elsewhere.
		mend func(*story.Story)
	}{
		"missing path": {
			change: func(tf *infrav1.Terraform) { tf.Spec.Path = "./modules/nowhere" },
			reason: infrav1.ReasonArtifactFailed, says: []string{"spec.path", "modules/nowhere", "GitRepository"},
			mend: func(s *story.Story) { s.Change(func(tf *infrav1.Terraform) { tf.Spec.Path = "" }) },
		},
		"path out of the artifact": {
			change: func(tf *infrav1.Terraform) { tf.Spec.Path = "../../../etc" },
			reason: infrav1.ReasonArtifactFailed, says: []string{"spec.path", "../../../etc"},
		},
		"invalid HCL": {
			files:  map[string]string{"broken.tf": "resource \"terraform_data\" {\n"},
			reason: infrav1.ReasonTFExecInitFailed, says: []string{"broken.tf:1"},
		},
		"unknown provider": {
			files:  map[string]string{"main.tf": "terraform {\n required_providers {\n  x = { source = \"example/nowhere\" }\n }\n}\n"},
			reason: infrav1.ReasonTFExecInitFailed, says: []string{"example/nowhere"},
		},
		"missing Secret": {
			change: func(tf *infrav1.Terraform) {
				tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "Secret", Name: "credentials"}}
			},
			reason: infrav1.ReasonVarsGenerationFailed, says: []string{"spec.varsFrom[0]", "credentials"},
		},
		"missing key": {
			change: func(tf *infrav1.Terraform) {
				tf.Spec.VarsFrom = []infrav1.VarsReference{{Kind: "ConfigMap", Name: "kube-root-ca.crt", VarsKeys: []string{"nmae"}}}
			},
			reason: infrav1.ReasonVarsGenerationFailed, says: []string{"spec.varsFrom[0].varsKeys[0]", "nmae", "ca.crt"},
		},
		"missing ServiceAccount": {
			change: func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "nobody" },
			reason: infrav1.ReasonRunnerForbidden, says: []string{"spec.serviceAccountName", `"nobody"`, "create it"},
			mend: func(s *story.Story) {
				account := metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "nobody"}
				s.Expect(system.Client.Create(s.Ctx, &corev1.ServiceAccount{ObjectMeta: account})).To(Succeed())
				s.Expect(system.Client.Create(s.Ctx, &rbacv1.RoleBinding{
					ObjectMeta: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tf-runner-role"},
					Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "nobody", Namespace: s.Tenant.Namespace}},
				})).To(Succeed())
				s.Annotate(fluxmeta.ReconcileRequestAnnotation, "now")
			},
		},
		"unknown image": {
			change: func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = "example.com/nowhere:v1" },
			reason: infrav1.ReasonRunnerPending, says: []string{"spec.runnerPodTemplate.spec.image", "example.com/nowhere:v1", "can't be pulled"},
			mend: func(s *story.Story) {
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = "" })
			},
		},
		"missing Secret for the pod's environment": {
			change: func(tf *infrav1.Terraform) {
				tf.Spec.RunnerPodTemplate.Spec.Env = []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{
					SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "token"}, Key: "value"},
				}}}
			},
			reason: infrav1.ReasonRunnerPending, says: []string{"token", "spec.runnerPodTemplate.spec"},
			mend: func(s *story.Story) {
				s.Expect(system.Client.Create(s.Ctx, &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "token"}, StringData: map[string]string{"value": "x"},
				})).To(Succeed())
			},
		},
		"image without an engine": {
			change: func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = emptyImage },
			reason: infrav1.ReasonTFExecNewFailed, says: []string{"tofu", "terraform", "PATH"},
		},
		"unknown output": {
			change: func(tf *infrav1.Terraform) {
				story.OutputsTo("net-outputs")(tf)
				tf.Spec.WriteOutputsToSecret.Outputs = []string{"greetings"}
			},
			reason: infrav1.ReasonOutputsWritingFailed, says: []string{"spec.writeOutputsToSecret.outputs[0]", "greetings", "greeting"},
		},
		"missing source": {
			change: func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Name = "nowhere" },
			reason: infrav1.ReasonArtifactFailed, says: []string{"spec.sourceRef", "GitRepository", "nowhere"},
			mend: func(s *story.Story) {
				s.Change(func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Name = local.SourceName })
			},
		},
		"word for approvePlan": {
			change: func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = "yes" },
			reason: infrav1.ReasonInvalidApprovePlan, says: []string{"spec.approvePlan", `"yes"`, "status.plan.pending"},
			mend: func(s *story.Story) { s.Change(story.Auto) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"main.tf": story.Greeting}
			maps.Copy(files, tc.files)
			t.Parallel()
			s := story.New(t, system, files)
			s.Create(story.Auto, func(tf *infrav1.Terraform) {
				if tc.change != nil {
					tc.change(tf)
				}
			})
			s.Refuses(tc.reason, tc.says...)
			s.RestsQuietly()
			if tc.mend != nil {
				tc.mend(s)
				s.Eventually(func() string { return s.Get().Status.LastAppliedRevision }).ShouldNot(BeEmpty())
				s.Becomes(metav1.ConditionTrue, "Terraform", ContainSubstring("main@sha1:"))
			}
		})
	}
}

// TestBadArtifact: what source-controller never serves is served by the test, through a source that is suspended so that
// its status stays what the test has written. The real one can't be brought to do that.
func TestBadArtifact(t *testing.T) {
	compat.Shows(t, "condition.Ready=False/ArtifactFailed", "event.ArtifactFailed")
	good, err := cluster.Tarball(map[string]string{"main.tf": story.Greeting})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	cases := map[string]struct {
		served []byte
		digest digest.Digest
		says   []string
	}{
		"corrupt tarball": {[]byte("this is no tarball"), digest.FromBytes([]byte("this is no tarball")), []string{"artifact"}},
		"cut tarball":     {good[:len(good)/2], digest.FromBytes(good[:len(good)/2]), []string{"artifact"}},
		"digest mismatch": {good, digest.FromString("something else"), []string{"digest", digest.FromBytes(good).String(), digest.FromString("something else").String()}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if _, err := w.Write(tc.served); err != nil {
					t.Log(err)
				}
			}))
			defer server.Close()
			offer(s, server.URL+"/bad.tar.gz", tc.digest)
			s.Create(story.Auto)
			s.Refuses(infrav1.ReasonArtifactFailed, tc.says...)
			s.RestsQuietly()
		})
	}
}

// offer makes the suspended source offer that artifact.
func offer(s *story.Story, url string, sum digest.Digest) {
	s.Eventually(s.SourceRevision).ShouldNot(BeEmpty(), "source-controller has had its turn")
	source := s.Source()
	before := source.DeepCopy()
	source.Spec.Suspend = true
	s.Expect(system.Client.Patch(s.Ctx, source, client.MergeFrom(before))).To(Succeed())
	before = source.DeepCopy()
	source.Status.Artifact.Revision = "main@sha1:" + sum.Encoded()[:40]
	source.Status.Artifact.URL, source.Status.Artifact.Digest = url, sum.String()
	source.Status.Artifact.LastUpdateTime = metav1.NewTime(time.Now())
	s.Expect(system.Client.Status().Patch(s.Ctx, source, client.MergeFrom(before))).To(Succeed())
}
