// Package rescue keeps, in Secrets of the object's namespace, a state that the engine could not write to its backend: with
// the runner pod the only record of what an apply has made would be lost.
//
// The Secret of object NAME is
//
//	tfrescue-NAME   key state.gz; annotations ...rescued-lineage, ...rescued-serial, ...rescued-backend, ...rescued-parts
//
// The state of another backend, or workspace, that comes while that one still waits, is in tfrescue-NAME-HASH, with the first
// digits of the SHA-256 of rescued-backend.
//
// Where one Secret is too small, the rest of state.gz is in those that rescued-parts names, in that order. They are written before: what
// tfrescue-NAME says is complete. All belong to the object and go with it.
package rescue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

	stateKey   = "state.gz"
	hashDigits = 8

	prefix            = "tfrescue-"
	lineageAnnotation = "infra.contrib.fluxcd.io/rescued-lineage"
	serialAnnotation  = "infra.contrib.fluxcd.io/rescued-serial"
	backendAnnotation = "infra.contrib.fluxcd.io/rescued-backend"
	partsAnnotation   = "infra.contrib.fluxcd.io/rescued-parts"

	// label of the first Secret of each rescued state; its value is the object's name, made safe.
	label = "infra.contrib.fluxcd.io/rescued-state-of"
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
	// Secret is the name of the one that holds it, or its beginning; of a state that is not kept yet, "".
	Secret string
}

// names of the Secrets that may hold the state of a backend, in the order in which they are looked at.
func names(owner *v1alpha2.Terraform, backend string) []string {
	return []string{v1alpha2.SafeObjectName(prefix, owner.Name, "-"+digits(backend)), v1alpha2.SafeObjectName(prefix, owner.Name, "")}
}

func digits(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])[:hashDigits]
}

// Save stores a state, in place of an older one of its backend, and sets its Secret. The error for one that is not kept is a
// *bundle.TooLargeError.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, s *State) error {
	if err := bundle.Fits(len(s.Content), maxState); err != nil {
		return err
	}
	packed, err := bundle.Pack(s.Content)
	if err != nil {
		return err
	}
	older, err := read(ctx, c, owner, s.Backend)
	if err != nil {
		return err
	}
	own := names(owner, s.Backend)
	s.Secret = own[1]
	if older != nil && (older.Name == own[0] || older.Annotations[backendAnnotation] != s.Backend) {
		s.Secret = own[0]
	}
	if older != nil && older.Name != s.Secret {
		older = nil // of another backend: it stays
	}
	parts := bundle.Chunks(packed)
	first, rest := parts[0], parts[1:]
	restNames := partNames(owner, s.Backend, packed, len(rest))
	for i, part := range rest {
		if err := put(ctx, c, secretOf(owner, restNames[i], part)); err != nil {
			return err
		}
	}
	secret := secretOf(owner, s.Secret, first)
	secret.Labels[label] = v1alpha2.SafeLabelValue(owner.Name)
	secret.Annotations = map[string]string{
		lineageAnnotation: s.Lineage, serialAnnotation: strconv.FormatInt(s.Serial, 10), backendAnnotation: s.Backend,
	}
	if len(restNames) > 0 {
		secret.Annotations[partsAnnotation] = strings.Join(restNames, " ")
	}
	if err := put(ctx, c, secret); err != nil {
		return err
	}
	return removeParts(ctx, c, owner.Namespace, slices.DeleteFunc(partsOf(older), func(name string) bool { return slices.Contains(restNames, name) }))
}

// partNames are those of the Secrets for the rest. They change with the content, so that those of an older state stay whole.
func partNames(owner *v1alpha2.Terraform, backend string, packed []byte, count int) []string {
	names := make([]string, 0, count)
	for i := range count {
		suffix := fmt.Sprintf("-%s-%d", digits(backend+string(packed)), i+1)
		names = append(names, v1alpha2.SafeObjectName(prefix, owner.Name, suffix))
	}
	return names
}

func secretOf(owner *v1alpha2.Terraform, name string, part []byte) *corev1.Secret {
	return bundle.Secret(owner, name, map[string][]byte{stateKey: part})
}

func put(ctx context.Context, c client.Client, secret *corev1.Secret) error {
	err := c.Create(ctx, secret, client.FieldOwner(v1alpha2.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		err = c.Update(ctx, secret, client.FieldOwner(v1alpha2.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("store the state in Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// read is the first Secret of that backend, else the one in which another began; nil when there is neither.
func read(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, backend string) (*corev1.Secret, error) {
	for _, name := range names(owner, backend) {
		secret, err := get(ctx, c, owner.Namespace, name)
		if err != nil || secret != nil {
			return secret, err
		}
	}
	return nil, nil
}

// get reads a Secret; nil when there is none.
func get(ctx context.Context, c client.Reader, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: namespace, Name: name}
	if err := c.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read the rescued state in Secret %s: %w", key, err)
	}
	return secret, nil
}

// ofAny is the first Secret of some rescued state of the object; nil when there is none, or this account may not list.
func ofAny(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform) (*corev1.Secret, error) {
	items, err := bundle.List(ctx, c, owner, label)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("list rescued states: %w", err)
	}
	for i := range items {
		if slices.ContainsFunc(items[i].OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return get(ctx, c, owner.Namespace, items[i].Name)
		}
	}
	return nil, nil
}

func partsOf(secret *corev1.Secret) []string {
	if secret == nil {
		return nil
	}
	return strings.Fields(secret.Annotations[partsAnnotation])
}

// Load reads a rescued state of an object: the one of that backend, else one of another; nil when there is none.
func Load(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, backend string) (*State, error) {
	secret, err := read(ctx, c, owner, backend)
	if err == nil && secret == nil {
		secret, err = ofAny(ctx, c, owner)
	}
	if err != nil || secret == nil {
		return nil, err
	}
	key := client.ObjectKeyFromObject(secret)
	serial, err := strconv.ParseInt(secret.Annotations[serialAnnotation], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the rescued state in Secret %s: annotation %s: %w", key, serialAnnotation, err)
	}
	packed := secret.Data[stateKey]
	for _, name := range partsOf(secret) {
		part := &corev1.Secret{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: name}, part); err != nil {
			return nil, fmt.Errorf("read the rest of the rescued state in Secret %s: %w", key, err)
		}
		packed = append(packed, part.Data[stateKey]...)
	}
	content, err := bundle.Unpack(packed, maxState)
	if err != nil {
		return nil, fmt.Errorf("unpack the rescued state in Secret %s: %w", key, err)
	}
	return &State{
		Backend: secret.Annotations[backendAnnotation], Lineage: secret.Annotations[lineageAnnotation], Serial: serial, Content: content,
		Secret: secret.Name,
	}, nil
}

// Remove deletes a rescued state; that it is gone is success.
func Remove(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, kept *State) error {
	secret, err := get(ctx, c, owner.Namespace, kept.Secret)
	if err != nil || secret == nil {
		return err
	}
	if err := client.IgnoreNotFound(c.Delete(ctx, secret)); err != nil {
		return fmt.Errorf("delete the rescued state in Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return removeParts(ctx, c, owner.Namespace, partsOf(secret))
}

func removeParts(ctx context.Context, c client.Client, namespace string, names []string) error {
	var errs []error
	for _, name := range names {
		part := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		if err := client.IgnoreNotFound(c.Delete(ctx, part)); err != nil {
			errs = append(errs, fmt.Errorf("delete a part of a rescued state, Secret %s/%s: %w", namespace, name, err))
		}
	}
	return errors.Join(errs...)
}
