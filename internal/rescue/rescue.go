// Package rescue keeps, in one Secret of the object's namespace, a state that the engine could not write to its backend: with
// the runner pod the only record of what an apply has made would be lost.
//
// The Secret of object NAME is
//
//	tfrescue-NAME   key state.gz; annotations ...rescued-lineage, ...rescued-serial, ...rescued-backend
//
// It belongs to the object and goes with it.
package rescue

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// MaxSize limits a state, packed, in bytes: the API server takes 1 MiB with everything.
	MaxSize = 1000 << 10
	// maxState limits it unpacked.
	maxState = 64 << 20

	stateKey = "state.gz"

	prefix            = "tfrescue-"
	lineageAnnotation = "infra.contrib.fluxcd.io/rescued-lineage"
	serialAnnotation  = "infra.contrib.fluxcd.io/rescued-serial"
	backendAnnotation = "infra.contrib.fluxcd.io/rescued-backend"
)

// State that could not be written.
type State struct {
	// Backend that it belongs to, as in the spec of its run.
	Backend string
	// Lineage and Serial of it.
	Lineage string
	Serial  int64
	// Content is the state as the engine has it.
	Content []byte
}

// TooLargeError is a state that no Secret can hold.
type TooLargeError struct {
	// Size of it, packed, in bytes.
	Size int
}

// Error says how large it is.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("packed it has %d bytes, and a Secret holds %d", e.Size, MaxSize)
}

// SecretName of the Secret that holds the rescued state of an object.
func SecretName(owner *v1alpha2.Terraform) string {
	return v1alpha2.SafeObjectName(prefix, owner.Name, "")
}

// Save stores a state, in place of an older one. The error for one that does not fit is a *TooLargeError.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, s *State) error {
	packed, err := pack(s.Content)
	if err != nil {
		return err
	}
	if len(packed) > MaxSize {
		return &TooLargeError{Size: len(packed)}
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.Namespace, Name: SecretName(owner),
			Annotations: map[string]string{
				lineageAnnotation: s.Lineage, serialAnnotation: strconv.FormatInt(s.Serial, 10), backendAnnotation: s.Backend,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha2.GroupVersion.String(), Kind: v1alpha2.TerraformKind, Name: owner.Name, UID: owner.UID,
			}},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{stateKey: packed},
	}
	err = c.Create(ctx, secret, client.FieldOwner(v1alpha2.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		err = c.Update(ctx, secret, client.FieldOwner(v1alpha2.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("store the state in Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// Load reads the rescued state of an object; nil when there is none.
func Load(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform) (*State, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: owner.Namespace, Name: SecretName(owner)}
	if err := c.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read the rescued state in Secret %s: %w", key, err)
	}
	serial, err := strconv.ParseInt(secret.Annotations[serialAnnotation], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the rescued state in Secret %s: annotation %s: %w", key, serialAnnotation, err)
	}
	content, err := unpack(secret.Data[stateKey])
	if err != nil {
		return nil, fmt.Errorf("unpack the rescued state in Secret %s: %w", key, err)
	}
	return &State{
		Backend: secret.Annotations[backendAnnotation], Lineage: secret.Annotations[lineageAnnotation], Serial: serial, Content: content,
	}, nil
}

// Remove deletes the rescued state of an object; that there is none is success.
func Remove(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: SecretName(owner)}}
	if err := client.IgnoreNotFound(c.Delete(ctx, secret)); err != nil {
		return fmt.Errorf("delete the rescued state in Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

func pack(content []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("pack the state: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the state: %w", err)
	}
	return packed.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, maxState+1))
	if len(content) > maxState {
		return nil, fmt.Errorf("it is larger than %d MiB", maxState>>20)
	}
	return content, err
}
