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
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	// maxState limits a state, unpacked, in bytes.
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

// SecretName of the Secret that holds the rescued state of an object.
func SecretName(owner *v1alpha2.Terraform) string {
	return v1alpha2.SafeObjectName(prefix, owner.Name, "")
}

// Save stores a state, in place of an older one. The error for one that does not fit is a *bundle.TooLargeError.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, s *State) error {
	packed, err := bundle.Pack(s.Content)
	if err != nil {
		return err
	}
	if err := bundle.Fits(len(packed), bundle.MaxSecret); err != nil {
		return err
	}
	secret := bundle.Secret(owner, SecretName(owner), map[string][]byte{stateKey: packed})
	secret.Annotations = map[string]string{
		lineageAnnotation: s.Lineage, serialAnnotation: strconv.FormatInt(s.Serial, 10), backendAnnotation: s.Backend,
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
	content, err := bundle.Unpack(secret.Data[stateKey], maxState)
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
