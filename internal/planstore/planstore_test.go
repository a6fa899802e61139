package planstore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

func object(namespace, name string) *v1alpha2.Terraform {
	return &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-1"}}
}

// incompressible are the same bytes each time.
func incompressible(size int, seed byte) []byte {
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{seed})
	_, _ = source.Read(data)
	return data
}

func planOf(file []byte) *planstore.Plan {
	return sealed(&planstore.Plan{
		ID: "plan-main-b8e362c206-0011aabb", File: file, LockFile: []byte("# lock\n"),
		Engine: v1alpha2.EngineIdentity{Name: "tofu", Version: "1.12.6"}, ArtifactDigest: "sha256:abc",
		Lineage: "0b1f", Serial: 7, Variables: "sha256:def",
	})
}

func sealed(p *planstore.Plan) *planstore.Plan {
	if err := p.Seal(); err != nil {
		panic(err)
	}
	return p
}

func short(p *planstore.Plan) string { return strings.TrimPrefix(p.Digest, "sha256:")[:8] }

// stored are the Secrets of a namespace by name.
func stored(t *testing.T, namespace string) map[string]corev1.Secret {
	t.Helper()
	list := &corev1.SecretList{}
	if err := api.Client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	byName := map[string]corev1.Secret{}
	for _, s := range list.Items {
		byName[s.Name] = s
	}
	return byName
}

func names(secrets map[string]corev1.Secret) []string {
	list := []string{}
	for name := range secrets {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestDigest_IsTheSHA256(t *testing.T) {
	NewWithT(t).Expect(planstore.Digest([]byte("abc"))).To(Equal("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
}

func TestSave_WritesASmallPlanAsTheIncumbentsToolsExpect(t *testing.T) {
	compat.Shows(t, "key.infra.contrib.fluxcd.io/plan-name, plan-workspace",
		"key.plan-full-name, plan-full-workspace, plan-chunk, plan-hash, savedPlan, encoding", "plan-secret.name",
		"plan-secret.content", "plan-secret.labels", "plan-secret.annotations", "plan-secret.owner",
	)
	g := NewWithT(t)
	o := object(api.Namespace(t), strings.Repeat("long-", 14)+"name")
	p := planOf([]byte("a small plan"))
	g.Expect(planstore.Save(t.Context(), api.Client, o, "stage", p)).To(Succeed())

	secrets := stored(t, o.Namespace)
	planName, filesName := "tfplan-stage-"+o.Name+"-"+short(p), "tfplan-files-stage-"+o.Name+"-"+short(p)
	g.Expect(names(secrets)).To(ConsistOf(planName, filesName))

	secret := secrets[planName]
	g.Expect(secret.Labels).To(Equal(map[string]string{
		"infra.contrib.fluxcd.io/plan-name": v1alpha2.SafeLabelValue(o.Name), "infra.contrib.fluxcd.io/plan-workspace": "stage",
	}))
	g.Expect(secret.Annotations).To(Equal(map[string]string{
		"encoding": "gzip", "savedPlan": p.ID,
		"infra.contrib.fluxcd.io/plan-full-name": o.Name, "infra.contrib.fluxcd.io/plan-full-workspace": "stage",
		"infra.contrib.fluxcd.io/plan-hash": strings.TrimPrefix(planstore.Digest(p.File), "sha256:"), "infra.contrib.fluxcd.io/plan-digest": p.Digest,
	}))
	owners := []metav1.OwnerReference{{APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: o.Name, UID: "uid-1"}}
	g.Expect(secret.OwnerReferences).To(Equal(owners))
	g.Expect(secret.Data).To(HaveLen(1))
	unzipped, err := gzip.NewReader(bytes.NewReader(secret.Data["tfplan"]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(io.ReadAll(unzipped)).To(Equal(p.File))

	files := secrets[filesName]
	g.Expect(files.Labels).To(Equal(map[string]string{"infra.contrib.fluxcd.io/plan-files-of": v1alpha2.SafeLabelValue(o.Name)}),
		"without plan-name: the incumbent's tools join whatever has it")
	g.Expect(files.OwnerReferences).To(Equal(owners))
	g.Expect(files.Data[".terraform.lock.hcl"]).To(Equal(p.LockFile))
}

func TestSave_ThenLoadGivesTheSamePlan(t *testing.T) {
	compat.Shows(t, "plan-secret.size", "limit.plan")
	for _, tc := range []struct {
		name    string
		secrets int
		change  func(p *planstore.Plan)
	}{
		{"small", 2, func(*planstore.Plan) {}},
		{"without lock file", 2, func(p *planstore.Plan) { p.LockFile = nil }},
		{"in chunks, with extra files in chunks", 3 + 2 + 1, func(p *planstore.Plan) {
			p.File, p.Extra = incompressible(2_500_000, 1), incompressible(1_000_000, 2)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), "network")
			p := planOf([]byte("a plan"))
			tc.change(p)
			sealed(p)
			g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed())
			first := stored(t, o.Namespace)
			g.Expect(first).To(HaveLen(tc.secrets))

			g.Expect(planstore.Load(t.Context(), api.Client, o, "default", p.Digest)).To(Equal(p))

			g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed(), "a retry is success")
			g.Expect(stored(t, o.Namespace)).To(Equal(first), "and changes nothing")
		})
	}
}

func TestSave_NumbersChunksInOrder(t *testing.T) {
	compat.Shows(t, "key.plan-full-name, plan-full-workspace, plan-chunk, plan-hash, savedPlan, encoding",
		"plan-secret.annotations", "plan-secret.size",
	)
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	p := planOf(incompressible(2_500_000, 1))
	g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed())
	secrets := stored(t, o.Namespace)
	for i := range 3 {
		secret := secrets["tfplan-default-network-"+short(p)+"-"+strconv.Itoa(i)]
		g.Expect(secret.Annotations).To(HaveKeyWithValue("infra.contrib.fluxcd.io/plan-chunk", strconv.Itoa(i)))
		g.Expect(len(secret.Data["tfplan"])).To(BeNumerically("<=", 900<<10))
	}
}

func TestSave_MendsWhatAnEarlierTryLeft(t *testing.T) {
	compat.Shows(t, "plan-secret.write", "weak.24")
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	p := planOf([]byte("a plan"))
	g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed())
	secret := stored(t, o.Namespace)["tfplan-default-network-"+short(p)]
	secret.Data = map[string][]byte{"tfplan": []byte("x")}
	g.Expect(api.Client.Update(t.Context(), &secret)).To(Succeed())

	g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed())
	g.Expect(planstore.Load(t.Context(), api.Client, o, "default", p.Digest)).To(Equal(p))
}

