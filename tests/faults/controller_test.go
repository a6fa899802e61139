package faults

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// TestControllerStruck_InEveryPhase: whatever becomes of the controller, what runs goes on, is accounted for, and
// happens once.
func TestControllerStruck_InEveryPhase(t *testing.T) {
	replicas := 0
	cases := []struct {
		name   string
		reason string
		// strike ends the controller; afterwards another one works.
		strike func(p *patient)
	}{
		{long("SIGKILL"), "a crash: the runs end while nobody looks", func(p *patient) {
			p.Expect(system.Controller.Kill()).To(Succeed())
			restart(p.Story)
		}},
		{long("SIGTERM"), "an upgrade: the old one goes in order, the new one comes", func(p *patient) {
			p.Expect(system.Controller.Signal(syscall.SIGTERM)).To(Succeed())
			p.Eventually(system.Controller.Done()).WithTimeout(30 * time.Second).Should(BeClosed())
			restart(p.Story)
		}},
		{"leader change", "the other replica takes over", func(p *patient) {
			replicas++
			second, err := system.StartController(p.Ctx, fmt.Sprintf("terraform-controller-replica-%d", replicas))
			p.Expect(err).NotTo(HaveOccurred())
			p.Expect(system.Controller.Kill()).To(Succeed())
			system.Controller = second
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			patients := admit(t, phases)
			struck := time.Now()
			tc.strike(patients[0])
			for _, p := range patients {
				p.gate.open(p.Story)
			}
			for _, p := range patients {
				p.recovers()
				took(t, "controller: "+tc.name+" while "+p.phase.name, struck)
				if !p.phase.destroy {
					p.Expect(p.runsOf(infrav1.OperationPlan)).To(Equal(p.phase.plans), tc.reason)
					p.Expect(p.runsOf(infrav1.OperationApply)).To(Equal(p.phase.applies), tc.reason)
				}
				p.sound()
			}
		})
	}
}
