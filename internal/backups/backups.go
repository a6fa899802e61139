// Package backups keeps versions of an object's state in Secrets of its namespace.
//
// A version with serial 12 of object NAME is
//
//	tfbackup-NAME-12-<8 hex of its sha256>          key tfstate: the state, gzip, as the kubernetes backend has it
//	tfbackup-NAME-12-<8 hex of its sha256>-00, -01  key tfstate: 900 KiB of it each, when that is larger
//
// They belong to nobody: like the state itself they outlive the object, unless its resources were destroyed with it.
// docs/restore-state.md reads them with kubectl, so names, labels, annotations and key are a contract.
package backups

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	// OfLabel marks versions of a state; its value is the object's name (SafeLabelValue).
	OfLabel = "infra.contrib.fluxcd.io/state-backup-of"
	// SerialLabel is the serial of the state.
	SerialLabel = "infra.contrib.fluxcd.io/state-serial"
	// VersionLabel is the same for all Secrets of a version, and for no others of the object: <serial>-<8 hex>.
	VersionLabel = "infra.contrib.fluxcd.io/state-version"

	lineageAnnotation   = "infra.contrib.fluxcd.io/state-lineage"
	sizeAnnotation      = "infra.contrib.fluxcd.io/state-size"
	workspaceAnnotation = "infra.contrib.fluxcd.io/state-workspace"
	secretAnnotation    = "infra.contrib.fluxcd.io/state-secret"
	nameAnnotation      = "infra.contrib.fluxcd.io/state-backup-full-name"
	chunksAnnotation    = "infra.contrib.fluxcd.io/state-chunks"

	stateKey = "tfstate"
	prefix   = "tfbackup-"

	// maxPacked limits a version, packed, in bytes: what is kept in Secrets is in etcd.
	maxPacked = 16 << 20

	versionDigits = 8
)

// State to be kept.
type State struct {
	// Workspace of it, and NAMESPACE/NAME of the Secret that it is in; "" when it is in another place.
	Workspace, Secret string
	// ID of it.
	ID v1alpha2.StateStatus
	// Content as the engine has it.
	Content []byte
}

// Version that is kept.
type Version struct {
	// Name of its Secret, or what the names of its Secrets begin with.
	Name    string
	Lineage string
	Serial  int64
	Size    int64

	secrets []metav1.PartialObjectMetadata
	chunks  int
	created metav1.Time
}

// Is says that this is a version of that state as it is.
func (v *Version) Is(state *v1alpha2.StateStatus) bool {
	return v.whole() && v.Lineage == state.Lineage && v.Serial == state.Serial && v.Size == state.Size
}

// whole says that all of it was written.
func (v *Version) whole() bool { return len(v.secrets) == v.chunks }

// Empty says that there is nothing in a state whose loss would matter. Of an encrypted one that is not known.
func Empty(content []byte) bool {
	var file struct {
		Encrypted json.RawMessage            `json:"encrypted_data"`
		Outputs   map[string]json.RawMessage `json:"outputs"`
		Resources []json.RawMessage          `json:"resources"`
	}
	err := json.Unmarshal(content, &file)
	return err == nil && len(file.Encrypted) == 0 && len(file.Outputs) == 0 && len(file.Resources) == 0
}

// List gives the versions that are kept of an object's state, the newest first. That costs one request.
func List(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform) ([]Version, error) {
	found, err := bundle.List(ctx, c, owner, OfLabel)
	if err != nil {
		return nil, explain("find the versions of the state", owner, err)
	}
	byName := map[string]*Version{}
	for i := range found {
		if found[i].Annotations[nameAnnotation] != owner.Name {
			continue
		}
		name := nameOf(owner, found[i].Labels[VersionLabel])
		if byName[name] == nil {
			byName[name] = read(name, &found[i])
		}
		byName[name].secrets = append(byName[name].secrets, found[i])
	}
	versions := make([]Version, 0, len(byName))
	for _, v := range byName {
		versions = append(versions, *v)
	}
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(b.created.Compare(a.created.Time), cmp.Compare(b.Serial, a.Serial), cmp.Compare(a.Name, b.Name))
	})
	return versions, nil
}

// read takes what does not fit for zero: then it is no version of anything, and one to be removed in its turn.
func read(name string, secret *metav1.PartialObjectMetadata) *Version {
	v := &Version{Name: name, Lineage: secret.Annotations[lineageAnnotation], created: secret.CreationTimestamp}
	v.Serial, _ = strconv.ParseInt(secret.Labels[SerialLabel], 10, 64)
	v.Size, _ = strconv.ParseInt(secret.Annotations[sizeAnnotation], 10, 64)
	v.chunks, _ = strconv.Atoi(secret.Annotations[chunksAnnotation])
	return v
}

