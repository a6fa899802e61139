package runner

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// tidyUp deletes the TLS Secrets that the incumbent has left in the namespace: they hold the private key of its CA. The run
// does not depend on it: what is left over, the next run sees again.
func (a *assignment) tidyUp(ctx context.Context) {
	if !a.run.Spec.TidyUp {
		return
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := a.cfg.Client.List(ctx, list, client.InNamespace(a.run.Namespace), client.MatchingLabels{v1alpha2.TerraformLabel: "true"}); err != nil {
		a.log.Info("could not look for TLS Secrets of the former controller", "error", err.Error())
		return
	}
	for i := range list.Items {
		secret := &list.Items[i]
		if !strings.HasPrefix(secret.Name, v1alpha2.FormerTLSSecretPrefix) {
			continue
		}
		if err := client.IgnoreNotFound(a.cfg.Client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})); err != nil {
			a.log.Info("could not delete a TLS Secret of the former controller", "secret", secret.Name, "error", err.Error())
		}
	}
}
