package local

import (
	"context"
	"fmt"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

// SourceName is the name of a tenant's GitRepository.
const SourceName = "infra"

// Tenant is a namespace as a platform team would hand it out: a runner account with rights in this namespace only, and a
// GitRepository with its repository.
type Tenant struct {
	Namespace string
	Repo      *cluster.Repo
	system    *System
}

// NewTenant makes a namespace with a name of that prefix, the account tf-runner, and a repository with the given files.
func (s *System) NewTenant(ctx context.Context, prefix string, files map[string]string) (*Tenant, error) {
	namespace, err := s.Cluster.Namespace(ctx, prefix)
	if err != nil {
		return nil, err
	}
	t := &Tenant{Namespace: namespace, system: s}
	if t.Repo, err = s.Git.Repo(ctx, namespace); err != nil {
		return nil, err
	}
	if _, err := t.Repo.Commit(ctx, "first version", files); err != nil {
		return nil, err
	}
	for _, obj := range t.objects() {
		if err := s.Client.Create(ctx, obj); err != nil {
			return nil, fmt.Errorf("making %T %s: %w", obj, client.ObjectKeyFromObject(obj), err)
		}
	}
	return t, nil
}

func (t *Tenant) objects() []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: t.Namespace, Name: name} }
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta(infrav1.DefaultServiceAccount)},
		&rbacv1.RoleBinding{
			ObjectMeta: meta(infrav1.DefaultServiceAccount),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "tf-runner-role"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: infrav1.DefaultServiceAccount, Namespace: t.Namespace}},
		},
		&sourcev1.GitRepository{ObjectMeta: meta(SourceName), Spec: sourcev1.GitRepositorySpec{
			URL: t.Repo.URL, Interval: metav1.Duration{Duration: time.Hour}, Reference: &sourcev1.GitRepositoryRef{Branch: cluster.Branch},
		}},
	}
}

// Sync makes source-controller look at the repository now, as a webhook would.
func (t *Tenant) Sync(ctx context.Context) error {
	repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: SourceName}}
	return Annotate(ctx, t.system.Client, repo, "reconcile.fluxcd.io/requestedAt", time.Now().Format(time.RFC3339Nano))
}

// Commit commits files and makes source-controller look. It returns the revision that the artifact will have.
func (t *Tenant) Commit(ctx context.Context, message string, files map[string]string, remove ...string) (revision string, err error) {
	sha, err := t.Repo.Commit(ctx, message, files, remove...)
	if err != nil {
		return "", err
	}
	return cluster.Branch + "@sha1:" + sha, t.Sync(ctx)
}

// Annotate sets one annotation; "" removes it.
func Annotate(ctx context.Context, c client.Client, obj client.Object, key, value string) error {
	text := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
	if value == "" {
		text = fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, key)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(text))
	if err := c.Patch(ctx, obj, patch, client.FieldOwner("flux-client-side-apply")); err != nil {
		return fmt.Errorf("annotating %s: %w", client.ObjectKeyFromObject(obj), err)
	}
	return nil
}
