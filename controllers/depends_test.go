package controllers

import (
	"context"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func readyAt(revision string, change ...func(*infrav1.Terraform)) *infrav1.Terraform {
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "net", Generation: 2}}
	tf.Spec.SourceRef = infrav1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "src"}
	tf.Status.ObservedGeneration, tf.Status.LastAppliedRevision, tf.Status.LastPlannedRevision = 2, revision, revision
	tf.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: "x"}}
	for _, c := range change {
		c(tf)
	}
	return tf
}

func TestReadyByStatus(t *testing.T) {
	compat.Shows(t, "spec.dependsOn", "condition.Ready=False/DependencyNotReady", "weak.22")
	ready := func(status metav1.ConditionStatus, reason string) func(*infrav1.Terraform) {
		return func(tf *infrav1.Terraform) {
			tf.Status.Conditions[0].Status, tf.Status.Conditions[0].Reason = status, reason
		}
	}
	outputs := func(reason string) func(*infrav1.Terraform) {
		return func(tf *infrav1.Terraform) {
			tf.Spec.WriteOutputsToSecret = &infrav1.WriteOutputsToSecretSpec{Name: "out"}
			tf.Status.AvailableOutputs = []string{"a"}
			tf.Status.Conditions = append(tf.Status.Conditions, metav1.Condition{Type: infrav1.ConditionOutput, Status: metav1.ConditionTrue, Reason: reason})
		}
	}
	cases := map[string]struct {
		reason string
		dep    *infrav1.Terraform
		want   string
	}{
		"ready":           {"ready, and at our revision", readyAt("r2"), ""},
		"not ready":       {"a failure is in the way", readyAt("r2", ready(metav1.ConditionFalse, "TFExecApplyFailed")), "dependency 'infra/net' is not ready"},
		"waits":           {"a plan that waits for approval is in the way", readyAt("r2", ready(metav1.ConditionUnknown, "x")), "dependency 'infra/net' is not ready"},
		"drift":           {"what waits on drift is as it was applied", readyAt("r2", ready(metav1.ConditionFalse, "DriftDetected")), ""},
		"drift, behind":   {"but only at the revision that was applied", readyAt("r1", ready(metav1.ConditionFalse, "DriftDetected")), "dependency 'infra/net' is not updated yet"},
		"old generation":  {"what it says is about another spec", readyAt("r2", func(tf *infrav1.Terraform) { tf.Generation = 3 }), "dependency 'infra/net' is not ready"},
		"behind":          {"of one source both are of one revision", readyAt("r1"), "dependency 'infra/net' is not updated yet"},
		"planned":         {"a revision without changes is never applied", readyAt("r1", func(tf *infrav1.Terraform) { tf.Status.LastPlannedRevision = "r2" }), ""},
		"named namespace": {"its own namespace may be named or not", readyAt("r1", func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Namespace = "infra" }), "dependency 'infra/net' is not updated yet"},
		"another source":  {"revisions of two sources can't be compared", readyAt("r1", func(tf *infrav1.Terraform) { tf.Spec.SourceRef.Namespace = "other" }), ""},
		"outputs":         {"its outputs are there to be read", readyAt("r2", outputs(infrav1.ReasonOutputsWritten)), ""},
		"outputs missing": {"its outputs are not written yet", readyAt("r2", outputs(infrav1.ReasonOutputsAvailable)), "dependency output secret: 'infra/out' of 'infra/net' is not ready yet"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			self := readyAt("r1", func(tf *infrav1.Terraform) { tf.Name = "app" })
			NewWithT(t).Expect(readyByStatus(self, tc.dep, "r2").Message).To(Equal(tc.want), tc.reason)
		})
	}
}

func TestReadyByExpression(t *testing.T) {
	compat.Shows(t, "spec.dependsOn.readyExpr")
	cases := map[string]struct {
		reason string
		text   string
		want   decide.DependencyState
	}{
		"true":         {"dep and self are known", "dep.status.lastAppliedRevision == 'r2' && self.metadata.name == 'app'", decide.DependenciesReady},
		"false":        {"not yet", "dep.status.lastAppliedRevision == 'r3'", decide.DependencyWaits},
		"not there":    {"a field that is not there yet may come", "dep.status.state.serial > 3", decide.DependencyWaits},
		"syntax":       {"what can't be read never becomes true", "dep.status.", decide.DependencyInvalid},
		"not a bool":   {"only yes or no is an answer", "'r2'", decide.DependencyInvalid},
		"unknown name": {"there are self and dep", "other.status == 1", decide.DependencyInvalid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			self := readyAt("r1", func(tf *infrav1.Terraform) { tf.Name = "app" })
			d := readyByExpression(context.Background(), self, readyAt("r2"), tc.text)
			NewWithT(t).Expect(d.State).To(Equal(tc.want), tc.reason+": "+d.Message)
		})
	}
}
