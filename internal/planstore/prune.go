package planstore

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

// Prune deletes the plan Secrets of the object, of all its workspaces and also those that the incumbent wrote, except
// the plan with keepDigest in this workspace; "" keeps none. Secrets of other objects stay, whatever their labels say.
func Prune(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, workspace, keepDigest string) error {
	found, err := findAll(ctx, c, owner, workspace)
	if err != nil {
		return explain(fmt.Sprintf("finding the stored plans of %q", owner.Namespace+"/"+owner.Name), owner.Namespace, err)
	}
	for i := range found {
		secret := &found[i]
		kept := keepDigest != "" && secret.Annotations[DigestAnnotation] == keepDigest &&
			secret.Annotations[v1alpha2.PlanFullWorkspaceAnnotation] == workspace
		if kept || !belongs(&secret.ObjectMeta, owner) {
			continue
		}
		if err := bundle.Delete(ctx, c, secret); err != nil {
			doing := fmt.Sprintf("deleting the old plan in Secret %q", secret.Namespace+"/"+secret.Name)
			return explain(doing, owner.Namespace, err)
		}
	}
	return nil
}

// findAll lists, without their data, the Secrets with our labels, and the one that early versions of the incumbent
// wrote without labels.
func findAll(
	ctx context.Context, c client.Client, owner *v1alpha2.Terraform, workspace string,
) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	for _, label := range []string{v1alpha2.PlanNameLabel, FilesOfLabel} {
		found, err := bundle.List(ctx, c, owner, label)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	legacy := metav1.PartialObjectMetadata{}
	legacy.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	name := "tfplan-" + workspace + "-" + owner.Name
	err := c.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: name}, &legacy)
	if err == nil {
		all = append(all, legacy)
	}
	return all, client.IgnoreNotFound(err)
}