func TestSave_RefusesAPlanThatIsNotItsDigest(t *testing.T) {
	p := planOf([]byte("a plan"))
	p.File = []byte("another")
	NewWithT(t).Expect(planstore.Save(t.Context(), api.Client, object("x", "network"), "default", p)).To(MatchError(ContainSubstring("its digest is sha256:")))
}

func TestSave_LeavesASecretOfAnotherObjectAlone(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	p := planOf([]byte("a plan"))
	// Workspace a-b of c and workspace a of b-c have the same names.
	g.Expect(planstore.Save(t.Context(), api.Client, object(namespace, "c"), "a-b", p)).To(Succeed())
	before := stored(t, namespace)
	g.Expect(planstore.Save(t.Context(), api.Client, object(namespace, "b-c"), "a", p)).To(MatchError(ContainSubstring("belongs to another object")))
	g.Expect(planstore.Prune(t.Context(), api.Client, object(namespace, "b-c"), "a", "")).To(Succeed())
	g.Expect(stored(t, namespace)).To(Equal(before))
}

func TestSave_FindsANameForEveryObject(t *testing.T) {
	compat.Shows(t, "plan-secret.name", "limit.names")
	for name, tc := range map[string]struct{ workspace, object string }{
		"the longest object":        {"default", strings.Repeat("a", 253)},
		"a long one, cut at a dot":  {"d", strings.Repeat("a", 212) + "." + strings.Repeat("b", 40)},
		"a workspace with capitals": {"My_Stage", "network"},
		"a workspace that is odd":   {"-.-", "network"},
		"a workspace in Greek":      {strings.Repeat("Ω", 200), "network"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), tc.object)
			p := planOf(incompressible(2_000_000, 3))
			g.Expect(planstore.Save(t.Context(), api.Client, o, tc.workspace, p)).To(Succeed())
			for name := range stored(t, o.Namespace) {
				g.Expect(validation.IsDNS1123Subdomain(name)).To(BeEmpty(), name)
			}
			g.Expect(planstore.Load(t.Context(), api.Client, o, tc.workspace, p.Digest)).To(Equal(p))
		})
	}
}

