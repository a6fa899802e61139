// Package lock knows the lock of a state: the Lease that the engine's kubernetes backend locks with, and what engines
// print when a lock is held.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// InfoAnnotation of a Lease holds what the holder wrote of itself, as JSON (seen with OpenTofu and Terraform).
const InfoAnnotation = "app.terraform.io/lock-info"

// maxField limits what is taken over from a holder's own words, in runes.
const maxField = 253

// ErrNotHeld says that nobody holds the lock.
var ErrNotHeld = errors.New("the state is not locked")

// HeldByOtherError says that the lock is another one than was to be released. It was left alone.
type HeldByOtherError struct {
	// Want is the ID that was to be released.
	Want string
	// Info of the lock that is held.
	Info v1alpha2.LockInfo
}

// Error names both.
func (e *HeldByOtherError) Error() string {
	return fmt.Sprintf("the state is locked with ID %q (%s by %s since %s), not with %q: nothing was released",
		e.Info.ID, orUnknown(e.Info.Operation), orUnknown(e.Info.Who), orUnknown(e.Info.Created), e.Want)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Read says who holds the lock; nil when nobody does. The ID is the Lease's holder; what the holder wrote of itself
// may be absent or unreadable, then the rest is empty.
func Read(ctx context.Context, c client.Reader, namespace, lease string) (*v1alpha2.LockInfo, error) {
	l := &coordinationv1.Lease{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: lease}, l)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("reading", namespace, lease, err)
	}
	return holder(l), nil
}

func holder(l *coordinationv1.Lease) *v1alpha2.LockInfo {
	if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "" {
		return nil
	}
	var written struct {
		Operation string `json:"Operation"`
		Who       string `json:"Who"`
		Created   string `json:"Created"`
	}
	if err := json.Unmarshal([]byte(l.Annotations[InfoAnnotation]), &written); err != nil {
		written.Operation, written.Who, written.Created = "", "", ""
	}
	return &v1alpha2.LockInfo{
		ID:        *l.Spec.HolderIdentity,
		Operation: bounded(written.Operation),
		Who:       bounded(written.Who),
		Created:   bounded(written.Created),
	}
}

func bounded(s string) string {
	runes := []rune(strings.ToValidUTF8(s, ""))
	return string(runes[:min(len(runes), maxField)])
}

// Release frees the lock if, and only if, it is held with this ID: what the engine's force-unlock does, as a
// compare-and-swap of the Lease. The Lease itself stays. ErrNotHeld: it was free already. *HeldByOtherError: someone
// else has it. Releasing the lock of a process that still runs lets two of them write the state: callers need proof.
func Release(ctx context.Context, c client.Client, namespace, lease, id string) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		l := &coordinationv1.Lease{}
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: lease}, l)
		if apierrors.IsNotFound(err) {
			return ErrNotHeld
		}
		if err != nil {
			return explain("reading", namespace, lease, err)
		}
		held := holder(l)
		if held == nil {
			return ErrNotHeld
		}
		if held.ID != id {
			return &HeldByOtherError{Want: id, Info: *held}
		}
		l.Spec.HolderIdentity = nil
		delete(l.Annotations, InfoAnnotation)
		if err := c.Update(ctx, l); err != nil {
			return explain("releasing", namespace, lease, err)
		}
		return nil
	})
}

func explain(doing, namespace, lease string, err error) error {
	err = fmt.Errorf("%s the lock in Lease %q: %w", doing, namespace+"/"+lease, err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs get, create and update on leases (coordination.k8s.io) to this account", err, namespace)
	}
	return err
}
