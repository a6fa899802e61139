package runner

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

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
