package compat

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
)

// recorder is a test that only notes how it would have failed.
type recorder struct {
	testing.TB

	said string
}

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.said = fmt.Sprintf(format, args...) }

func TestShows_RefusesAnUnknownRow(t *testing.T) {
	g := NewWithT(t)
	var test recorder
	Shows(&test, "spec.targets")
	g.Expect(test.said).To(BeEmpty())
	Shows(&test, "spec.targest")
	g.Expect(test.said).To(Equal(`tests/compat/rows has no row "spec.targest"`))
}

func TestGroups_EachRowHasAVerdictAndAReason(t *testing.T) {
	for _, tc := range []struct {
		row  Row
		want string
	}{
		{Row{ID: "a", Verdict: "samish", Why: "x"}, `row "a": "samish" is none of same, fixed, added, not`},
		{Row{ID: "a", Verdict: Missing}, `row "a" needs an id and a why`},
		{Row{Verdict: Same, Why: "x"}, `row "" needs an id and a why`},
	} {
		NewWithT(t).Expect(tc.row.check()).To(MatchError(tc.want))
	}
	groups, err := Groups()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(len(groups)).To(BeNumerically(">", 1))
}
