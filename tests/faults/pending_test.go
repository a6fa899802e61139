package faults

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// mend takes away what was in the way.
type mend func(*story.Story)

// TestPodPending: why no runner starts is said within 30 s, others work on, and it ends when the cause is mended.
func TestPodPending(t *testing.T) {
	cases := map[string]struct {
		change func(*infrav1.Terraform)
		// obstruct puts something in the way, and returns how to take it away.
		obstruct func(s *story.Story) mend
		reason   string
		says     []string
	}{
		"unschedulable": {
			change: func(tf *infrav1.Terraform) {
				tf.Spec.RunnerPodTemplate.Spec.NodeSelector = map[string]string{"faults/pool": "terraform"}
			},
			obstruct: func(*story.Story) mend { return func(s *story.Story) { labelNode(s, `"terraform"`) } },
			reason:   infrav1.ReasonRunnerPending, says: []string{"can't be scheduled", "spec.runnerPodTemplate.spec"},
		},
		"image": {
			change: func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = "example.com/nowhere:v1" },
			obstruct: func(*story.Story) mend {
				return func(s *story.Story) {
					s.Change(func(tf *infrav1.Terraform) { tf.Spec.RunnerPodTemplate.Spec.Image = "" })
				}
			},
			reason: infrav1.ReasonRunnerPending, says: []string{"can't be pulled"},
		},
		"quota": {
			obstruct: noPods,
			reason:   infrav1.ReasonRunnerForbidden, says: []string{"is refused", "quota"},
		},
		"account": {
			change: func(tf *infrav1.Terraform) { tf.Spec.ServiceAccountName = "nobody" },
			obstruct: func(*story.Story) mend {
				return func(s *story.Story) { makeAccount(s, "nobody") }
			},
			reason: infrav1.ReasonRunnerForbidden, says: []string{`ServiceAccount "nobody" not found`},
		},
		"admission": {
			obstruct: func(s *story.Story) mend {
				sample := &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "sample"},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
				}
				allow := forbid(s, "pods", admissionv1.Create, "false", sample)
				return func(*story.Story) { allow() }
			},
			reason: infrav1.ReasonRunnerForbidden, says: []string{"is refused", "does not allow that today"},
		},
	}
	t.Cleanup(func() { labelNode(story.New(t, system, nil), "null") })
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			mended := tc.obstruct(s)
			begun := time.Now()
			s.Create(story.Auto, impatient, func(tf *infrav1.Terraform) {
				if tc.change != nil {
					tc.change(tf)
				}
			})
			s.SetDefaultEventuallyTimeout(30 * time.Second)
			s.Refuses(tc.reason, tc.says...)
			took(t, "pod pending: "+name+": said", begun)

			other := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			other.Create(story.Auto)
			other.Applied(other.Revision())

			s.Expect(conditions.GetReason(s.Get(), meta.ReadyCondition)).To(Equal(tc.reason))
			at := time.Now()
			mended(s)
			s.SetDefaultEventuallyTimeout(90 * time.Second)
			s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
			took(t, "pod pending: "+name+": after it was mended", at)
		})
	}
}

func labelNode(s *story.Story, value string) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: cluster.NodeName}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"faults/pool":`+value+`}}}`))
	s.Expect(system.Client.Patch(s.Ctx, node, patch)).To(Succeed())
}

// noPods gives the namespace a quota of no pods. The local cluster has no quota controller: its part is done here.
func noPods(s *story.Story) mend {
	none := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none},
	}
	s.Expect(system.Client.Create(s.Ctx, quota)).To(Succeed())
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
	s.Expect(system.Client.Status().Update(s.Ctx, quota)).To(Succeed())
	return func(s *story.Story) { s.Expect(system.Client.Delete(s.Ctx, quota)).To(Succeed()) }
}

func makeAccount(s *story.Story, name string) {
	account := metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: name}
	s.Expect(system.Client.Create(s.Ctx, &corev1.ServiceAccount{ObjectMeta: account})).To(Succeed())
	s.Expect(system.Client.Create(s.Ctx, &rbacv1.RoleBinding{
		ObjectMeta: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tf-runner-role"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: s.Tenant.Namespace}},
	})).To(Succeed())
}
