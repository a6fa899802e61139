// Package keepsake keeps, in one Secret of the object's namespace, what a destroy needs when source and inputs are gone.
//
// A keepsake with digest sha256:<64 hex> of object NAME is
//
//	tfkeep-NAME-<8 hex>   keys keepsake.json (revision, spec), files.tar.gz, variables.json and, if there is any, provided.json
//
// The Secret belongs to the object and goes with it. The digest in the object's status is the commit: other Secrets don't
// count, and Prune removes them.
package keepsake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	// OfLabel marks keepsakes; its value is the object's name (SafeLabelValue).
	OfLabel = "infra.contrib.fluxcd.io/keepsake-of"
	// DigestAnnotation holds the digest of a keepsake.
	DigestAnnotation = "infra.contrib.fluxcd.io/keepsake-digest"

	// MaxFiles limits the packed files, in bytes.
	MaxFiles = 768 << 10

	aboutKey     = "keepsake.json"
	filesKey     = "files.tar.gz"
	variablesKey = "variables.json"
	providedKey  = "provided.json"

	prefix       = "tfkeep-"
	digestPrefix = "sha256:"
	digestDigits = 8
)

// Kept is what a destroy needs.
type Kept struct {
	// Revision that the files are of.
	Revision string
	// Spec that they were applied with.
	Spec v1alpha2.TerraformSpec
	// Files is a tar.gz of the artifact's files, as far as they may matter, with the dependency lock file.
	Files []byte
	// Variables is a JSON object with the values of the root module's variables.
	Variables []byte
	// Provided is what the run was given besides variables; nil for nothing.
	Provided []byte
	// Secrets are the values in Variables that came from Secrets, to be redacted.
	Secrets []string
}

// about is what a keepsake says of itself.
type about struct {
	Revision string                 `json:"revision"`
	Spec     v1alpha2.TerraformSpec `json:"spec"`
	Secrets  []string               `json:"secrets,omitempty"`
}

// Error is a keepsake that can't be worked from. Other errors of Load are the API server's.
type Error struct {
	// Message is the whole text.
	Message string
}

// Error is Message.
func (e *Error) Error() string { return e.Message }

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Save stores a keepsake under its digest, and gives digest and size (bytes). Storing the same again is success. What is
// stored under other digests stays, until Prune. The error for one that does not fit is a
// *bundle.TooLargeError.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, k *Kept) (digest string, size int64, err error) {
	said, err := json.Marshal(about{Revision: k.Revision, Spec: k.Spec, Secrets: k.Secrets})
	if err != nil {
		return "", 0, fmt.Errorf("encode the keepsake: %w", err)
	}
	data := map[string][]byte{aboutKey: said, filesKey: k.Files, variablesKey: k.Variables}
	if len(k.Provided) > 0 {
		data[providedKey] = k.Provided
	}
	total := len(said) + len(k.Files) + len(k.Variables) + len(k.Provided)
	if err := bundle.Fits(total, bundle.MaxSecret); err != nil {
		return "", 0, err
	}
	digest = digestOf(data)
	secret := secretOf(owner, digest, data)
	if err := put(ctx, c, owner, secret); err != nil {
		return "", 0, explain(fmt.Sprintf("store the keepsake in Secret %q", owner.Namespace+"/"+secret.Name), owner.Namespace, err)
	}
	return digest, int64(total), nil
}

