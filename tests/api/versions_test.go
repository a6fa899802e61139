package api_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha1"
	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

// onlyV1alpha2 are the incumbent's fields that its v1alpha1 lacks; their children are covered.
var onlyV1alpha2 = []string{
	"spec.branchPlanner",
	"spec.maxRetryInterval",
	"spec.plan",
	"spec.planOnly",
	"spec.remediation",
	"spec.retryStrategy",
	"spec.runnerPodTemplate.spec.hostAliases",
	"spec.runnerPodTemplate.spec.priorityClassName",
	"spec.runnerPodTemplate.spec.resources",
	"spec.runnerPodTemplate.spec.securityContext",
	"spec.tfVarsFiles",
	"spec.tfstate.lockTimeout",
	"spec.upgradeOnInit",
	"spec.writeOutputsToSecret.annotations",
	"spec.writeOutputsToSecret.labels",
}

func TestVersions_V1alpha1IsServedAndDeprecatedAndNotStored(t *testing.T) {
	compat.Shows(t, "api.v1alpha1")
	g := NewWithT(t)
	definition := crd(t, "terraforms")
	old, current := version(t, definition, "v1alpha1"), version(t, definition, "v1alpha2")
	g.Expect(definition.Spec.Versions).To(HaveLen(2))
	g.Expect(definition.Spec.Conversion).To(BeNil(), "the API server's default is the strategy None")
	g.Expect([]bool{old.Served, old.Storage, old.Deprecated}).To(Equal([]bool{true, false, true}))
	g.Expect(old.DeprecationWarning).To(HaveValue(Equal("v1alpha1 Terraform is deprecated, upgrade to v1alpha2")))
	g.Expect([]bool{current.Served, current.Storage, current.Deprecated}).To(Equal([]bool{true, true, false}))
	var columns []string
	for _, column := range old.AdditionalPrinterColumns {
		columns = append(columns, column.Name)
	}
	g.Expect(columns).To(Equal([]string{"Ready", "Status", "Age"}), "as the incumbent has them")
}

// TestVersions_V1alpha1IsAPartOfV1alpha2: without conversion a field means the same in both, or writing through one of them
// would break what the other reads. The status is whole in both: it must not be lost to somebody who applies an old manifest.
func TestVersions_V1alpha1IsAPartOfV1alpha2(t *testing.T) {
	compat.Shows(t, "api.v1alpha1.conversion")
	old, current := schemaFacts(version(t, crd(t, "terraforms"), "v1alpha1")), schemaFacts(version(t, crd(t, "terraforms"), "v1alpha2"))
	for _, path := range slices.Sorted(maps.Keys(current)) {
		was, found := old[path]
		isNew := slices.ContainsFunc(slices.Concat(onlyV1alpha2, additive), func(a string) bool { return isWithin(path, a) })
		switch {
		case found && path != "status" && encode(t, was) != encode(t, current[path]):
			t.Errorf("%s\n  v1alpha1 %s\n  v1alpha2 %s", path, encode(t, was), encode(t, current[path]))
		case !found && strings.HasPrefix(path, "status"):
			t.Errorf("%s would be lost whenever an object is written as v1alpha1", path)
		case !found && !isNew:
			t.Errorf("%s is not in v1alpha1", path)
		case found && slices.Contains(onlyV1alpha2, path):
			t.Errorf("%s is in v1alpha1, where the incumbent has not got it", path)
		}
		delete(old, path)
	}
	for path := range old {
		t.Errorf("%s is in v1alpha1 only", path)
	}
}

func TestVersions_WhatIsWrittenAsV1alpha1IsReadAsV1alpha2(t *testing.T) {
	g := NewWithT(t)
	old := &v1alpha1.Terraform{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "old"},
		Spec: v1alpha1.TerraformSpec{
			ApprovePlan: "auto", Interval: metav1.Duration{Duration: time.Hour}, Path: "./blub",
			SourceRef: v1alpha2.CrossNamespaceSourceReference{Kind: "Bucket", Name: "source"},
			DependsOn: []v1alpha1.DependencyReference{{Name: "other"}},
		},
	}
	g.Expect(create(t, old)).To(Succeed())
	var current v1alpha2.Terraform
	g.Expect(server.client.Get(t.Context(), client.ObjectKeyFromObject(old), &current)).To(Succeed())
	g.Expect(current.Spec.ApprovePlan).To(Equal("auto"))
	g.Expect(current.Spec.Path).To(Equal("./blub"))
	g.Expect(current.Spec.DependsOn).To(Equal([]v1alpha2.DependencyReference{{Name: "other"}}))
	g.Expect(current.Spec.RetryStrategy).To(Equal(v1alpha2.StaticInterval), "defaults of v1alpha2 count when it is read")
	g.Expect(current.Status.ObservedGeneration).To(Equal(int64(-1)))
}

func TestVersions_WritingAsV1alpha1KeepsTheStatusAndDropsWhatItLacks(t *testing.T) {
	compat.Shows(t, "api.v1alpha1.conversion")
	g := NewWithT(t)
	object := manifest(t, "Terraform", "both", `{interval: 10m, planOnly: true, sourceRef: {kind: Bucket, name: source}}`)
	g.Expect(create(t, object)).To(Succeed())
	key := client.ObjectKeyFromObject(object)
	var before, after v1alpha2.Terraform
	g.Expect(server.client.Get(t.Context(), key, &before)).To(Succeed())
	before.Status.ActiveRun, before.Status.RunSequence = &v1alpha2.ActiveRun{Name: "both-1", Sequence: 7}, 7
	before.Status.AppliesStarted, before.Status.AppliesCompleted = 3, 2
	before.Status.State = &v1alpha2.StateStatus{Lineage: "line", Serial: 4}
	before.Status.LastPlannedGeneration = 1
	g.Expect(server.client.Status().Update(t.Context(), &before)).To(Succeed())

	_, err := kubectl(t, "patch", "terraforms.v1alpha1.infra.contrib.fluxcd.io", "both", "--type=merge", "-p", `{"spec": {"path": "./new"}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(server.client.Get(t.Context(), key, &after)).To(Succeed())
	g.Expect(after.Spec.Path).To(Equal("./new"))
	g.Expect(after.Status).To(Equal(before.Status), "no run is forgotten, no id comes back, the state stays guarded")
	g.Expect(after.Spec.PlanOnly).To(BeFalse(), "the documented price of the old version")
}
