package planstore_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func gzipped(file []byte) []byte {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(file)
	_ = w.Close()
	return zipped.Bytes()
}

// former is a plan as the incumbent stores it, in so many chunks; 0: in one Secret that has no number.
func former(o *v1alpha2.Terraform, file []byte, chunks int) []*corev1.Secret {
	zipped := gzipped(file)
	if chunks == 0 {
		s := incumbents(o, "tfplan-default-"+o.Name, true)
		s.Annotations[v1alpha2.PlanHashAnnotation], s.Data = sha256Of(file), map[string][]byte{"tfplan": zipped}
		return []*corev1.Secret{s}
	}
	var all []*corev1.Secret
	for i, size := 0, (len(zipped)+chunks-1)/chunks; i < chunks; i++ {
		part := zipped[i*size : min((i+1)*size, len(zipped))]
		s := incumbents(o, fmt.Sprintf("tfplan-default-%s-%d", o.Name, i), true)
		s.Annotations[v1alpha2.PlanHashAnnotation], s.Annotations[v1alpha2.PlanChunkAnnotation] = sha256Of(part), strconv.Itoa(i)
		s.Data = map[string][]byte{"tfplan": part}
		all = append(all, s)
	}
	return all
}

func TestLoadFormer_CountsOnlyWhatTheIncumbentHasStoredWhole(t *testing.T) {
	file := incompressible(4000, 3)
	const tampered, missing = planstore.Tampered, planstore.Missing
	cases := map[string]struct {
		reason string
		chunks int
		change func([]*corev1.Secret) []*corev1.Secret
		want   planstore.Reason
	}{
		"one Secret":       {"the usual form", 0, nil, ""},
		"chunks":           {"the form of large plans", 12, nil, ""},
		"without labels":   {"the form of old versions", 0, each(func(s *corev1.Secret) { s.Labels = nil }), ""},
		"another hash":     {"it is not what was stored", 0, each(func(s *corev1.Secret) { s.Annotations[v1alpha2.PlanHashAnnotation] = sha256Of(nil) }), tampered},
		"no hash":          {"nobody can tell", 0, each(func(s *corev1.Secret) { delete(s.Annotations, v1alpha2.PlanHashAnnotation) }), tampered},
		"another file":     {"it is not what was stored", 0, each(func(s *corev1.Secret) { s.Data["tfplan"] = gzipped([]byte("blub")) }), tampered},
		"no gzip":          {"it is not what was stored", 0, each(func(s *corev1.Secret) { s.Data["tfplan"] = []byte("blub") }), tampered},
		"an altered chunk": {"it is not what was stored", 3, func(all []*corev1.Secret) []*corev1.Secret { all[1].Data["tfplan"][7]++; return all }, tampered},
		"no first chunk":   {"the numbers have a gap", 3, func(all []*corev1.Secret) []*corev1.Secret { return all[1:] }, tampered},
		"no last chunk":    {"the file ends too early", 3, func(all []*corev1.Secret) []*corev1.Secret { return all[:2] }, tampered},
		"another plan":     {"another id was approved", 0, each(func(s *corev1.Secret) { s.Annotations["savedPlan"] = "plan-main-0000000000" }), missing},
		"nothing":          {"there is nothing to look into", 0, func([]*corev1.Secret) []*corev1.Secret { return nil }, missing},
		"another object's": {"its name is like that of ours", 0, each(func(s *corev1.Secret) {
			s.Labels = nil
			s.OwnerReferences[0].Name = "other"
			delete(s.Annotations, v1alpha2.PlanFullNameAnnotation)
		}), missing},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), "network")
			secrets := former(o, file, tc.chunks)
			if tc.change != nil {
				secrets = tc.change(secrets)
			}
			for _, s := range secrets {
				api.Create(t, s)
			}
			got, err := planstore.LoadFormer(t.Context(), api.Client, o, "default", "plan-main-b8e362c206")
			if tc.want == "" {
				g.Expect(err).NotTo(HaveOccurred(), tc.reason)
				g.Expect(got).To(Equal(file))
				return
			}
			unfit := &planstore.Error{}
			g.Expect(err).To(BeAssignableToTypeOf(unfit), tc.reason)
			g.Expect(err).To(HaveField("Reason", tc.want), tc.reason)
			g.Expect(got).To(BeEmpty())
		})
	}
}

func each(change func(*corev1.Secret)) func([]*corev1.Secret) []*corev1.Secret {
	return func(all []*corev1.Secret) []*corev1.Secret {
		for _, s := range all {
			change(s)
		}
		return all
	}
}

func TestLoadFormer_DoesNotTakeOurPlanForTheIncumbents(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	ours := planOf([]byte("ours"))
	g.Expect(planstore.Save(t.Context(), api.Client, o, "default", ours)).To(Succeed())
	api.Create(t, former(o, []byte("theirs"), 0)[0])
	got, err := planstore.LoadFormer(t.Context(), api.Client, o, "default", "plan-main-b8e362c206")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal("theirs"))
}
