package e2e

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// What is large, long or in another script works, or is refused in words.

// noise are bytes that can't be packed, the same ones each time.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	return data
}

func TestLimits_AnArtifactOf60MiB(t *testing.T) {
	compat.Shows(t, "limit.artifact")
	t.Parallel()
	s := story.New(t, system, map[string]string{"README": "the artifact is offered by the test"})
	large, err := cluster.Tarball(map[string]string{
		"main.tf":   "output \"sum\" { value = filesha256(\"${path.module}/large.bin\") }\n",
		"large.bin": string(noise(60 << 20)),
	})
	s.Expect(err).NotTo(HaveOccurred())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write(large); err != nil {
			t.Log(err)
		}
	}))
	defer server.Close()
	offer(s, server.URL+"/large.tar.gz", digest.FromBytes(large))
	s.Create(story.Auto, story.OutputsTo("net-outputs"))
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, Not(BeEmpty()))
	s.Expect(string(s.Secret("net-outputs").Data["sum"])).To(Equal(digest.FromBytes(noise(60 << 20)).Encoded()))
}

// TestLimits_APlanOf8MiB: it is stored in parts, and loaded from them by a pod that has not made it. The content goes to no
// state, which could not hold it.
func TestLimits_APlanOf8MiB(t *testing.T) {
	compat.Shows(t, "limit.plan")
	t.Parallel()
	s := story.New(t, system, map[string]string{
		"main.tf": `
variable "large" {}
resource "terraform_data" "x" { input = sha256(var.large) }
`,
		"large.auto.tfvars": `large = "` + base64.StdEncoding.EncodeToString(noise(8<<20)) + `"`,
	})
	s.Create()
	id := s.Held()
	var secrets corev1.SecretList
	s.Expect(system.Client.List(s.Ctx, &secrets, client.InNamespace(s.Tenant.Namespace), client.MatchingLabels{infrav1.PlanNameLabel: "net"})).To(Succeed())
	s.Expect(len(secrets.Items)).To(BeNumerically(">=", 9), "it is in parts")
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Applied(s.Revision())
}

func TestLimits_5000ResourcesAnd500Outputs(t *testing.T) {
	compat.Shows(t, "limit.resources", "limit.outputs")
	t.Parallel()
	var module strings.Builder
	module.WriteString("resource \"terraform_data\" \"x\" {\n  count = 5000\n}\n")
	for i := range 500 {
		fmt.Fprintf(&module, "output \"o%03d\" { value = %q }\n", i, strings.Repeat("x", i))
	}
	s := story.New(t, system, map[string]string{"main.tf": module.String()})
	s.Create(story.Auto, story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
		tf.Spec.Parallelism, tf.Spec.EnableInventory = 100, true
	})
	tf := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, Not(BeEmpty()))
	s.Expect(tf.Status.State.Resources).To(Equal(int64(5000)))
	s.Expect(tf.Status.AvailableOutputs).To(HaveLen(500))
	s.Expect(s.Secret("net-outputs").Data).To(And(HaveLen(500), HaveKeyWithValue("o499", HaveLen(499))))
	s.Expect(tf.Status.Inventory.Entries).To(HaveLen(2000), "what etcd keeps whole is bounded")
}

func TestLimits_OtherScripts(t *testing.T) {
	compat.Shows(t, "limit.scripts")
	t.Parallel()
	const text = "größe 世界 😀 \u202e"
	s := story.New(t, system, map[string]string{
		"módulo/main.tf": `
variable "text" {}
resource "terraform_data" "x" {
  for_each = toset(["größe", "世界/😀"])
  input    = "${each.key} ${var.text} ${file("${path.module}/データ.txt")}"
}
output "all" { value = terraform_data.x["世界/😀"].output }
`,
		"módulo/データ.txt": "🎈",
	})
	s.Create(story.OutputsTo("net-outputs"), func(tf *infrav1.Terraform) {
		tf.Spec.Path = "módulo"
		tf.Spec.Vars = []infrav1.Variable{{Name: "text", Value: story.JSON(`"` + text + `"`)}}
		tf.Spec.Targets = []string{`terraform_data.x["世界/😀"]`}
	})
	id := s.Held()
	s.Expect(s.Runs()[0].Status.Plan.Rendered).To(ContainSubstring("世界/😀"))
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, Not(BeEmpty()))
	s.Expect(string(s.Secret("net-outputs").Data["all"])).To(Equal("世界/😀 " + text + " 🎈"))
}

// TestLimits_LongNames: a name that fits into a label works. Of one that is too long for a state of the backend kubernetes the
// engine says so.
func TestLimits_LongNames(t *testing.T) {
	compat.Shows(t, "limit.names")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	short, long := strings.Repeat("s", 63), strings.Repeat("l", 253)
	s.Create(story.Auto, named(short))
	s.Create(story.Auto, named(long))
	s.Eventually(appliedAt(s, short)).ShouldNot(BeEmpty())
	says(s, long, "False "+infrav1.ReasonTFExecInitFailed, HaveSuffix("is invalid, must be no more than 253 characters"))
}
