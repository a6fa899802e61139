package e2e

import (
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

// leaderLease is the incumbent's, and ours, in the namespace of the release.
func leaderLease() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: local.Namespace, Name: "1953de50.contrib.fluxcd.io"}}
}

// leads: the old controller has not ended yet.
func (f *former) leads() {
	f.t.Helper()
	now := metav1.NewMicroTime(time.Now())
	lease := leaderLease()
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To("tofu-controller-7d9f8c6b5-x2x4z_0c1e"), LeaseDurationSeconds: ptr.To(int32(300)), AcquireTime: &now, RenewTime: &now,
	}
	f.Expect(f.System.Client.Create(f.Ctx, lease)).To(Succeed())
}

// waitsForTheLease: of two controllers in one namespace one works.
func (f *former) waitsForTheLease() {
	f.t.Helper()
	before := versions(f.objects())
	f.Consistently(func(g Gomega) {
		g.Expect(versions(f.objects())).To(Equal(before))
		g.Expect(f.Runs()).To(BeEmpty())
	}).Should(Succeed())
}

func versions(objects []infrav1.Terraform) map[string]string {
	all := map[string]string{}
	for _, tf := range objects {
		all[tf.Name] = tf.ResourceVersion
	}
	return all
}

// endsLeading: the old controller lets the Lease go when it ends.
func (f *former) endsLeading() {
	f.t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"holderIdentity":"","leaseDurationSeconds":1}}`))
	f.Expect(f.System.Client.Patch(f.Ctx, leaderLease(), patch)).To(Succeed())
}

// restartController gives the tests that follow a controller that asks for no Lease.
func (f *former) restartController() {
	f.Expect(system.Controller.Kill()).To(Succeed())
	f.startController()
	f.Expect(f.System.Client.Delete(f.Ctx, leaderLease())).To(Succeed())
}
