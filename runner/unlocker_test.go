package runner

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestUnlock_OfWhatABackendShowsInTheHoldersPlace(t *testing.T) {
	asked := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		reason, created string
		released        bool
	}{
		{"this pod's own engine has left it, and has ended", "2026-11-22 11:59:59.5 +0000 UTC", true},
		{"that is the command itself, which has no lock", "2026-11-22 12:00:00.5 +0000 UTC", false},
		{"the command may have begun in the same moment", "2026-11-22 12:00:00 +0000 UTC", false},
		{"when it was is not known", "", false},
		{"nor is it to an engine that shows the first of all times", "0001-01-01 00:00:00 +0000 UTC", false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			own := unlocker{own: "demo-x", asked: asked}
			may, err := own.may(t.Context(), &v1alpha2.LockInfo{ID: "lock-1", Who: "root@demo-x", Created: tc.created})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(may).To(Equal(tc.released))
		})
	}
}

func TestLockText_LeavesOutWhatIsNotKnown(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const held = "lock lock-1, held by root@demo-x for OperationTypePlan"
	for created, want := range map[string]string{
		"":                              held,
		"yesterday":                     held,
		"0001-01-01T00:00:00Z":          held,
		"0001-01-01 00:00:00 +0000 UTC": held,
		"2026-11-22T11:00:00Z":          held + " since 2026-11-22T11:00:00Z (1h0m0s ago)",
	} {
		info := &v1alpha2.LockInfo{ID: "lock-1", Who: "root@demo-x", Operation: "OperationTypePlan", Created: created}
		NewWithT(t).Expect(lockText(info, now)).To(Equal(want), created)
	}
}

func TestUnlock_KeepsTheLockOfARunThatIsAtWork(t *testing.T) {
	run := func(name, hostname, backend string, change func(*v1alpha2.TerraformRun)) v1alpha2.TerraformRun {
		r := v1alpha2.TerraformRun{ObjectMeta: metav1.ObjectMeta{Name: name}}
		r.Spec.Hostname, r.Spec.Backend = hostname, backend
		r.Status.Runner, r.Status.Phase = &v1alpha2.RunnerIdentity{PodUID: "uid"}, v1alpha2.RunRunning
		change(&r)
		return r
	}
	asIs := func(*v1alpha2.TerraformRun) {}
	for _, tc := range []struct {
		reason, host string
		other        v1alpha2.TerraformRun
		held         bool
	}{
		{"it works on that host", "net-x", run("other", "net-x", "b", asIs), true},
		{"it works on another host", "net-x", run("other", "net-y", "a", asIs), false},
		{"nobody knows the host, and it has the same backend", "", run("other", "net-x", "a", asIs), true},
		{"nobody knows the host, and it has another backend", "", run("other", "net-x", "b", asIs), false},
		{"it has ended", "", run("other", "net-x", "a", func(r *v1alpha2.TerraformRun) { r.Status.Phase = v1alpha2.RunFailed }), false},
		{"no pod works on it yet", "", run("other", "net-x", "a", func(r *v1alpha2.TerraformRun) { r.Status.Runner = nil }), false},
		{"it is the run that asks", "", run("own", "demo-x", "a", asIs), false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			own := run("own", "demo-x", "a", asIs)
			want := ""
			if tc.held {
				want = tc.other.Name
			}
			NewWithT(t).Expect(unlocker{run: &own}.holder([]v1alpha2.TerraformRun{tc.other}, tc.host)).To(Equal(want))
		})
	}
}
