package bundle_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

func TestPack_IsUndoneByUnpack(t *testing.T) {
	g := NewWithT(t)
	for _, content := range []string{"", "x", strings.Repeat("state", 1000)} {
		packed, err := bundle.Pack([]byte(content))
		g.Expect(err).NotTo(HaveOccurred())
		again, err := bundle.Pack([]byte(content))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again).To(Equal(packed), "storing the same again changes nothing")
		got, err := bundle.Unpack(packed, len(content))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(got)).To(Equal(content))
	}
}

func TestUnpack_RefusesWhatWasNotPacked(t *testing.T) {
	packed, err := bundle.Pack(bytes.Repeat([]byte("0"), 1<<20))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for name, tc := range map[string]struct {
		packed []byte
		says   string
	}{
		"nothing":             {nil, "EOF"},
		"a text":              {[]byte("hello, this is text"), "invalid header"},
		"cut":                 {cut(mustPack(t, "content")), "unexpected EOF"},
		"a bomb":              {packed, "larger than 100 KiB"},
		"bytes behind it":     {append(mustPack(t, "x"), 'y'), "more behind it"},
		"another one":         {append(mustPack(t, "x"), mustPack(t, "y")...), "more behind it"},
		"a wrong check sum":   {flipped(mustPack(t, "content")), "checksum"},
		"one bit of too much": {mustPack(t, strings.Repeat("1", 100<<10+1)), "larger than 100 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Unpack(tc.packed, 100<<10)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(tc.says)))
		})
	}
}

func mustPack(t *testing.T, content string) []byte {
	t.Helper()
	packed, err := bundle.Pack([]byte(content))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return packed
}

func cut(packed []byte) []byte { return packed[:len(packed)/2] }

func flipped(packed []byte) []byte {
	packed[len(packed)-8] ^= 1
	return packed
}

func TestFits_SaysHowMuchDoes(t *testing.T) {
	g := NewWithT(t)
	g.Expect(bundle.Fits(bundle.MaxSecret, bundle.MaxSecret)).To(Succeed())
	err := bundle.Fits(bundle.MaxSecret+1, bundle.MaxSecret)
	_, is := errors.AsType[*bundle.TooLargeError](err)
	g.Expect(is).To(BeTrue())
	g.Expect(err).To(MatchError("it has 1024001 bytes, and 1024000 fit"))
}

func TestChunks_TogetherAreTheWhole(t *testing.T) {
	g := NewWithT(t)
	for size, count := range map[int]int{0: 0, 1: 1, bundle.ChunkSize: 1, bundle.ChunkSize + 1: 2, 2*bundle.ChunkSize + 1: 3} {
		data := bytes.Repeat([]byte("a"), size)
		chunks := bundle.Chunks(data)
		g.Expect(chunks).To(HaveLen(count))
		g.Expect(bytes.Join(chunks, nil)).To(Equal(append([]byte{}, data...)))
	}
}

func TestSecret_GoesWithItsObject(t *testing.T) {
	g := NewWithT(t)
	owner := &v1alpha2.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "net", UID: "1"}}
	secret := bundle.Secret(owner, "x-net", map[string][]byte{"a": []byte("b")})
	secret.Labels["a"], secret.Annotations["b"] = "1", "2"
	g.Expect(secret.OwnerReferences).To(ConsistOf(metav1.OwnerReference{
		APIVersion: "infra.contrib.fluxcd.io/v1alpha2", Kind: "Terraform", Name: "net", UID: "1",
	}))
}
