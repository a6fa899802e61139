package planstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	keyPrefix = "tfkey-"
	keyKey    = "key"
	// keySize in bytes.
	keySize = 32
)

// ErrForeignKey says that the Secret for the key is another object's, or holds something else. Waiting does not change that.
var ErrForeignKey = errors.New("it exists and belongs to another object")

// Key is the object's key for the digests of changes: 32 random bytes in the Secret tfkey-NAME, made when first asked for. It
// belongs to the object and goes with it. Without one, who reads the digests in a status could try which sensitive values
// fit; a key that is lost costs a new approval of what waits, and nothing else.
func Key(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) ([]byte, error) {
	name := v1alpha2.SafeObjectName(keyPrefix, owner.Name, "")
	key, err := readKey(ctx, c, owner, name)
	if err == nil && key == nil {
		key, err = makeKey(ctx, c, owner, name)
	}
	if err != nil {
		return nil, explain(fmt.Sprintf("the key for the digests of changes, in Secret %q", owner.Namespace+"/"+name), owner.Namespace, err)
	}
	return key, nil
}

// readKey gives nil when there is none. One that is broken, or of a former object of the same name and goes with it, is removed.
func readKey(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, name string) ([]byte, error) {
	secret := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: name}, secret)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if len(secret.OwnerReferences) == 0 && len(secret.Data[keyKey]) == keySize {
		return adoptKey(ctx, c, owner, secret)
	}
	ours := slices.IndexFunc(secret.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.Kind == v1alpha2.TerraformKind && ref.Name == owner.Name
	})
	if ours < 0 {
		return nil, ErrForeignKey
	}
	if secret.OwnerReferences[ours].UID == owner.UID && len(secret.Data[keyKey]) == keySize {
		return secret.Data[keyKey], nil
	}
	return nil, client.IgnoreNotFound(c.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}))
}

// adoptKey takes a key that belongs to nobody: tools that restore a namespace leave owners out, whose UIDs are others then.
func adoptKey(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, secret *corev1.Secret) ([]byte, error) {
	secret.OwnerReferences = bundle.OwnedBy(owner)
	if err := c.Update(ctx, secret, client.FieldOwner(v1alpha2.FieldManager)); err != nil {
		return nil, fmt.Errorf("make it the object's own: %w", err)
	}
	return secret.Data[keyKey], nil
}

// makeKey takes the one of another process that was quicker.
func makeKey(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, name string) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	err := c.Create(ctx, bundle.Secret(owner, name, map[string][]byte{keyKey: key}), client.FieldOwner(v1alpha2.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		if key, err := readKey(ctx, c, owner, name); key != nil || err != nil {
			return key, err
		}
	}
	return key, err
}