// Save keeps a version of the state. Saving the same again is success. The error for one that is too large is a
// *bundle.TooLargeError.
func Save(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, s *State) (*Version, error) {
	packed, err := bundle.Pack(s.Content)
	if err != nil {
		return nil, err
	}
	if err := bundle.Fits(len(packed), maxPacked); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(packed)
	version := fmt.Sprintf("%d-%s", s.ID.Serial, hex.EncodeToString(sum[:])[:versionDigits])
	v := &Version{Name: nameOf(owner, version), Lineage: s.ID.Lineage, Serial: s.ID.Serial, Size: s.ID.Size}
	chunks := bundle.Chunks(packed)
	v.chunks = len(chunks)
	for i, chunk := range chunks {
		secret := v.secret(owner, s, version, chunk)
		if len(chunks) > 1 {
			secret.Name += fmt.Sprintf("-%02d", i) // kubectl sorts names as texts
		}
		written, err := put(ctx, c, secret)
		if err != nil {
			return nil, explain(fmt.Sprintf("keep the state in Secret %q", secret.Namespace+"/"+secret.Name), owner, err)
		}
		v.created = written.CreationTimestamp
		v.secrets = append(v.secrets, *written)
	}
	return v, nil
}

// put gives the metadata of a Secret that was there already as it is: its UID is needed to remove it.
func put(ctx context.Context, c client.Client, secret *corev1.Secret) (*metav1.PartialObjectMetadata, error) {
	err := c.Create(ctx, secret, client.FieldOwner(v1alpha2.FieldManager))
	written := &metav1.PartialObjectMetadata{ObjectMeta: secret.ObjectMeta}
	if apierrors.IsAlreadyExists(err) {
		written.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		err = c.Get(ctx, client.ObjectKeyFromObject(secret), written)
	}
	return written, err
}

// With is the list with a version that was saved since, in place of what there was of it.
func With(versions []Version, saved *Version) []Version {
	rest := slices.DeleteFunc(slices.Clone(versions), func(v Version) bool { return v.Name == saved.Name })
	return slices.Concat([]Version{*saved}, rest)
}

// OfLineage are those versions that are of the same state; of one without a lineage there are none.
func OfLineage(versions []Version, lineage string) []Version {
	return slices.DeleteFunc(slices.Clone(versions), func(v Version) bool { return lineage == "" || v.Lineage != lineage })
}

func (v *Version) secret(owner *v1alpha2.Terraform, s *State, version string, data []byte) *corev1.Secret {
	secret := bundle.Secret(owner, v.Name, map[string][]byte{stateKey: data})
	secret.OwnerReferences = nil
	secret.Labels = map[string]string{
		OfLabel: v1alpha2.SafeLabelValue(owner.Name), SerialLabel: strconv.FormatInt(v.Serial, 10), VersionLabel: version,
	}
	secret.Annotations = map[string]string{
		nameAnnotation: owner.Name, lineageAnnotation: v.Lineage, sizeAnnotation: strconv.FormatInt(v.Size, 10),
		workspaceAnnotation: s.Workspace, secretAnnotation: s.Secret, chunksAnnotation: strconv.Itoa(v.chunks),
	}
	return secret
}

// Prune removes all versions but the newest ones, as many as are to be kept.
func Prune(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, versions []Version, keep int) error {
	var errs []error
	for i := range versions {
		if versions[i].whole() && keep > 0 {
			keep--
			continue
		}
		errs = append(errs, versions[i].remove(ctx, c, owner))
	}
	return errors.Join(errs...)
}

func (v *Version) remove(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) error {
	var errs []error
	for i := range v.secrets {
		secret := &v.secrets[i]
		secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := bundle.Delete(ctx, c, secret); err != nil {
			errs = append(errs, explain(fmt.Sprintf("remove the old state in Secret %q", secret.Namespace+"/"+secret.Name), owner, err))
		}
	}
	return errors.Join(errs...)
}

// nameOf leaves room for the number of a chunk.
func nameOf(owner *v1alpha2.Terraform, version string) string {
	const chunk = "-00"
	return strings.TrimSuffix(v1alpha2.SafeObjectName(prefix, owner.Name, "-"+version+chunk), chunk)
}

func explain(doing string, owner *v1alpha2.Terraform, err error) error {
	return bundle.Explain(doing, owner.Namespace, err, "get", "list", "create", "delete")
}