// put creates the Secret. One of that name that was altered, or belonged to a former object of the same name and goes
// with it, is made anew.
func put(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, want *corev1.Secret) error {
	err := c.Create(ctx, want.DeepCopy(), client.FieldOwner(v1alpha2.FieldManager))
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	have := &corev1.Secret{}
	if err := c.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
		return err
	}
	if !belongs(&have.ObjectMeta, owner) {
		return errors.New("it exists and belongs to another object")
	}
	same := digestOf(have.Data) == digestOf(want.Data)
	if same && equality.Semantic.DeepEqual(have.OwnerReferences, want.OwnerReferences) {
		return nil
	}
	if err := c.Delete(ctx, have, client.Preconditions{UID: &have.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	return c.Create(ctx, want.DeepCopy(), client.FieldOwner(v1alpha2.FieldManager))
}

// Load reads the keepsake with this digest, and only it; the result is an *Error when it is missing or was altered.
func Load(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, digest string) (*Kept, error) {
	if !digestForm.MatchString(digest) {
		return nil, &Error{Message: fmt.Sprintf("%q is no digest of a keepsake", digest)}
	}
	secret := &corev1.Secret{}
	id := client.ObjectKey{Namespace: owner.Namespace, Name: secretName(owner.Name, digest)}
	err := c.Get(ctx, id, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &Error{Message: fmt.Sprintf("the keepsake in Secret %q is gone", id.String())}
	case err != nil:
		return nil, explain(fmt.Sprintf("read the keepsake in Secret %q", id.String()), id.Namespace, err)
	case digestOf(secret.Data) != digest:
		return nil, &Error{Message: fmt.Sprintf("the keepsake in Secret %q was altered", id.String())}
	}
	said := about{}
	if err := json.Unmarshal(secret.Data[aboutKey], &said); err != nil {
		return nil, &Error{Message: fmt.Sprintf("the keepsake in Secret %q can't be read: %v", id.String(), err)}
	}
	return &Kept{
		Revision: said.Revision, Spec: said.Spec, Secrets: said.Secrets, Files: secret.Data[filesKey], Variables: secret.Data[variablesKey],
		Provided: secret.Data[providedKey],
	}, nil
}

// Prune deletes the keepsakes of the object but the one with keepDigest; "" deletes all. Those of other objects stay,
// whatever their labels say.
func Prune(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, keepDigest string) error {
	found, err := bundle.List(ctx, c, owner, OfLabel)
	if err != nil {
		return explain("find old keepsakes", owner.Namespace, err)
	}
	var errs []error
	for i := range found {
		secret := &found[i]
		if keepDigest != "" && secret.Annotations[DigestAnnotation] == keepDigest || !belongs(&secret.ObjectMeta, owner) {
			continue
		}
		if err := bundle.Delete(ctx, c, secret); err != nil {
			errs = append(errs, explain(fmt.Sprintf("delete the old keepsake in Secret %q", owner.Namespace+"/"+secret.Name), owner.Namespace, err))
		}
	}
	return errors.Join(errs...)
}

func belongs(secret *metav1.ObjectMeta, owner *v1alpha2.Terraform) bool {
	for _, ref := range secret.OwnerReferences {
		if ref.Kind == v1alpha2.TerraformKind && ref.Name == owner.Name {
			return true
		}
	}
	return false
}

// digestOf covers the values of the keys, and where each begins. The last key is one that earlier keepsakes did not have.
func digestOf(data map[string][]byte) string {
	sum := sha256.New()
	for _, key := range []string{aboutKey, filesKey, variablesKey} {
		fmt.Fprintf(sum, "%s %d\n", key, len(data[key]))
		sum.Write(data[key])
	}
	if provided := data[providedKey]; len(provided) > 0 {
		fmt.Fprintf(sum, "%s %d\n", providedKey, len(provided))
		sum.Write(provided)
	}
	return digestPrefix + hex.EncodeToString(sum.Sum(nil))
}

func secretOf(owner *v1alpha2.Terraform, digest string, data map[string][]byte) *corev1.Secret {
	secret := bundle.Secret(owner, secretName(owner.Name, digest), data)
	secret.Labels[OfLabel] = v1alpha2.SafeLabelValue(owner.Name)
	secret.Annotations[DigestAnnotation] = digest
	return secret
}

func secretName(name, digest string) string {
	return v1alpha2.SafeObjectName(prefix, name, "-"+strings.TrimPrefix(digest, digestPrefix)[:digestDigits])
}

func explain(doing, namespace string, err error) error {
	return bundle.Explain(doing, namespace, err, "get", "list", "create", "delete")
}
