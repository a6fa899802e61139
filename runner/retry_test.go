package runner

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
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
	g := NewWithT(t)
	tries := 0
	err := retry(t.Context(), time.Minute, func(context.Context) error { tries++; return ErrRefused })
	g.Expect(err).To(MatchError(ErrRefused))
	g.Expect(tries).To(Equal(1))
}
