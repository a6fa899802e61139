package inputs_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

func TestReader_CloudToken(t *testing.T) {
	namespace := api.Namespace(t)
	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cloud"}, Data: map[string][]byte{
		"token": []byte("hidden.atlasv1\r\n"), "other": []byte("hidden2"), "empty": []byte(" \n"), "words": []byte("hidden hidden"), "bytes": {0xff},
	}})
	for _, tc := range []struct {
		reason      string
		ref         *meta.SecretKeyReference
		token, fail string
	}{
		{reason: "no reference, no token"},
		{reason: "the line's end of an editor is no part of it", ref: &meta.SecretKeyReference{Name: "cloud"}, token: "hidden.atlasv1"},
		{reason: "another key", ref: &meta.SecretKeyReference{Name: "cloud", Key: "other"}, token: "hidden2"},
		{reason: "no such Secret", ref: &meta.SecretKeyReference{Name: "none"}, fail: `name: Secret "NS/none" does not exist; create it`},
		{reason: "no such key", ref: &meta.SecretKeyReference{Name: "cloud", Key: "tokn"},
			fail: `key: Secret "NS/cloud" has no key "tokn"; its keys are bytes, empty, other, token, words`},
		{reason: "empty", ref: &meta.SecretKeyReference{Name: "cloud", Key: "empty"}, fail: `key: the value of key "empty" of Secret "NS/cloud" is no token: it is empty, or has more than one word`},
		{reason: "two words", ref: &meta.SecretKeyReference{Name: "cloud", Key: "words"}, fail: `key: the value of key "words" of Secret "NS/cloud" is no token: it is empty, or has more than one word`},
		{reason: "no text", ref: &meta.SecretKeyReference{Name: "cloud", Key: "bytes"}, fail: `key: the value of key "bytes" of Secret "NS/cloud" is no token: it is not UTF-8 text`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			g := NewWithT(t)
			token, err := inputs.NewReader(api.Client, namespace).CloudToken(t.Context(), tc.ref)
			if tc.fail != "" {
				g.Expect(failure(g, err)).To(Equal("spec.cloud.tokenSecretRef." + strings.ReplaceAll(tc.fail, "NS", namespace)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(token).To(Equal(tc.token))
		})
	}
	NewWithT(t).Expect((&inputs.Provided{CloudToken: "hidden"}).Secrets()).To(Equal([]string{"hidden"}))
}
