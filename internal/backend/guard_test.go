package backend_test

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
)

func stateOf(change func(*v1alpha2.StateStatus)) *v1alpha2.StateStatus {
	s := &v1alpha2.StateStatus{Lineage: "l", Serial: 7, Resources: 10, Size: 10000}
	change(s)
	return s
}

func TestGuard(t *testing.T) {
	recorded := stateOf(func(*v1alpha2.StateStatus) {})
	cases := map[string]struct {
		reason   string
		recorded *v1alpha2.StateStatus
		found    *v1alpha2.StateStatus
		trouble  backend.Trouble
		says     string
	}{
		"the same":            {"nothing has happened", recorded, recorded, "", ""},
		"a later one":         {"somebody else has worked on it", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources = 9, 6 }), "", ""},
		"nothing known":       {"a first run accepts what is there", nil, recorded, "", ""},
		"no lineage known":    {"and so does one that knows no lineage", &v1alpha2.StateStatus{Serial: 9}, nil, "", ""},
		"gone":                {"init would make an empty one", recorded, nil, backend.Gone, "the state is gone: the last run left lineage l, serial 7, 10 resources"},
		"another lineage":     {"it is another state", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Lineage = "m" }), backend.Other, `now there is lineage "m"`},
		"older":               {"it was put back from a backup", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial = 6 }), backend.Older, "now there is serial 6"},
		"emptied":             {"a state that lost all would have all made again", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 0, 200 }), backend.Collapsed, "now there is serial 8, 0 resources, 200 bytes"},
		"emptied by hand":     {"an engine would have raised the serial", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Resources, s.Size = 0, 200 }), backend.Collapsed, "serial 7, 0 resources"},
		"less than half":      {"nobody removes most of it in passing", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 4, 4000 }), backend.Collapsed, "4 resources, 4000 bytes"},
		"half":                {"half is a change like others", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 5, 4000 }), "", ""},
		"few, but large ones": {"what counts is in them", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 4, 6000 }), "", ""},
		"encrypted since":     {"an encrypted state does not tell its resources", recorded, stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 0, 14000 }), "", ""},
		"after our destroy":   {"our own destroy has recorded what it left", stateOf(func(s *v1alpha2.StateStatus) { s.Resources, s.Size = 0, 200 }), stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 0, 200 }), "", ""},
		"after a lost apply":  {"nobody knows what it has left", stateOf(func(s *v1alpha2.StateStatus) { s.Resources, s.Size = 0, 0 }), stateOf(func(s *v1alpha2.StateStatus) { s.Serial, s.Resources, s.Size = 8, 0, 200 }), "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := backend.Guard(tc.recorded, tc.found)
			if tc.trouble == "" {
				g.Expect(err).NotTo(HaveOccurred(), tc.reason)
				return
			}
			refused, ok := errors.AsType[*backend.GuardError](err)
			g.Expect(ok).To(BeTrue(), tc.reason)
			g.Expect(refused.Trouble).To(Equal(tc.trouble), tc.reason)
			g.Expect(refused.Error()).To(ContainSubstring(tc.says))
			g.Expect(refused.Token()).To(MatchRegexp("^" + string(tc.trouble) + "-[0-9a-f]{8}$"))
		})
	}
}

func TestGuard_TokensNameOneTroubleOnly(t *testing.T) {
	g := NewWithT(t)
	recorded := v1alpha2.StateStatus{Lineage: "l", Serial: 7}
	gone := &backend.GuardError{Trouble: backend.Gone, Recorded: recorded}
	again := &backend.GuardError{Trouble: backend.Gone, Recorded: recorded}
	g.Expect(gone.Token()).To(Equal(again.Token()), "the next run finds the same")
	again.Recorded.Serial = 8
	g.Expect(gone.Token()).NotTo(Equal(again.Token()), "a state that is gone later is another matter")
}
