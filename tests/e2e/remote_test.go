package e2e

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/remote"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// stateIn keeps the state outside of the cluster.
func stateIn(state *remote.State) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.BackendConfig = &infrav1.BackendConfigSpec{CustomConfiguration: state.Backend()}
	}
}

func TestForceUnlock_OfABackendOutsideOfTheCluster(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	state := remote.NewState(t)
	state.Hold("0b1f-lock", "ann@desk")
	s.Create(story.Auto, stateIn(state), func(tf *infrav1.Terraform) {
		tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "yes", LockIdentifier: "another", LockTimeout: &metav1.Duration{Duration: time.Second}}
	})
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonLockHeld, And(ContainSubstring("0b1f-lock"), ContainSubstring("ann@desk")))
	s.Expect(tf.Status.Lock.Pending).To(Equal("0b1f-lock"))
	s.Expect(state.Holder()).To(Equal("0b1f-lock"), "another one was named")

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "auto"} })
	tf = s.Applied(s.Revision())
	s.Expect(tf.Status.Lock).To(Equal(infrav1.LockStatus{LastApplied: "0b1f-lock"}))
	s.Expect(state.Released()[0]).To(Equal("0b1f-lock"))
	s.Hears(infrav1.ReasonForceUnlock, ContainSubstring("ordered by spec.tfstate"))
	s.Expect(tf.Status.State.Resources).To(Equal(int64(1)))
}
