package planstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

const (
	encodingAnnotation = "encoding"

	// digestDigits is how much of the digest is in a Secret's name.
	digestDigits = 8
	// hashDigits stand for the part of a name that does not fit or is not allowed in one.
	hashDigits = 16
)

// key names one stored plan.
type key struct {
	owner             *v1alpha2.Terraform
	workspace, digest string
}

func (k key) planName() string { return secretName("tfplan-", k.workspace, k.owner.Name, k.digest) }
func (k key) filesName() string {
	return secretName("tfplan-files-", k.workspace, k.owner.Name, k.digest)
}

// secretName leaves room for the number of a chunk. What is too long, or no name (a workspace may have capitals), is
// shortened and gets a hash.
func secretName(prefix, workspace, name, digest string) string {
	end := "-" + strings.TrimPrefix(digest, digestPrefix)[:digestDigits]
	room := validation.DNS1123SubdomainMaxLength - len(prefix) - len(end) - len("-000")
	middle := workspace + "-" + name
	if len(middle) <= room && len(validation.IsDNS1123Subdomain(middle)) == 0 {
		return prefix + middle + end
	}
	hashed := hash([]byte(middle))[:hashDigits]
	start := strings.ToLower(middle)
	start = strings.TrimRight(start[:min(len(start), room-hashDigits-1)], "-.")
	if len(validation.IsDNS1123Subdomain(start)) > 0 {
		return prefix + hashed + end
	}
	return prefix + start + "-" + hashed + end
}

// secrets are all Secrets of a plan, in the order of writing.
func (k key) secrets(p *Plan, zipped []byte) ([]*corev1.Secret, error) {
	chunks, extra := bundle.Chunks(zipped), bundle.Chunks(p.Extra)
	if len(chunks) > maxChunks || len(extra) > maxChunks || len(p.File) > maxPlan {
		return nil, fmt.Errorf("it is too large: %d bytes, %d compressed, %d of extra files",
			len(p.File), len(zipped), len(p.Extra))
	}
	var all []*corev1.Secret
	for i, data := range chunks {
		all = append(all, k.planSecret(p, i, len(chunks), data))
	}
	for i, data := range extra {
		all = append(all, k.filesSecret(bundle.Numbered(k.filesName(), i), map[string][]byte{extraKey: data}))
	}
	encoded, err := json.Marshal(manifest{contents: contentsOf(p), Chunks: len(chunks), ExtraChunks: len(extra)})
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{manifestKey: encoded}
	if p.LockFile != nil {
		data[LockFileKey] = p.LockFile
	}
	return append(all, k.filesSecret(k.filesName(), data)), nil
}

func (k key) planSecret(p *Plan, i, count int, data []byte) *corev1.Secret {
	s := k.secret(k.planName(), map[string][]byte{planKey: data})
	s.Labels = map[string]string{
		v1alpha2.PlanNameLabel:      v1alpha2.SafeLabelValue(k.owner.Name),
		v1alpha2.PlanWorkspaceLabel: workspaceLabel(k.workspace),
	}
	s.Annotations[encodingAnnotation] = "gzip"
	s.Annotations[v1alpha2.SavedPlanAnnotation] = p.ID
	if count == 1 {
		s.Annotations[v1alpha2.PlanHashAnnotation] = hash(p.File)
		return s
	}
	s.Name = bundle.Numbered(s.Name, i)
	s.Annotations[v1alpha2.PlanHashAnnotation] = hash(data)
	s.Annotations[v1alpha2.PlanChunkAnnotation] = strconv.Itoa(i)
	return s
}

// workspaceLabel also finds a value for a workspace that no label can hold.
func workspaceLabel(workspace string) string {
	label := v1alpha2.SafeLabelValue(workspace)
	if len(validation.IsValidLabelValue(label)) > 0 {
		return hash([]byte(workspace))[:hashDigits]
	}
	return label
}

func (k key) filesSecret(name string, data map[string][]byte) *corev1.Secret {
	s := k.secret(name, data)
	s.Labels = map[string]string{FilesOfLabel: v1alpha2.SafeLabelValue(k.owner.Name)}
	return s
}

func (k key) secret(name string, data map[string][]byte) *corev1.Secret {
	s := bundle.Secret(k.owner, name, data)
	s.Annotations[DigestAnnotation] = k.digest
	s.Annotations[v1alpha2.PlanFullNameAnnotation] = k.owner.Name
	s.Annotations[v1alpha2.PlanFullWorkspaceAnnotation] = k.workspace
	return s
}

// put creates the Secret, or makes an existing one of the same object equal to it.
func put(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, want *corev1.Secret) error {
	err := c.Create(ctx, want.DeepCopy(), client.FieldOwner(v1alpha2.FieldManager))
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have := &corev1.Secret{}
		if err := c.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
			return err
		}
		if !belongs(&have.ObjectMeta, owner) {
			return errors.New("it exists and belongs to another object")
		}
		next := have.DeepCopy()
		next.Data, next.OwnerReferences = want.Data, want.OwnerReferences
		next.Labels, next.Annotations = want.Labels, want.Annotations
		if equality.Semantic.DeepEqual(have, next) {
			return nil
		}
		return c.Update(ctx, next, client.FieldOwner(v1alpha2.FieldManager))
	})
}

// belongs says whether a plan Secret is the object's: as it says itself, and as its owners say. The UID does not
// count: an object that was made anew clears up after its former self.
func belongs(meta *metav1.ObjectMeta, owner *v1alpha2.Terraform) bool {
	full, named := meta.Annotations[v1alpha2.PlanFullNameAnnotation]
	if named && full != owner.Name {
		return false
	}
	owned := false
	for _, ref := range meta.OwnerReferences {
		if ref.Kind == v1alpha2.TerraformKind {
			if ref.Name == owner.Name {
				return true
			}
			owned = true
		}
	}
	return named && !owned
}
