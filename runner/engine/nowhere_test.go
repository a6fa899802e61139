package engine

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestNowhere_IsOnlyWhatAnotherLookWouldNotFind(t *testing.T) {
	m := newMaker(t, "1.11.8")
	for _, tc := range []struct {
		reason  string
		version string
		from    *Releases
		want    bool
	}{
		{"nothing may be downloaded", "1.11.9", nil, true},
		{"the maker has no such version", "1.11.9", m.releases, true},
		{"the maker can't be reached", "1.11.9", &Releases{TofuURL: "http://127.0.0.1:1"}, false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			_, err := (&Places{Cache: t.TempDir(), Releases: tc.from}).Find(t.Context(), wanted(t, Tofu, tc.version))
			g.Expect(err).To(HaveOccurred())
			g.Expect(Nowhere(err)).To(Equal(tc.want), "%v", err)
		})
	}
	NewWithT(t).Expect(Nowhere(nil)).To(BeFalse())
}
