package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

// Own lets the versions of that lineage go with the object: what they describe was destroyed while the object stays, and
// nothing runs any more when it is deleted.
func Own(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, versions []Version, lineage string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": bundle.OwnedBy(owner)}})
	if err != nil {
		return fmt.Errorf("encode the owner: %w", err)
	}
	var errs []error
	for i := range versions {
		if versions[i].Lineage != lineage {
			continue
		}
		for _, secret := range versions[i].secrets {
			if len(secret.OwnerReferences) > 0 {
				continue
			}
			secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
			err := c.Patch(ctx, &secret, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(v1alpha2.FieldManager))
			if client.IgnoreNotFound(err) != nil {
				errs = append(errs, explain(fmt.Sprintf("let the state in Secret %q go with the object", secret.Namespace+"/"+secret.Name), owner, err))
			}
		}
	}
	return errors.Join(errs...)
}
