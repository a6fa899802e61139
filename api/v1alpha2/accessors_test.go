package v1alpha2

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestSafeLabelValue(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tc := range []struct{ reason, name, want string }{
		{"a name that fits is kept", "network", "network"},
		{"63 bytes fit", long[:63], long[:63]},
		{
			"one more and a hash tells it from others with the same beginning", long,
			strings.Repeat("a", 46) + "-ffe054fe7ae0cb6d", // sha256sum of 64 times a
		},
	} {
		got := SafeLabelValue(tc.name)
		if got != tc.want {
			t.Errorf("%s: SafeLabelValue(%q) = %q, want %q", tc.reason, tc.name, got, tc.want)
		}
		if problems := validation.IsValidLabelValue(got); len(problems) > 0 {
			t.Errorf("%s: %q is no label value: %v", tc.reason, got, problems)
		}
	}
}

func TestTerraform_RetryInterval(t *testing.T) {
	for _, tc := range []struct {
		reason string
		value  *metav1.Duration
		want   time.Duration
	}{
		{"the incumbent's default", nil, 15 * time.Second},
		{"zero would be a hot loop", &metav1.Duration{}, 15 * time.Second},
		{"so would less", &metav1.Duration{Duration: -time.Second}, 15 * time.Second},
		{"what is asked for counts", &metav1.Duration{Duration: time.Minute}, time.Minute},
	} {
		object := Terraform{Spec: TerraformSpec{RetryInterval: tc.value}}
		if got := object.GetRetryInterval(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
}

func TestTerraform_SourceNamespace(t *testing.T) {
	object := Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "infra"}}
	if got := object.SourceNamespace(); got != "infra" {
		t.Errorf("without a namespace the source is in %q, want the object's own", got)
	}
	object.Spec.SourceRef.Namespace = "flux-system"
	if got := object.SourceNamespace(); got != "flux-system" {
		t.Errorf("the source is in %q, want the one that is named", got)
	}
}

func TestTerraformSpec_DefaultsWithoutTheServer(t *testing.T) {
	var empty TerraformSpec
	if got := empty.GetServiceAccountName(); got != "tf-runner" {
		t.Errorf("account %q", got)
	}
	if got := empty.GetWorkspace(); got != "default" {
		t.Errorf("workspace %q", got)
	}
	if !empty.GetUpgradeOnInit() {
		t.Error("init takes newer providers unless told otherwise")
	}
	if got := empty.GetTerminationGrace(); got != 30*time.Second {
		t.Errorf("grace %s", got)
	}
}

func TestTerraformSpec_ValuesThatAreSet(t *testing.T) {
	upgrade, grace := false, int64(0)
	spec := TerraformSpec{
		ServiceAccountName: "deployer", Workspace: "stage", UpgradeOnInit: &upgrade,
		RunnerTerminationGracePeriodSeconds: &grace,
	}
	if got := spec.GetServiceAccountName(); got != "deployer" {
		t.Errorf("account %q", got)
	}
	if got := spec.GetWorkspace(); got != "stage" {
		t.Errorf("workspace %q", got)
	}
	if spec.GetUpgradeOnInit() {
		t.Error("an explicit false is a no")
	}
	if got := spec.GetTerminationGrace(); got != 0 {
		t.Errorf("grace %s, want the zero that was asked for", got)
	}
}

func TestTerraformRun_Finished(t *testing.T) {
	for phase, want := range map[RunPhase]bool{
		"": false, RunPending: false, RunRunning: false, RunSucceeded: true, RunFailed: true, RunCancelled: true,
	} {
		run := TerraformRun{Status: TerraformRunStatus{Phase: phase}}
		if got := run.Finished(); got != want {
			t.Errorf("a run in phase %q is finished: %v, want %v", phase, got, want)
		}
	}
}

func TestTerraform_Conditions(t *testing.T) {
	var object Terraform
	object.SetConditions([]metav1.Condition{{Type: "Ready"}})
	if got := object.GetConditions(); len(got) != 1 || got[0].Type != "Ready" {
		t.Errorf("conditions are %v", got)
	}
}
