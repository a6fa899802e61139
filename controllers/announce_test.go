package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/record"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

func TestAnnounceAbandoned_SaysWhyAndWhatIsLeft(t *testing.T) {
	cases := map[string]struct {
		reason string
		why    string
		state  *infrav1.StateStatus
		action decide.Action
		want   string
	}{
		"let go":          {"who reads the events later learns who was to look after the rest", "account closed", &infrav1.StateStatus{Resources: 3}, decide.RemoveFinalizer, "Warning Abandoned Abandoned by annotation: account closed. The 3 resource(s)"},
		"no state known":  {"resources may be left all the same", "x", nil, decide.RemoveFinalizer, "Its resources are left as they are"},
		"the usual end":   {"an object that goes as it should is nobody's trouble", "", nil, decide.RemoveFinalizer, ""},
		"not deleted yet": {"the word counts when the object goes", "x", nil, decide.AddFinalizer, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			recorder := record.NewFakeRecorder(9)
			tf := object()
			tf.Annotations[infrav1.AbandonAnnotation] = tc.why
			tf.Status.State = tc.state
			o := &observation{facts: decide.Facts{Deleting: true, Abandoned: tc.why != ""}}
			(&TerraformReconciler{Recorder: recorder}).announceAbandoned(t.Context(), tf, o, decide.Decision{Action: tc.action})
			if tc.want == "" {
				g.Expect(recorder.Events).To(BeEmpty(), tc.reason)
				return
			}
			g.Expect(recorder.Events).To(Receive(ContainSubstring(tc.want)), tc.reason)
		})
	}
}
