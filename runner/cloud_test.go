package runner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/remote"
)

// clouded is a world whose state is kept by a service, and whose token is in a Secret.
func clouded(t *testing.T, service *remote.Cloud, change func(*v1alpha2.TerraformSpec)) *world {
	t.Helper()
	w := newWorld(t, oneResource(), func(s *v1alpha2.TerraformSpec) {
		s.BackendConfig = nil
		s.Cloud = &v1alpha2.CloudSpec{
			Hostname: service.Host, Organization: remote.Organization, Workspaces: &v1alpha2.CloudWorkspacesSpec{Name: "net"},
			TokenSecretRef: &meta.SecretKeyReference{Name: "cloud"},
		}
		if change != nil {
			change(s)
		}
	})
	w.createSecret("cloud", map[string]string{"token": remote.Token + "\n"})
	t.Setenv("SSL_CERT_FILE", w.file("ca.crt", string(service.CA)))
	return w
}

// secretive holds that the token is nowhere where it does not belong.
func (w *world) secretive() {
	w.t.Helper()
	g := NewWithT(w.t)
	g.Expect(w.log.String()).NotTo(ContainSubstring(remote.Token))
	var runs v1alpha2.TerraformRunList
	g.Expect(api.Client.List(w.t.Context(), &runs, client.InNamespace(w.namespace))).To(Succeed())
	g.Expect(runs.Items).NotTo(BeEmpty())
	g.Expect(asJSON(w.t, runs)).NotTo(ContainSubstring(remote.Token))
}

func TestCloud_KeepsTheStateAndTheRunnerDoesTheWork(t *testing.T) {
	compat.Shows(t, "spec.cloud", "backend.cloud", "use.terraform-cloud")
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, nil)
	planned := w.plan()
	g.Expect(planned.Status.Plan.ID).NotTo(BeEmpty(), "there is a stored plan that can be approved")
	g.Expect(planned.Status.State).To(BeNil())

	applied := w.apply(planned)
	g.Expect(applied.Status.State.Resources).To(BeEquivalentTo(1))
	g.Expect(string(service.State("net"))).To(ContainSubstring(applied.Status.State.Lineage))
	g.Expect(service.Begun()).To(BeEmpty(), "nothing is done in the service")
	g.Expect(service.Refused()).To(BeZero())

	other := *applied.Status.State
	other.Serial += 5
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) { r.Spec.State = &other }))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonStateGuard))
	g.Expect(w.plan().Status.Plan.HasChanges).To(BeFalse())
	w.destroys(applied, func(*v1alpha2.TerraformRun) {})
	w.secretive()
}

func TestCloud_TokenOfTheSpec(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, func(s *v1alpha2.TerraformSpec) { s.Cloud.TokenSecretRef, s.Cloud.Token = nil, remote.Token })
	frozen := func(r *v1alpha2.TerraformRun) { r.Spec.Terraform.Cloud.Token = "" }
	planned := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, frozen))
	g.Expect(planned.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", planned.Status.Failure, w.log)
	w.secretive()

	elsewhere := func(r *v1alpha2.TerraformRun) {
		r.Spec.Terraform.Cloud.Token, r.Spec.Terraform.Cloud.Organization = "", "another"
	}
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, elsewhere))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonTFExecInitFailed), "the run is for another organization than the token")
	w.secretive()
}

func TestCloud_BlockOfTheModuleItself(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, func(s *v1alpha2.TerraformSpec) {
		s.Cloud, s.BackendConfig = nil, &v1alpha2.BackendConfigSpec{Disable: true}
		s.CliConfigSecretRef = &corev1.SecretReference{Name: "cli"}
	})
	w.files["cloud.tf"] = fmt.Sprintf("terraform {\n  cloud {\n    hostname     = %q\n    organization = %q\n    workspaces {\n      name = \"net\"\n    }\n  }\n}\n",
		service.Host, remote.Organization)
	w.createSecret("cli", map[string]string{"my.tfrc": fmt.Sprintf("credentials %q {\n  token = %q\n}\n", service.Host, remote.Token)})
	w.apply(w.plan())
	g.Expect(service.State("net")).NotTo(BeEmpty())
	w.secretive()
}

