package outputs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Write creates the Secret that Secret makes, or updates it when it differs, and returns its keys, sorted, and whether
// anything was written. All data is ours; labels and annotations that others have set stay. Without anything to write
// it does nothing: an existing Secret stays as it is. A Secret that another object controls is an *Error.
func Write(
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, outputs map[string]Value,
) (keys []string, changed bool, err error) {
	want, err := Secret(owner, outputs)
	if err != nil || want == nil {
		return nil, false, err
	}
	err = retry.OnError(retry.DefaultBackoff, isRace, func() error {
		changed, err = write(ctx, c, owner, want)
		return err
	})
	if err != nil {
		return nil, false, explain("writing", want.Namespace, want.Name, err)
	}
	return slices.Sorted(maps.Keys(want.Data)), changed, nil
}

// isRace says that someone else was faster, so that it is worth a second look.
func isRace(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

func write(
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, want *corev1.Secret,
) (changed bool, err error) {
	have := &corev1.Secret{}
	err = c.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		return true, c.Create(ctx, want.DeepCopy(), client.FieldOwner(v1alpha2.FieldManager))
	}
	if err != nil {
		return false, err
	}
	if other := metav1.GetControllerOf(have); other != nil && !refersTo(*other, owner) {
		return false, fail(specField+".name", "Secret %q belongs to %s %q; choose another name",
			have.Namespace+"/"+have.Name, other.Kind, other.Name)
	}
	merged := merge(have, want, owner)
	if equality.Semantic.DeepEqual(have, merged) {
		return false, nil
	}
	return true, c.Update(ctx, merged, client.FieldOwner(v1alpha2.FieldManager))
}

// merge is have with the data, labels, annotations and owner of want.
func merge(have, want *corev1.Secret, owner *v1alpha2.Terraform) *corev1.Secret {
	merged := have.DeepCopy()
	merged.Data = want.Data
	merged.Labels = overlay(have.Labels, want.Labels)
	merged.Annotations = overlay(have.Annotations, want.Annotations)
	ours := func(ref metav1.OwnerReference) bool { return refersTo(ref, owner) }
	if i := slices.IndexFunc(merged.OwnerReferences, ours); i < 0 {
		merged.OwnerReferences = append(merged.OwnerReferences, want.OwnerReferences...)
	} else {
		merged.OwnerReferences[i] = want.OwnerReferences[0]
	}
	return merged
}

func overlay(below, above map[string]string) map[string]string {
	if len(above) == 0 {
		return below
	}
	all := maps.Clone(below)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, above)
	return all
}

// refersTo says whether ref means the object of that kind and name. The UID may differ: the object was made anew, or
// restored from a backup, and the Secret is of its former self.
func refersTo(ref metav1.OwnerReference, owner *v1alpha2.Terraform) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == v1alpha2.GroupVersion.Group &&
		ref.Kind == v1alpha2.TerraformKind && ref.Name == owner.Name
}

// Delete removes the Secret of spec.writeOutputsToSecret if it is the owner's. It is no error when there is none, or
// when it is someone else's.
func Delete(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) error {
	want := owner.Spec.WriteOutputsToSecret
	if want == nil {
		return nil
	}
	have := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: want.Name}, have)
	if err == nil {
		ref := metav1.GetControllerOf(have)
		if ref == nil || !refersTo(*ref, owner) {
			return nil
		}
		err = c.Delete(ctx, have, client.Preconditions{UID: &have.UID, ResourceVersion: &have.ResourceVersion})
	}
	if client.IgnoreNotFound(err) != nil {
		return explain("deleting", owner.Namespace, want.Name, err)
	}
	return nil
}

func explain(doing, namespace, name string, err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	err = fmt.Errorf("%s the outputs Secret %q: %w", doing, namespace+"/"+name, err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs get, create, update and delete on secrets to this account", err, namespace)
	}
	return err
}
