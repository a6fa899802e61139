package faults

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// lockHolder is the ID of the lock of net's state; nil when it is free.
func lockHolder(s *story.Story) *string {
	lease := &coordinationv1.Lease{}
	s.Expect(system.Client.Get(s.Ctx, s.Key("lock-tfstate-default-net"), lease)).To(Succeed())
	return lease.Spec.HolderIdentity
}

// kimsLock is the ID of the lock that takeLock takes.
const kimsLock = "11111111-2222-3333-4444-555555555555"

// infoOf is what the engine writes of itself into the lock that it takes.
func infoOf(who string) map[string]string {
	return map[string]string{
		"app.terraform.io/lock-info": `{"ID":"` + kimsLock + `","Operation":"OperationTypeApply","Info":"","Who":"` + who + `",` +
			`"Version":"1.12.6","Created":"` + time.Now().UTC().Add(-90*time.Second).Format(time.RFC3339Nano) + `","Path":""}`,
	}
}

// takeLock takes the lock of net's state, as somebody does who is no runner; info are the lock's annotations.
func takeLock(s *story.Story, info map[string]string) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "lock-tfstate-default-net"},
	}
	err := system.Client.Get(s.Ctx, s.Key(lease.Name), lease)
	s.Expect(client.IgnoreNotFound(err)).To(Succeed())
	lease.Spec.HolderIdentity = ptr.To(kimsLock)
	lease.Annotations = info
	if err != nil {
		s.Expect(system.Client.Create(s.Ctx, lease)).To(Succeed())
	} else {
		s.Expect(system.Client.Update(s.Ctx, lease)).To(Succeed())
	}
	return lease
}

func releaseLock(s *story.Story, lease *coordinationv1.Lease) {
	lease.Spec.HolderIdentity, lease.Annotations = nil, nil
	s.Expect(system.Client.Update(s.Ctx, lease)).To(Succeed())
}

func impatient(tf *infrav1.Terraform) {
	tf.Spec.RetryInterval = &metav1.Duration{Duration: 3 * time.Second}
}

// TestLock_OfSomebodyElse: somebody, or something, works on the state from elsewhere. That is respected, and all that is
// known of it is said.
func TestLock_OfSomebodyElse(t *testing.T) {
	compat.Shows(t, "condition.StateLocked")
	t.Parallel()
	kim := []string{"kim@desk", "OperationTypeApply", "ago"}
	cases := map[string]struct {
		info map[string]string
		// inUse: there is a state already.
		inUse bool
		says  []string
	}{
		"a person, before there is a state": {infoOf("kim@desk"), false, kim},
		"a person":                          {infoOf("kim@desk"), true, kim},
		"another system":                    {nil, true, []string{"held by (unknown) for (unknown)"}},
		long("another system, before there is a state"): {nil, false, []string{"held by (unknown) for (unknown)"}},
		"another format": {map[string]string{"app.terraform.io/lock-info": "who: ci"}, true, []string{"held by (unknown) for (unknown)"}},
		long("another format, before there is a state"): {map[string]string{"app.terraform.io/lock-info": "who: ci"}, false, []string{"held by (unknown) for (unknown)"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			if !tc.inUse {
				lease := takeLock(s, tc.info)
				s.Create(story.Auto, impatient)
				respectsLock(t, s, lease, tc.says...)
				return
			}
			s.Create(story.Auto, impatient)
			s.Applied(s.Revision())
			lease := takeLock(s, tc.info)
			_, err := s.Tenant.Commit(s.Ctx, "more", map[string]string{"main.tf": story.Greeting + "\noutput \"more\" { value = 1 }\n"})
			s.Expect(err).NotTo(HaveOccurred())
			respectsLock(t, s, lease, tc.says...)
		})
	}
}

func respectsLock(t *testing.T, s *story.Story, lease *coordinationv1.Lease, says ...string) {
	begun := time.Now()
	s.Refuses(infrav1.ReasonLockHeld, append(says, kimsLock)...)
	took(t, t.Name()+": said", begun)
	tf := s.Get()
	s.Expect(apimeta.IsStatusConditionTrue(tf.Status.Conditions, infrav1.ConditionStateLocked)).To(BeTrue())
	s.Expect(tf.Status.Lock.Pending).To(Equal(*lease.Spec.HolderIdentity))
	s.Eventually(func() int64 { return s.Get().Status.ReconciliationFailures }).Should(BeNumerically(">=", 2), "it is tried again")
	s.Expect(lockHolder(s)).To(Equal(lease.Spec.HolderIdentity), "and the lock is left alone")

	released := time.Now()
	releaseLock(s, lease)
	tf = s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, t.Name()+": after it was released", released)
	s.Expect(apimeta.FindStatusCondition(tf.Status.Conditions, infrav1.ConditionStateLocked)).To(BeNil())
	s.Expect(tf.Status.Lock.Pending).To(BeEmpty())
	lockIsFree(s)
}

// TestLock_OfARunThatIsAlive: two objects have one state, and a run of the first is in the middle of its apply.
func TestLock_OfARunThatIsAlive(t *testing.T) {
	t.Parallel()
	p := admit(t, []phase{{name: "apply", command: "create", operation: infrav1.OperationApply, step: infrav1.StepApply}})[0]
	held := *lockHolder(p.Story)
	begun := time.Now()
	p.Create(story.Auto, impatient, func(tf *infrav1.Terraform) {
		tf.Name = "twin"
		tf.Spec.BackendConfig = &infrav1.BackendConfigSpec{SecretSuffix: "net", InClusterConfig: true}
		tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "auto"}
	})
	twin := &infrav1.Terraform{}
	p.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(p.Ctx, p.Key("twin"), twin)).To(Succeed())
		g.Expect(conditions.GetReason(twin, meta.ReadyCondition)).To(Equal(infrav1.ReasonLockHeld))
		g.Expect(conditions.GetMessage(twin, meta.ReadyCondition)).To(And(
			ContainSubstring(held), ContainSubstring("@"+p.run.Spec.Hostname), ContainSubstring("OperationTypeApply"), ContainSubstring("ago")))
		g.Expect(twin.Status.ReconciliationFailures).To(BeNumerically(">=", 2), "it is tried again")
	}).Should(Succeed())
	took(t, "lock held by a run that is alive: said", begun)
	p.Expect(*lockHolder(p.Story)).To(Equal(held), "and not released, whatever the other one orders")
	p.Expect(p.gate.shells()).NotTo(BeEmpty())

	opened := time.Now()
	p.gate.open(p.Story)
	p.recovers()
	p.Eventually(func(g Gomega) {
		g.Expect(system.Client.Get(p.Ctx, p.Key("twin"), twin)).To(Succeed())
		g.Expect(conditions.GetReason(twin, meta.ReadyCondition)).To(Equal(infrav1.ReasonPlannedNoChanges))
		g.Expect(twin.Status.Lock.Pending).To(BeEmpty())
	}).Should(Succeed())
	took(t, "lock held by a run that is alive: after its end", opened)
	p.Expect(applies(p.Story)).To(HaveLen(1), "one has made it, the other finds it made")
	p.sound()
}