func TestCloud_BlockInTheTextOfTheBackend(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, func(s *v1alpha2.TerraformSpec) {
		s.Cloud, s.BackendConfig = nil, &v1alpha2.BackendConfigSpec{CustomConfiguration: fmt.Sprintf(
			"cloud {\n  hostname     = %q\n  organization = %q\n  workspaces {\n    name = \"net\"\n  }\n}\n", service.Host, remote.Organization)}
		s.CliConfigSecretRef = &corev1.SecretReference{Name: "cli"}
	})
	w.createSecret("cli", map[string]string{"my.tfrc": fmt.Sprintf("credentials %q {\n  token = %q\n}\n", service.Host, remote.Token)})
	w.apply(w.plan())
	g.Expect(service.State("net")).NotTo(BeEmpty())
	w.secretive()
}

func TestCloud_RefusesWorkspacesThatDoTheWorkThemselves(t *testing.T) {
	compat.Shows(t, "spec.cloud")
	g := NewWithT(t)
	service := remote.NewCloud(t)
	service.Workspace("net", "remote")
	w := clouded(t, service, nil)
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(run.Status.Failure.Reason).To(Equal(v1alpha2.ReasonRemoteExecution), "%+v", run.Status.Failure)
	g.Expect(run.Status.Failure.Message).To(ContainSubstring("execution mode to Local"))
	g.Expect(service.Begun()).To(BeEmpty())
}

func TestCloud_WorkspacesByTags(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	service.Workspace("net-a", "local", "net")
	service.Workspace("net-b", "local", "net", "blue")
	service.Workspace("other", "local")
	w := clouded(t, service, func(s *v1alpha2.TerraformSpec) {
		s.Cloud.Workspaces, s.Workspace = &v1alpha2.CloudWorkspacesSpec{Tags: []string{"net"}}, "net-b"
	})
	w.apply(w.plan())
	g.Expect(service.State("net-b")).NotTo(BeEmpty())
	g.Expect(service.State("net-a")).To(BeEmpty())
	g.Expect(service.State("other")).To(BeEmpty())
}

func TestCloud_LockIsReleasedByOrder(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	service.Workspace("net", "local")
	service.Lock("net")
	w := clouded(t, service, nil)
	held := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, nil))
	g.Expect(held.Status.Failure.Reason).To(Equal(v1alpha2.ReasonLockHeld))
	g.Expect(held.Status.Lock).To(Equal(&v1alpha2.LockInfo{ID: "acme/net"}), "whose it is, the service does not say")
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		r.Spec.Unlock = &v1alpha2.Unlock{ID: held.Status.Lock.ID, Evidence: "ordered"}
	}))
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "%+v\n%s", run.Status.Failure, w.log)
	g.Expect(run.Status.Unlocked).To(Equal("acme/net"))
}

func TestCloud_SaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*world)
		want   string
	}{
		{"a Secret that is not there", func(w *world) { w.terraform.Spec.Cloud.TokenSecretRef.Name = "none" },
			`spec.cloud.tokenSecretRef.name: Secret "NAMESPACE/none" does not exist; create it`},
		{"a key that is not there", func(w *world) { w.terraform.Spec.Cloud.TokenSecretRef.Key = "tokn" },
			`spec.cloud.tokenSecretRef.key: Secret "NAMESPACE/cloud" has no key "tokn"; its keys are token`},
		{"a state beside the module would be copied", func(w *world) { w.files["terraform.tfstate"] = "{}" },
			`the artifact has terraform.tfstate beside the module, which init would copy into the workspace of spec.cloud: remove it from the source`},
		{"settings of a backend", func(w *world) {
			w.createSecret("settings", map[string]string{"bucket": "x"})
			w.terraform.Spec.BackendConfigsFrom = []v1alpha2.BackendConfigsReference{{Kind: "Secret", Name: "settings"}}
		}, `spec.backendConfigsFrom: "bucket" is a setting of a backend, and spec.cloud has none; leave out one of the two`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			w := clouded(t, remote.NewCloud(t), nil)
			tc.change(w)
			w.failsToPlan(v1alpha2.ReasonTFExecInitFailed, strings.ReplaceAll(tc.want, "NAMESPACE", w.namespace))
		})
	}
}
