package bundle

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Secret of the object's namespace, which belongs to the object and goes with it. Its maps are there to be filled.
func Secret(owner *v1alpha2.Terraform, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.Namespace, Name: name,
			Labels: map[string]string{}, Annotations: map[string]string{},
			OwnerReferences: OwnedBy(owner),
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

// OwnedBy makes something go with the object.
func OwnedBy(owner *v1alpha2.Terraform) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: v1alpha2.GroupVersion.String(), Kind: v1alpha2.TerraformKind, Name: owner.Name, UID: owner.UID,
	}}
}

// List gives the Secrets of the object's namespace whose label has the object's name, without their data. A label may lie.
func List(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, label string) ([]metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	err := c.List(ctx, list, client.InNamespace(owner.Namespace), client.MatchingLabels{label: v1alpha2.SafeLabelValue(owner.Name)})
	return list.Items, err
}

// Delete removes exactly this Secret, and no later one of its name. That it is gone is success.
func Delete(ctx context.Context, c client.Client, secret *metav1.PartialObjectMetadata) error {
	return client.IgnoreNotFound(c.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}))
}

// Explain says what was being done, and, where that is forbidden, which rule is missing.
func Explain(doing, namespace string, err error, verbs ...string) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if apierrors.IsForbidden(err) {
		last := len(verbs) - 1
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs %s and %s on secrets to this account",
			err, namespace, strings.Join(verbs[:last], ", "), verbs[last])
	}
	return err
}
