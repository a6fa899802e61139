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
	changed, err = put(ctx, c, owner, secretKind, want, func(have *corev1.Secret) { have.Data = want.Data })
	if err != nil {
		return nil, false, err
	}
	return slices.Sorted(maps.Keys(want.Data)), changed, nil
}

// kind of an object that outputs are written to, and the field that asks for it.
type kind struct{ name, resource, field string }

var (
	secretKind    = kind{"Secret", "secrets", secretField}
	configMapKind = kind{"ConfigMap", "configmaps", configMapField}
)

// object is a pointer to a typed Kubernetes object.
type object[T any] interface {
	*T
	client.Object
}

// put makes want be there; take gives its data to the one that is there.
func put[T any, P object[T]](
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, k kind, want P, take func(have P),
) (changed bool, err error) {
	err = retry.OnError(retry.DefaultBackoff, isRace, func() error {
		changed, err = write(ctx, c, owner, k, want, take)
		return err
	})
	if err != nil {
		return false, explain("writing", k, client.ObjectKeyFromObject(want), err)
	}
	return changed, nil
}

// isRace says that someone else was faster, so that it is worth a second look.
func isRace(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

func write[T any, P object[T]](
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, k kind, want P, take func(have P),
) (changed bool, err error) {
	have := P(new(T))
	err = c.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		return true, c.Create(ctx, want, client.FieldOwner(v1alpha2.FieldManager))
	}
	if err != nil {
		return false, err
	}
	if other := metav1.GetControllerOf(have); other != nil && !refersTo(*other, owner) {
		return false, fail(k.field+".name", "%s %q belongs to %s %q; choose another name",
			k.name, client.ObjectKeyFromObject(have).String(), other.Kind, other.Name)
	}
	before := have.DeepCopyObject()
	take(have)
	merge(have, want, owner)
	if equality.Semantic.DeepEqual(before, have) {
		return false, nil
	}
	return true, c.Update(ctx, have, client.FieldOwner(v1alpha2.FieldManager))
}

// merge gives the labels, annotations and owner of want to have.
func merge(have, want client.Object, owner *v1alpha2.Terraform) {
	have.SetLabels(overlay(have.GetLabels(), want.GetLabels()))
	have.SetAnnotations(overlay(have.GetAnnotations(), want.GetAnnotations()))
	refs := slices.Clone(have.GetOwnerReferences())
	ours := func(ref metav1.OwnerReference) bool { return refersTo(ref, owner) }
	if i := slices.IndexFunc(refs, ours); i < 0 {
		refs = append(refs, ownerReference(owner))
	} else {
		refs[i] = ownerReference(owner)
	}
	have.SetOwnerReferences(refs)
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

// Delete removes the Secret and the ConfigMap of the spec if they are the owner's. It is no error when there is none, or
// when it is someone else's.
func Delete(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) error {
	var errs []error
	if want := owner.Spec.WriteOutputsToSecret; want != nil {
		errs = append(errs, remove(ctx, c, owner, secretKind, want.Name, &corev1.Secret{}))
	}
	if want := owner.Spec.WriteOutputsToConfigMap; want != nil {
		errs = append(errs, remove(ctx, c, owner, configMapKind, want.Name, &corev1.ConfigMap{}))
	}
	return errors.Join(errs...)
}

func remove(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, k kind, name string, have client.Object) error {
	key := client.ObjectKey{Namespace: owner.Namespace, Name: name}
	err := c.Get(ctx, key, have)
	if err == nil {
		ref := metav1.GetControllerOf(have)
		if ref == nil || !refersTo(*ref, owner) {
			return nil
		}
		uid, version := have.GetUID(), have.GetResourceVersion()
		err = c.Delete(ctx, have, client.Preconditions{UID: &uid, ResourceVersion: &version})
	}
	if client.IgnoreNotFound(err) != nil {
		return explain("deleting", k, key, err)
	}
	return nil
}

func explain(doing string, k kind, key client.ObjectKey, err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	err = fmt.Errorf("%s the outputs %s %q: %w", doing, k.name, key.String(), err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs get, create, update and delete on %s to this account",
			err, key.Namespace, k.resource)
	}
	return err
}
