package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

// TestStartPod_SaysWhyTheAccountIsNotBound: what the API server refuses for good is no error to try again silently.
func TestStartPod_SaysWhyTheAccountIsNotBound(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		account string
		planner string
		weak    bool // the controller may only read bindings
		says    []string
	}{
		"no name": {
			reason: "objects from before the CRD looked at it may have one", account: "a:b",
			says: []string{"spec.serviceAccountName", `"a:b"`, "subjects[0].name", "name another account"},
		},
		"no name, of plans": {
			reason: "the field is the one that is used", account: "ok", planner: "c:d",
			says: []string{"spec.planServiceAccountName", `"c:d"`, "name another account"},
		},
		"not allowed": {
			reason: "a policy, or rights that are missing", account: "ok", weak: true,
			says: []string{"spec.serviceAccountName", `"ok"`, "forbidden", "--manage-runner-rbac=false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: api.Namespace(t), Name: "net"}}
			tf.Spec.RetryInterval = &metav1.Duration{Duration: time.Minute}
			run := &infrav1.TerraformRun{ObjectMeta: metav1.ObjectMeta{Namespace: tf.Namespace, Name: "net-1"}}
			run.Spec.Operation = infrav1.OperationPlan
			run.Spec.Terraform.ServiceAccountName, run.Spec.Terraform.PlanServiceAccountName = tc.account, tc.planner
			r := &TerraformReconciler{Client: api.Client, APIReader: api.Client, ManageRunnerRBAC: true}
			if tc.weak {
				r.Client = api.Account(t, tf.Namespace, "weak", rbacv1.PolicyRule{
					APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, Verbs: []string{"get"},
				})
			}
			d, err := r.startPod(t.Context(), tf, run, decide.Decision{Action: decide.StartPod})
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(d.Action).To(Equal(decide.Rest))
			g.Expect(d.Posture).To(Equal(decide.Retrying))
			g.Expect(d.Ready.Status).To(Equal(decide.False))
			g.Expect(d.Ready.Reason).To(Equal(infrav1.ReasonRunnerForbidden))
			for _, part := range tc.says {
				g.Expect(d.Ready.Message).To(ContainSubstring(part))
			}
			g.Expect(d.RequeueAfter).To(Equal(time.Minute))
		})
	}
}
