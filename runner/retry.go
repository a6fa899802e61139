package runner

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/terraform-controller/terraform-controller/internal/bundle"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// retry repeats f while the API server is away, busy, or not yet of the opinion that this pod may do it (a RoleBinding
// that was just made takes effect a moment later), for as long as patience lasts. The error is the last one of f.
func retry(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: 5 * time.Second, Steps: 1 << 20}
	var last error
	// Not wait.ExponentialBackoff, which ends when the pause has grown to its cap.
	err := backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		err := f(ctx)
		if err == nil {
			return true, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !worthRetrying(err) {
			return false, err
		}
		return false, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// lasting is an error of which it is known that the same request would meet it again.
type lasting struct{ error }

func (e *lasting) Unwrap() error { return e.error }

// hurried is a context for what is done when a run is over. It outlives ctx, as long as patience lasts, but only for a moment: then
// the pod has been told to end, and the result is still to be reported.
func hurried(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(rescueHurry, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// worthRetrying says that the same request may do better later.
func worthRetrying(err error) bool {
	if errors.Is(err, ErrRefused) || errors.Is(err, errNotNewer) || errors.Is(err, planstore.ErrForeignKey) {
		return false
	}
	if _, never := errors.AsType[*bundle.TooLargeError](err); never {
		return false
	}
	if _, never := errors.AsType[*lasting](err); never {
		return false
	}
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonUnknown:
		// No answer of the API server, or one that it has no word for.
		return true
	case metav1.StatusReasonConflict, metav1.StatusReasonForbidden, metav1.StatusReasonUnauthorized,
		metav1.StatusReasonTooManyRequests, metav1.StatusReasonServerTimeout, metav1.StatusReasonTimeout,
		metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable:
		return true
	default:
		return false
	}
}
