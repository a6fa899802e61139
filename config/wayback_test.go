package config_test

import (
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

func TestWayBack_TakesEveryPolicyAway(t *testing.T) {
	g := NewWithT(t)
	guide, err := os.ReadFile("../docs/migrate-from-tofu-controller.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, way, found := strings.Cut(string(guide), "## The way back")
	g.Expect(found).To(BeTrue())
	for _, folder := range []string{"policies", "policies/strict"} {
		for _, document := range render(t, folder) {
			object := &unstructured.Unstructured{}
			g.Expect(utilyaml.Unmarshal(document, &object.Object)).To(Succeed())
			kind, _ := strings.CutSuffix(strings.ToLower(object.GetKind()), "y") // of both policy and policies
			g.Expect(strings.Split(way, "\n")).To(ContainElement(And(
				ContainSubstring("$ kubectl delete"), ContainSubstring(kind), MatchRegexp(`\s`+object.GetName()+`(\s|$)`),
			)), object.GetKind()+" "+object.GetName())
		}
	}
}
