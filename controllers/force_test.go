package controllers

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func TestForceRequested_NotWithoutAValue(t *testing.T) {
	for value, want := range map[string]bool{"": false, "later": true} {
		tf := &infrav1.Terraform{}
		tf.Annotations = map[string]string{meta.ForceRequestAnnotation: value, meta.ReconcileRequestAnnotation: value}
		tf.Status.LastHandledForceAt, tf.Status.LastHandledReconcileAt = "before", "before"
		NewWithT(t).Expect(forceRequested(tf)).To(Equal(want), value)
		NewWithT(t).Expect(tf.Status.LastHandledForceAt).To(Equal("before"), value)
	}
}