func TestLoad_GivesOnlyWhatWasStored(t *testing.T) {
	compat.Shows(t, "plan-secret.read", "weak.24")
	big := planOf(incompressible(2_500_000, 1))
	big.Extra = []byte("extra")
	sealed(big)
	part := func(i string) string { return "tfplan-default-network-" + short(big) + i }
	files := "tfplan-files-default-network-" + short(big)
	for _, tc := range []struct {
		name   string
		spoil  func(ctx context.Context, g Gomega, secrets map[string]corev1.Secret)
		digest string
		reason planstore.Reason
	}{
		{name: "never stored", digest: planstore.Digest([]byte("other")), reason: planstore.Missing},
		{name: "no digest", digest: "plan-main", reason: planstore.Missing},
		{name: "manifest gone", spoil: remove(files), reason: planstore.Missing},
		{name: "first chunk gone", spoil: remove(part("-0")), reason: planstore.Missing},
		{name: "last chunk gone", spoil: remove(part("-2")), reason: planstore.Missing},
		{name: "extra files gone", spoil: remove(files + "-0"), reason: planstore.Missing},
		{name: "a chunk edited", spoil: edit(part("-1"), func(s *corev1.Secret) { s.Data["tfplan"][17] ^= 1 }), reason: planstore.Tampered},
		{name: "a chunk edited with its hash", reason: planstore.Tampered, spoil: edit(part("-1"), func(s *corev1.Secret) {
			s.Data["tfplan"] = []byte("x")
			s.Annotations[v1alpha2.PlanHashAnnotation] = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
		})},
		{name: "chunks swapped", spoil: swap(part("-0"), part("-1"), false), reason: planstore.Tampered},
		{name: "chunks swapped with their hashes", spoil: swap(part("-0"), part("-1"), true), reason: planstore.Tampered},
		{name: "a chunk renumbered", spoil: edit(part("-1"), func(s *corev1.Secret) { s.Annotations[v1alpha2.PlanChunkAnnotation] = "2" }), reason: planstore.Tampered},
		{name: "a chunk of another plan", spoil: edit(part("-1"), func(s *corev1.Secret) { s.Annotations[planstore.DigestAnnotation] = "sha256:0" }), reason: planstore.Tampered},
		{name: "manifest edited", spoil: edit(files, func(s *corev1.Secret) { s.Data["manifest.json"] = []byte("{") }), reason: planstore.Tampered},
		{name: "manifest with fewer chunks", reason: planstore.Tampered, spoil: edit(files, func(s *corev1.Secret) {
			s.Data["manifest.json"] = bytes.Replace(s.Data["manifest.json"], []byte(`"chunks":3`), []byte(`"chunks":2`), 1)
		})},
		{name: "manifest with too many chunks", reason: planstore.Tampered, spoil: edit(files, func(s *corev1.Secret) {
			s.Data["manifest.json"] = bytes.Replace(s.Data["manifest.json"], []byte(`"chunks":3`), []byte(`"chunks":99999`), 1)
		})},
		{name: "lock file edited", spoil: edit(files, func(s *corev1.Secret) { s.Data[".terraform.lock.hcl"] = []byte("x") }), reason: planstore.Tampered},
		{name: "lock file gone", spoil: edit(files, func(s *corev1.Secret) { delete(s.Data, ".terraform.lock.hcl") }), reason: planstore.Tampered},
		{name: "extra files edited", spoil: edit(files+"-0", func(s *corev1.Secret) { s.Data["extra.tar.gz"] = []byte("y") }), reason: planstore.Tampered},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			o := object(api.Namespace(t), "network")
			g.Expect(planstore.Save(t.Context(), api.Client, o, "default", big)).To(Succeed())
			if tc.spoil != nil {
				tc.spoil(t.Context(), g, stored(t, o.Namespace))
			}
			digest := big.Digest
			if tc.digest != "" {
				digest = tc.digest
			}
			_, err := planstore.Load(t.Context(), api.Client, o, "default", digest)
			var e *planstore.Error
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Reason).To(Equal(tc.reason), e.Message)
		})
	}
}

func remove(name string) func(context.Context, Gomega, map[string]corev1.Secret) {
	return func(ctx context.Context, g Gomega, secrets map[string]corev1.Secret) {
		secret := secrets[name]
		g.Expect(secret.Name).To(Equal(name))
		g.Expect(api.Client.Delete(ctx, &secret)).To(Succeed())
	}
}

func edit(name string, change func(*corev1.Secret)) func(context.Context, Gomega, map[string]corev1.Secret) {
	return func(ctx context.Context, g Gomega, secrets map[string]corev1.Secret) {
		secret := secrets[name]
		g.Expect(secret.Name).To(Equal(name))
		change(&secret)
		g.Expect(api.Client.Update(ctx, &secret)).To(Succeed())
	}
}

