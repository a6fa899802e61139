package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestNotices_TellTheAuthorOfASpec(t *testing.T) {
	compat.Shows(t, "spec.branchPlanner", "spec.enterprise")
	set := map[string]func(*infrav1.TerraformSpec){
		"spec.branchPlanner": func(s *infrav1.TerraformSpec) { s.BranchPlanner = &infrav1.BranchPlanner{} },
		"spec.enterprise":    func(s *infrav1.TerraformSpec) { s.Enterprise = &apiextensionsv1.JSON{Raw: []byte("{}")} },
		"spec.cloud.token":   func(s *infrav1.TerraformSpec) { s.Cloud = &infrav1.CloudSpec{Token: "hidden"} },
	}
	NewWithT(t).Expect(set).To(HaveLen(len(allNotices)))
	for _, n := range allNotices {
		t.Run(n.path, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(set).To(HaveKey(n.path))
			spec := &infrav1.TerraformSpec{Cloud: &infrav1.CloudSpec{}}
			g.Expect(notices(spec)).To(BeEmpty())
			set[n.path](spec)
			told := notices(spec)
			g.Expect(told).To(HaveLen(1))
			g.Expect(told[0].message).To(HavePrefix(n.path + " "))
			g.Expect(told[0].message).NotTo(ContainSubstring("hidden"))
		})
	}
}
