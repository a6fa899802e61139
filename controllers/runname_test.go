package controllers

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestFrozen_HoldsNoToken(t *testing.T) {
	g := NewWithT(t)
	spec := infrav1.TerraformSpec{Cloud: &infrav1.CloudSpec{Organization: "a", Token: "secret", TokenSecretRef: &meta.SecretKeyReference{Name: "cloud"}}}
	s := frozen(&spec, false)
	g.Expect(s.Cloud.Token).To(BeEmpty())
	g.Expect(s.Cloud.TokenSecretRef.Name).To(Equal("cloud"), "where it is, is no secret")
	g.Expect(spec.Cloud.Token).To(Equal("secret"))

	same := spec.DeepCopy()
	same.Cloud.Token = "changed"
	g.Expect(plan.Backend(same)).To(Equal(plan.Backend(&spec)), "it is the same state")
}

func TestRunName(t *testing.T) {
	compat.Shows(t, "limit.names")
	g := NewWithT(t)
	tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Name: "net", UID: types.UID("u1")}}
	g.Expect(RunName(tf, 1)).To(MatchRegexp(`^net-[0-9a-f]{8}$`))
	g.Expect(RunName(tf, 1)).To(Equal(RunName(tf, 1)), "two controllers make the same run")
	g.Expect(RunName(tf, 2)).NotTo(Equal(RunName(tf, 1)))
	again := tf.DeepCopy()
	again.UID = "u2"
	g.Expect(RunName(again, 1)).NotTo(Equal(RunName(tf, 1)), "an object made anew has runs of its own")
	tf.Name = strings.Repeat("a", 39) + "." + strings.Repeat("b", 200)
	g.Expect(RunName(tf, 1)).To(HavePrefix(strings.Repeat("a", 39) + "-"))
	g.Expect(len(RunName(tf, 1))).To(BeNumerically("<=", 63))
}