func swap(one, two string, withHash bool) func(context.Context, Gomega, map[string]corev1.Secret) {
	return func(ctx context.Context, g Gomega, secrets map[string]corev1.Secret) {
		a, b := secrets[one], secrets[two]
		a.Data, b.Data = b.Data, a.Data
		if withHash {
			hash := v1alpha2.PlanHashAnnotation
			a.Annotations[hash], b.Annotations[hash] = b.Annotations[hash], a.Annotations[hash]
		}
		g.Expect(api.Client.Update(ctx, &a)).To(Succeed())
		g.Expect(api.Client.Update(ctx, &b)).To(Succeed())
	}
}

func TestLoad_RefusesABomb(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	p := planOf([]byte("a plan"))
	g.Expect(planstore.Save(t.Context(), api.Client, o, "default", p)).To(Succeed())
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range 257 {
		_, err := w.Write(make([]byte, 1<<20))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Close()).To(Succeed())
	edit("tfplan-default-network-"+short(p), func(s *corev1.Secret) { s.Data["tfplan"] = bomb.Bytes() })(t.Context(), g, stored(t, o.Namespace))
	_, err := planstore.Load(t.Context(), api.Client, o, "default", p.Digest)
	g.Expect(err).To(MatchError("the stored plan was altered: it is larger than 256 MiB"))
}

func TestPrune_KeepsOnePlanAndRemovesAllOthersOfTheObject(t *testing.T) {
	compat.Shows(t, "plan-secret.write", "cleanup.legacy-plans")
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	save := func(o *v1alpha2.Terraform, workspace, content string) *planstore.Plan {
		p := planOf([]byte(content))
		p.Extra = []byte("extra")
		sealed(p)
		g.Expect(planstore.Save(t.Context(), api.Client, o, workspace, p)).To(Succeed())
		return p
	}
	keep := save(o, "default", "keep")
	save(o, "default", "old")
	save(o, "stage", "other workspace")
	save(o, "stage", "keep")
	other := save(object(o.Namespace, "network2"), "default", "of another object")
	api.Create(t, incumbents(o, "tfplan-default-network-0", true), incumbents(o, "tfplan-default-network-1", true), incumbents(o, "tfplan-default-network", false))
	strange := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: "strange", Labels: map[string]string{v1alpha2.PlanNameLabel: o.Name}}}
	api.Create(t, strange)

	g.Expect(planstore.Prune(t.Context(), api.Client, o, "default", keep.Digest)).To(Succeed())
	kept := []string{
		"tfplan-default-network-" + short(keep), "tfplan-files-default-network-" + short(keep), "tfplan-files-default-network-" + short(keep) + "-0",
	}
	others := []string{
		"strange", "tfplan-default-network2-" + short(other), "tfplan-files-default-network2-" + short(other), "tfplan-files-default-network2-" + short(other) + "-0",
	}
	g.Expect(names(stored(t, o.Namespace))).To(ConsistOf(append(kept, others...)))
	g.Expect(planstore.Load(t.Context(), api.Client, o, "default", keep.Digest)).To(Equal(keep))

	g.Expect(planstore.Prune(t.Context(), api.Client, o, "default", "")).To(Succeed())
	g.Expect(names(stored(t, o.Namespace))).To(ConsistOf(others))
	g.Expect(planstore.Prune(t.Context(), api.Client, o, "default", "")).To(Succeed(), "nothing left is fine")
}

// incumbents is a plan Secret as the incumbent wrote it, of its early versions without labels.
func incumbents(o *v1alpha2.Terraform, name string, labelled bool) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Namespace, Name: name,
			Annotations:     map[string]string{"encoding": "gzip", "savedPlan": "plan-main-b8e362c206"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: o.Name, UID: o.UID}},
		},
	}
	if labelled {
		s.Labels = map[string]string{v1alpha2.PlanNameLabel: o.Name, v1alpha2.PlanWorkspaceLabel: "default"}
		s.Annotations[v1alpha2.PlanFullNameAnnotation] = o.Name
	}
	return s
}

func TestStore_NamesTheRightThatIsMissing(t *testing.T) {
	g := NewWithT(t)
	o := object(api.Namespace(t), "network")
	p := planOf([]byte("a plan"))
	account := api.Account(t, o.Namespace, "tf-runner", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})
	for _, err := range []error{
		planstore.Save(t.Context(), account, o, "default", p),
		planstore.Prune(t.Context(), account, o, "default", ""),
		second(planstore.Load(t.Context(), account, o, "default", p.Digest)),
	} {
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		g.Expect(err).To(MatchError(And(ContainSubstring("system:serviceaccount:"+o.Namespace+":tf-runner"), ContainSubstring("bind a Role"))))
	}
}

func second(_ *planstore.Plan, err error) error { return err }
