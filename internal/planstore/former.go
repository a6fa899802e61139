package planstore

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// LoadFormer reads the plan file that the incumbent has stored under this id: in one Secret, in chunks, or in one without
// labels (contract 2.2). It counts only with the hashes that were written with it, and whole; else the result is an
// *Error.
func LoadFormer(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, workspace, id string) ([]byte, error) {
	secrets, err := formerSecrets(ctx, c, owner, workspace)
	if err != nil {
		return nil, explain(fmt.Sprintf("reading plan %s", id), owner.Namespace, err)
	}
	if len(secrets) == 0 {
		return nil, missing("no Secret holds plan %s", id)
	}
	for i := range secrets {
		if saved := secrets[i].Annotations[v1alpha2.SavedPlanAnnotation]; saved != id {
			return nil, missing("Secret %q holds plan %q, not %s", name(&secrets[i]), saved, id)
		}
	}
	if _, chunked := secrets[0].Annotations[v1alpha2.PlanChunkAnnotation]; chunked {
		return joinFormer(secrets)
	}
	if len(secrets) > 1 {
		return nil, tampered("%d Secrets hold plan %s", len(secrets), id)
	}
	file, err := unzipFormer(secrets[0].Data[planKey])
	if err != nil {
		return nil, err
	}
	if hash(file) != secrets[0].Annotations[v1alpha2.PlanHashAnnotation] {
		return nil, tampered("the plan in Secret %q does not have the hash that was stored with it", name(&secrets[0]))
	}
	return file, nil
}

// formerSecrets are those of the incumbent's plan.
func formerSecrets(ctx context.Context, c client.Reader, owner *v1alpha2.Terraform, workspace string) ([]corev1.Secret, error) {
	var list corev1.SecretList
	err := c.List(ctx, &list, client.InNamespace(owner.Namespace), client.MatchingLabels{
		v1alpha2.PlanNameLabel: v1alpha2.SafeLabelValue(owner.Name), v1alpha2.PlanWorkspaceLabel: v1alpha2.SafeLabelValue(workspace),
	})
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(list.Items, func(s corev1.Secret) bool {
		return s.Annotations[DigestAnnotation] != "" || !belongs(&s.ObjectMeta, owner)
	})
	if len(found) > 0 {
		return found, nil
	}
	legacy := corev1.Secret{}
	err = c.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: "tfplan-" + workspace + "-" + owner.Name}, &legacy)
	if apierrors.IsNotFound(err) || err == nil && !belongs(&legacy.ObjectMeta, owner) {
		return nil, nil
	}
	return []corev1.Secret{legacy}, err
}

// joinFormer joins chunks, which are numbered from 0 without a gap. That the last ones are missing shows when they are
// unzipped.
func joinFormer(secrets []corev1.Secret) ([]byte, error) {
	number := func(s corev1.Secret) int {
		n, err := strconv.Atoi(s.Annotations[v1alpha2.PlanChunkAnnotation])
		if err != nil {
			return -1
		}
		return n
	}
	slices.SortFunc(secrets, func(a, b corev1.Secret) int { return cmp.Compare(number(a), number(b)) })
	var zipped []byte
	for i := range secrets {
		data := secrets[i].Data[planKey]
		if number(secrets[i]) != i || hash(data) != secrets[i].Annotations[v1alpha2.PlanHashAnnotation] {
			return nil, tampered("Secret %q is not chunk %d as it was stored", name(&secrets[i]), i)
		}
		zipped = append(zipped, data...)
	}
	return unzipFormer(zipped)
}

func unzipFormer(zipped []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, tampered("%v", err)
	}
	file, err := io.ReadAll(io.LimitReader(unzipped, maxPlan+1))
	if err == nil && len(file) > maxPlan {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, tampered("%v", err)
	}
	return file, nil
}
