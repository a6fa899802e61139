package controllers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// How the API server describes the bound token of a pod's account: package serviceaccount of k8s.io/apiserver.
const (
	serviceAccountPrefix = "system:serviceaccount:"
	podNameExtra         = "authentication.kubernetes.io/pod-name"
	podUIDExtra          = "authentication.kubernetes.io/pod-uid"
)

// authorize gives the address of the artifact of a run, if the request's token is that of the run's own pod. The
// run is looked up only for an account of its namespace, so that others learn nothing of it.
func (h *ArtifactHandler) authorize(ctx context.Context, r *http.Request, namespace, name string) (string, error) {
	user, err := h.authenticate(ctx, r)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(user.Username, serviceAccountPrefix+namespace+":") {
		return "", refuse(http.StatusForbidden, nil, "runs of namespace %s are for its own runners", namespace)
	}
	run := &infrav1.TerraformRun{}
	if err := h.opts.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, run); err != nil {
		if apierrors.IsNotFound(err) {
			return "", refuse(http.StatusNotFound, nil, "there is no run %s/%s", namespace, name)
		}
		return "", refuse(http.StatusServiceUnavailable, err, "the run can't be read; try again")
	}
	if err := mayFetch(user, run); err != nil {
		return "", err
	}
	return run.Spec.Source.URL, h.isActive(ctx, run)
}

// isActive says whether the run is the one that may work on its object now, which only the controller decides.
func (h *ArtifactHandler) isActive(ctx context.Context, run *infrav1.TerraformRun) error {
	owner := &infrav1.Terraform{}
	ref := metav1.GetControllerOf(run)
	if ref == nil {
		return refuse(http.StatusForbidden, nil, "run %s/%s belongs to no Terraform object", run.Namespace, run.Name)
	}
	err := h.opts.Reader.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: ref.Name}, owner)
	if client.IgnoreNotFound(err) != nil {
		return refuse(http.StatusServiceUnavailable, err, "the run's Terraform object can't be read; try again")
	}
	if err != nil || owner.UID != ref.UID || owner.Status.ActiveRun == nil || owner.Status.ActiveRun.Name != run.Name {
		return refuse(http.StatusForbidden, nil, "run %s/%s is not the active run of a Terraform object", run.Namespace, run.Name)
	}
	return nil
}

// authenticate asks the API server whose token it is. It must be one for this endpoint, not for the API.
func (h *ArtifactHandler) authenticate(ctx context.Context, r *http.Request) (*authenticationv1.UserInfo, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return nil, refuse(http.StatusUnauthorized, nil, "a bearer token is needed")
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token, Audiences: []string{infrav1.ArtifactAudience},
	}}
	// client-go logs bodies through the context's logger when that is verbose; this one holds a token.
	if err := h.opts.Client.Create(logr.NewContext(ctx, logr.Discard()), review); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, err, "the token can't be checked; try again")
	}
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, infrav1.ArtifactAudience) {
		return nil, refuse(http.StatusUnauthorized, nil, "the token is not good for audience %s", infrav1.ArtifactAudience)
	}
	return &review.Status.User, nil
}

// mayFetch compares a token with a run: account, pod and, once a pod has claimed the run, that very pod.
func mayFetch(user *authenticationv1.UserInfo, run *infrav1.TerraformRun) error {
	account := RunnerAccount(run)
	if user.Username != serviceAccountPrefix+run.Namespace+":"+account {
		return refuse(http.StatusForbidden, nil, "the run is for account %s", account)
	}
	if !holds(user, podNameExtra, run.Spec.PodName) {
		return refuse(http.StatusForbidden, nil, "the token is not bound to the run's pod %s", run.Spec.PodName)
	}
	if claimed := run.Status.Runner; claimed != nil && !holds(user, podUIDExtra, claimed.PodUID) {
		return refuse(http.StatusForbidden, nil, "the run was claimed by another pod of that name")
	}
	if run.Finished() {
		return refuse(http.StatusForbidden, nil, "the run has ended (%s)", run.Status.Phase)
	}
	return nil
}

func holds(user *authenticationv1.UserInfo, key, value string) bool {
	return value != "" && slices.Equal(user.Extra[key], authenticationv1.ExtraValue{value})
}
