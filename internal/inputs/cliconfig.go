package inputs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/parser"
	corev1 "k8s.io/api/core/v1"
)

const (
	cliConfigField  = "spec.cliConfigSecretRef"
	cliConfigSuffix = ".tfrc"
)

// CLIConfig is the content of the one key that ends in .tfrc; nil without reference.
func (r *Reader) CLIConfig(ctx context.Context, ref *corev1.SecretReference) ([]byte, error) {
	if ref == nil {
		return nil, nil
	}
	namespace := r.objects.namespace
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	o, err := r.secret(ctx, cliConfigField, namespace, ref.Name)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(o.data)) {
		if strings.HasSuffix(key, cliConfigSuffix) {
			keys = append(keys, key)
		}
	}
	switch len(keys) {
	case 0:
		return nil, fail(cliConfigField, "%s has no key that ends in %s; %s", o, cliConfigSuffix, o.keys())
	case 1:
		return append([]byte{}, o.data[keys[0]]...), readable(o, keys[0])
	default:
		return nil, fail(cliConfigField, "%s has %d keys that end in %s (%s); leave one", o, len(keys), cliConfigSuffix, strings.Join(keys, ", "))
	}
}

// readable says where the engine could not read a CLI configuration. The engine only warns of that, and goes on without. What
// is there is not said: it may be a token without quotes.
func readable(o *object, key string) error {
	_, err := hcl.ParseBytes(o.data[key])
	if err == nil {
		return nil
	}
	where := ""
	if at, ok := errors.AsType[*parser.PosError](err); ok {
		where = fmt.Sprintf(": see line %d, column %d", at.Pos.Line, at.Pos.Column)
	}
	return fail(cliConfigField, "key %q of %s is no CLI configuration%s", key, o, where)
}

// tokens are those of the credentials blocks of a CLI configuration.
func tokens(config []byte) []string {
	var read struct {
		Credentials map[string]map[string]any `hcl:"credentials"`
	}
	if hcl.Unmarshal(config, &read) != nil {
		return nil
	}
	var found []string
	for _, host := range slices.Sorted(maps.Keys(read.Credentials)) {
		if token, ok := read.Credentials[host]["token"].(string); ok {
			found = append(found, token)
		}
	}
	return found
}
