package inputs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"

	// maxKeysNamed limits the list of keys in an error.
	maxKeysNamed = 20
)

// object is a Secret or ConfigMap as it was read.
type object struct {
	kind, namespace, name string
	found                 bool
	data                  map[string][]byte
}

// String names the object in errors.
func (o *object) String() string { return fmt.Sprintf("%s %q", o.kind, o.namespace+"/"+o.name) }

// keys lists the keys for an error; keys are no secrets.
func (o *object) keys() string {
	if len(o.data) == 0 {
		return "it has no keys"
	}
	names := slices.Sorted(maps.Keys(o.data))
	rest := ""
	if len(names) > maxKeysNamed {
		rest = fmt.Sprintf(" and %d more", len(names)-maxKeysNamed)
		names = names[:maxKeysNamed]
	}
	return "its keys are " + strings.Join(names, ", ") + rest
}

// text is the value of a key as a string that a variable can hold.
func (o *object) text(field, key string, data []byte) (string, error) {
	switch {
	case !utf8.Valid(data):
		return "", fail(field, "the value of key %q of %s is no UTF-8 text; a variable holds text only: store it base64-encoded and decode it in the module", key, o)
	case bytes.IndexByte(data, 0) >= 0:
		return "", fail(field, "the value of key %q of %s has a NUL character, which no variable can hold; store it base64-encoded and decode it in the module", key, o)
	}
	return string(data), nil
}

// objects reads each object once, so that all variables of a run see the same version of it.
type objects struct {
	reader    client.Reader
	namespace string
	known     map[string]*object
	order     []v1alpha2.InputReference
}

// get reads an object; an absent one is no error.
func (s *objects) get(ctx context.Context, kind, name string) (*object, error) {
	id := kind + "/" + name
	if o, ok := s.known[id]; ok {
		return o, nil
	}
	o := &object{kind: kind, namespace: s.namespace, name: name}
	ref := v1alpha2.InputReference{Kind: kind, Name: name}
	holder, data := empty(kind)
	err := s.reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, holder)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, err
	default:
		o.found, o.data = true, data()
		ref.UID, ref.ResourceVersion = string(holder.GetUID()), holder.GetResourceVersion()
	}
	s.known[id] = o
	s.order = append(s.order, ref)
	return o, nil
}

// in gives access to another namespace.
func (s *objects) in(namespace string) *objects {
	if namespace == s.namespace {
		return s
	}
	return &objects{reader: s.reader, namespace: namespace, known: map[string]*object{}, order: s.order}
}

// empty is an object of the kind to read into, and what then gives its data.
func empty(kind string) (client.Object, func() map[string][]byte) {
	if kind == kindSecret {
		secret := &corev1.Secret{}
		return secret, func() map[string][]byte { return secret.Data }
	}
	cm := &corev1.ConfigMap{}
	return cm, func() map[string][]byte {
		data := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
		for key, text := range cm.Data {
			data[key] = []byte(text)
		}
		maps.Copy(data, cm.BinaryData)
		return data
	}
}

// absent is the error for an object that has to be there.
func (s *objects) absent(field, kind, name, excuse string) *Error {
	return fail(field, "%s %q does not exist; create it, or set %s", kind, s.namespace+"/"+name, excuse)
}

// explain is the error for an object that could not be read.
func (s *objects) explain(field, kind, name string, err error) *Error {
	e := fail(field, "%s %q can't be read: %v", kind, s.namespace+"/"+name, err)
	if apierrors.IsForbidden(err) {
		e.Message += fmt.Sprintf("; bind a Role of namespace %q with the verb get on %ss to this account",
			s.namespace, strings.ToLower(kind))
	}
	e.Err = err
	return e
}
