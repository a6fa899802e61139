package inputs

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/fluxcd/pkg/apis/meta"
)

const (
	cloudTokenField = "spec.cloud.tokenSecretRef"
	cloudTokenKey   = "token"
)

// CloudToken is the token that spec.cloud.tokenSecretRef names, without the line's end that editors leave; "" without
// reference.
func (r *Reader) CloudToken(ctx context.Context, ref *meta.SecretKeyReference) (string, error) {
	if ref == nil {
		return "", nil
	}
	o, err := r.secret(ctx, cloudTokenField, r.objects.namespace, ref.Name)
	if err != nil {
		return "", err
	}
	key := ref.Key
	if key == "" {
		key = cloudTokenKey
	}
	content, ok := o.data[key]
	if !ok {
		return "", fail(cloudTokenField+".key", "%s has no key %q; %s", o, key, o.keys())
	}
	if !utf8.Valid(content) {
		return "", fail(cloudTokenField+".key", "the value of key %q of %s is no token: it is not UTF-8 text", key, o)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsAny(token, " \t\r\n\x00") {
		return "", fail(cloudTokenField+".key", "the value of key %q of %s is no token: it is empty, or has more than one word", key, o)
	}
	return token, nil
}
