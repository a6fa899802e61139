package runner_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const formerID = "plan-main-b8e362c206"

// formerWorld has made a plan, whose file it returns, and has forgotten it.
func formerWorld(t *testing.T) (w *world, planned *v1alpha2.TerraformRun, file []byte) {
	t.Helper()
	g := NewWithT(t)
	w = newWorld(t, map[string]string{"main.tf": `
variable "word" {
  default = "blub"
}
resource "terraform_data" "a" { input = var.word }
`}, nil)
	planned = w.plan()
	var list corev1.SecretList
	g.Expect(api.Client.List(t.Context(), &list, client.InNamespace(w.namespace), client.HasLabels{v1alpha2.PlanNameLabel})).To(Succeed())
	g.Expect(list.Items).To(HaveLen(1))
	unzipped, err := gzip.NewReader(bytes.NewReader(list.Items[0].Data["tfplan"]))
	g.Expect(err).NotTo(HaveOccurred())
	file, err = io.ReadAll(unzipped)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(api.Client.Delete(t.Context(), &list.Items[0])).To(Succeed())
	return w, planned, file
}

// storeFormer stores a plan file as the incumbent does.
func (w *world) storeFormer(file, hashOf []byte) {
	w.t.Helper()
	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	_, err := gz.Write(file)
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	NewWithT(w.t).Expect(gz.Close()).To(Succeed())
	sum := sha256.Sum256(hashOf)
	api.Create(w.t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: "tfplan-default-demo",
			Labels: map[string]string{v1alpha2.PlanNameLabel: "demo", v1alpha2.PlanWorkspaceLabel: "default"},
			Annotations: map[string]string{
				"encoding": "gzip", v1alpha2.SavedPlanAnnotation: formerID, v1alpha2.PlanHashAnnotation: hex.EncodeToString(sum[:]),
				v1alpha2.PlanFullNameAnnotation: "demo", v1alpha2.PlanFullWorkspaceAnnotation: "default",
			},
		},
		Data: map[string][]byte{"tfplan": zipped.Bytes()},
	})
}

// ofVersion is a plan file that says that an engine of that version has made it.
func ofVersion(t *testing.T, file []byte, own, version string) []byte {
	t.Helper()
	g := NewWithT(t)
	read, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	g.Expect(err).NotTo(HaveOccurred())
	var changed bytes.Buffer
	w := zip.NewWriter(&changed)
	for _, entry := range read.File {
		from, err := entry.Open()
		g.Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(from)
		g.Expect(err).NotTo(HaveOccurred())
		if entry.Name == "tfplan" {
			g.Expect(string(content)).To(ContainSubstring(own))
			content = bytes.ReplaceAll(content, []byte(own), []byte(version))
		}
		to, err := w.Create(entry.Name)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = to.Write(content)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Close()).To(Succeed())
	return changed.Bytes()
}

func TestFormerPlan_WhatWasApprovedIsWhatIsInItsFile(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		store   func(w *world, file []byte, engine v1alpha2.EngineIdentity)
		refused string
	}{
		"the same engine": {"it can be read", func(w *world, file []byte, _ v1alpha2.EngineIdentity) { w.storeFormer(file, file) }, ""},
		"another hash": {"it is not what was stored",
			func(w *world, file []byte, _ v1alpha2.EngineIdentity) { w.storeFormer(file, nil) }, "does not have the hash that was stored with it"},
		"another version": {"a plan file is its engine's alone", func(w *world, file []byte, engine v1alpha2.EngineIdentity) {
			other := ofVersion(w.t, file, engine.Version, engine.Version[:len(engine.Version)-1]+"0")
			w.storeFormer(other, other)
		}, "can't read its plan file"},
		"no plan": {"without a backend the incumbent stored a placeholder",
			func(w *world, _ []byte, _ v1alpha2.EngineIdentity) {
				w.storeFormer([]byte("dummy plan"), []byte("dummy plan"))
			}, "can't read its plan file"},
		"nothing": {"there is nothing to look into", func(*world, []byte, v1alpha2.EngineIdentity) {}, "no Secret holds plan " + formerID},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w, planned, file := formerWorld(t)
			tc.store(w, file, *planned.Status.Engine)
			run := w.execute(t.Context(), w.newRun(v1alpha2.OperationPlan, func(run *v1alpha2.TerraformRun) { run.Spec.FormerPlan = formerID }))
			g.Expect(run.Status.Phase).To(Equal(v1alpha2.RunSucceeded), "a plan is made in any case: %+v", run.Status.Failure)
			g.Expect(run.Status.FormerPlan).NotTo(BeNil())
			g.Expect(run.Status.FormerPlan.ID).To(Equal(formerID))
			t.Logf("refused: %s", run.Status.FormerPlan.Refused)
			if tc.refused != "" {
				g.Expect(run.Status.FormerPlan.Refused).To(ContainSubstring(tc.refused), tc.reason)
				g.Expect(run.Status.FormerPlan.Changes).To(BeEmpty())
				return
			}
			g.Expect(run.Status.FormerPlan.Refused).To(BeEmpty(), tc.reason)
			var digests []string
			for _, c := range run.Status.Plan.Changes {
				digests = append(digests, c.Digest)
			}
			g.Expect(run.Status.FormerPlan.Changes).To(Equal(digests), "it is the same change, and rests on the same")
			g.Expect(digests).To(HaveLen(5), "a change, and the four parts of what it rests on")
			g.Expect(run.Status.Plan.ID).NotTo(Equal(formerID), "the plan that is stored is another")
		})
	}
}
