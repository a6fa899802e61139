package faults

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// lockHolder is the ID of the lock of net's state; nil when it is free.
func lockHolder(s *story.Story) *string {
	lease := &coordinationv1.Lease{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("lock-tfstate-default-net"), lease)).To(Succeed())
	return lease.Spec.HolderIdentity
}

const kimsLock = "11111111-2222-3333-4444-555555555555"

// lockFromDesk takes the lock of net's state as an engine on somebody's machine does.
func lockFromDesk(s *story.Story) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "lock-tfstate-default-net"},
	}
	err := system.Client.Get(s.Ctx, s.Key(lease.Name), lease)
	s.Expect(client.IgnoreNotFound(err)).To(Succeed())
	lease.Spec.HolderIdentity = ptr.To(kimsLock)
	lease.Annotations = map[string]string{
		"app.terraform.io/lock-info": `{"ID":"` + kimsLock + `","Operation":"OperationTypeApply","Info":"","Who":"kim@desk",` +
			`"Version":"1.12.6","Created":"` + time.Now().UTC().Add(-90*time.Second).Format(time.RFC3339Nano) + `","Path":""}`,
	}
	if err != nil {
		s.Expect(system.Client.Create(s.Ctx, lease)).To(Succeed())
	} else {
		s.Expect(system.Client.Update(s.Ctx, lease)).To(Succeed())
	}
	return lease
}

func impatient(tf *infrav1.Terraform) {
	tf.Spec.RetryInterval = &metav1.Duration{Duration: 3 * time.Second}
}

// TestLock_OfALivePerson: somebody works on the state from a desk. That is respected, and said.
func TestLock_OfALivePerson(t *testing.T) {
	t.Run("before there is a state", func(t *testing.T) {
		s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
		lease := lockFromDesk(s)
		s.Create(story.Auto, impatient)
		respectsLock(t, s, lease)
	})
	t.Run("of a state in use", func(t *testing.T) {
		s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
		s.Create(story.Auto, impatient)
		s.Applied(s.Revision())
		lease := lockFromDesk(s)
		_, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
		s.Expect(err).NotTo(HaveOccurred())
		respectsLock(t, s, lease)
	})
}

func respectsLock(t *testing.T, s *story.Story, lease *coordinationv1.Lease) {
	begun := time.Now()
	s.Refuses(infrav1.ReasonLockHeld, "kim@desk", "OperationTypeApply", kimsLock, "ago")
	took(t, "lock held by a person: said", begun)
	tf := s.Get()
	s.Expect(apimeta.IsStatusConditionTrue(tf.Status.Conditions, infrav1.ConditionStateLocked)).To(BeTrue())
	s.Expect(tf.Status.Lock.Pending).To(Equal(*lease.Spec.HolderIdentity))
	s.Eventually(func() int64 { return s.Get().Status.ReconciliationFailures }).Should(BeNumerically(">=", 2), "it is tried again")
	s.Expect(lockHolder(s)).To(Equal(lease.Spec.HolderIdentity), "and the lock is left alone")

	released := time.Now()
	lease.Spec.HolderIdentity, lease.Annotations = nil, nil
	s.Expect(system.Client.Update(s.Ctx, lease)).To(Succeed())
	tf = s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "lock released by that person", released)
	s.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, infrav1.ConditionStateLocked)).To(BeNil())
	s.Expect(tf.Status.Lock.Pending).To(BeEmpty())
	lockIsFree(s)
}
