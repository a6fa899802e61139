package runner_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/remote"
)

// set are the values that the runner gives to one variable of the engine.
func (w *world) set(name string) *[]string {
	values, before := &[]string{}, w.cfg.Setenv
	w.cfg.Setenv = func(key, value string) error {
		if key == name {
			*values = append(*values, value)
		}
		return before(key, value)
	}
	return values
}

func TestCloud_TokenGoesToNoOtherHostThanItIsMeantFor(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, func(s *v1alpha2.TerraformSpec) { s.Cloud.TokenSecretRef, s.Cloud.Token = nil, remote.Token })
	applied := w.apply(w.plan())
	given := w.set("TF_TOKEN_" + strings.ReplaceAll(service.Host, ".", "_"))

	w.change(func(s *v1alpha2.TerraformSpec) { s.Cloud.Hostname, s.Cloud.Token = "other.example.com", "of-the-other" })
	w.fromKept(applied, func(*v1alpha2.TerraformSpec) {})
	g.Expect(*given).NotTo(ContainElement("of-the-other"))

	w.change(func(s *v1alpha2.TerraformSpec) { s.Cloud.Hostname, s.Cloud.Token = service.Host, remote.Token })
	run := w.fromKept(applied, func(s *v1alpha2.TerraformSpec) { s.Cloud.Hostname = "other.example.com" })
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "the kept service is the object's: %+v", run.Status.Failure)
	g.Expect(*given).To(HaveExactElements(remote.Token))
}

func TestCloud_KeptTokenGoesToNoOtherHostEither(t *testing.T) {
	g := NewWithT(t)
	service := remote.NewCloud(t)
	w := clouded(t, service, nil)
	applied := w.apply(w.plan())
	given := w.set("TF_TOKEN_other_example_com")
	run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(r *v1alpha2.TerraformRun) {
		r.Spec.Terraform.Destroy, r.Spec.Kept = true, applied.Status.Kept.Digest
		r.Spec.Terraform.Cloud.Hostname, r.Spec.Terraform.Cloud.TokenSecretRef.Name = "other.example.com", "none"
	}))
	g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunFailed))
	g.Expect(*given).To(BeEmpty())
}
