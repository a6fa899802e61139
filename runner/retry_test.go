package runner

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

func TestRetry_LastsAsLongAsItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		away := errors.New("no answer")
		begun, tries := time.Now(), 0
		err := retry(t.Context(), time.Minute, func(context.Context) error { tries++; return away })
		g.Expect(err).To(MatchError(away))
		g.Expect(time.Since(begun)).To(BeNumerically("~", time.Minute, 6*time.Second))
		g.Expect(tries).To(BeNumerically(">", 10), "the pause does not grow for ever")
	})
}

func TestRetry_EndsAtOnceWhereNothingWillChange(t *testing.T) {
	for _, never := range []error{ErrRefused, errNotNewer, planstore.ErrForeignKey, &lasting{errors.New("forbidden")}} {
		t.Run(never.Error(), func(t *testing.T) {
			g := NewWithT(t)
			tries := 0
			err := retry(t.Context(), time.Minute, func(context.Context) error { tries++; return fmt.Errorf("write: %w", never) })
			g.Expect(err).To(MatchError(never))
			g.Expect(tries).To(Equal(1))
		})
	}
}

func TestHurried_LastsOnlyAMomentOnceThePodIsToldToEnd(t *testing.T) {
	for reason, tc := range map[string]struct{ told, want time.Duration }{
		"not told":       {time.Hour, 30 * time.Second},
		"told before":    {0, 3 * time.Second},
		"told meanwhile": {10 * time.Second, 13 * time.Second},
		"told too late":  {29 * time.Second, 30 * time.Second},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outer, tell := context.WithTimeout(t.Context(), tc.told)
				defer tell()
				begun := time.Now()
				ctx, done := hurried(outer, 30*time.Second)
				defer done()
				<-ctx.Done()
				NewWithT(t).Expect(time.Since(begun)).To(Equal(tc.want))
			})
		})
	}
}
