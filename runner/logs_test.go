package runner_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

func TestLog_HasAsMuchOfTheEngineAsIsAskedFor(t *testing.T) {
	compat.Shows(t, "use.runner-logs", "env.DISABLE_TF_LOGS", "env.LOG_HUMAN_READABLE_PLAN")
	files := map[string]string{"main.tf": "variable \"password\" {}\nresource \"terraform_data\" \"x\" {\n  input = \"of ${var.password}\"\n}\n"}
	for name, tc := range map[string]struct {
		reason       string
		chatter      runner.Chatter
		engine, plan bool
	}{
		"default":       {"what the engine says while it works", runner.Chatter{}, true, false},
		"quiet":         {"nothing of it", runner.Chatter{Quiet: true}, false, false},
		"with the plan": {"each plan, before it is applied", runner.Chatter{Plan: true}, true, true},
		"only the plan": {"one does not switch the other off", runner.Chatter{Quiet: true, Plan: true}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t, files, func(s *v1alpha2.TerraformSpec) {
				s.VarsFrom = []v1alpha2.VarsReference{{Kind: "Secret", Name: "inputs"}}
			})
			w.createSecret("inputs", map[string]string{"password": "correct-horse"})
			w.cfg.Chatter = tc.chatter
			w.apply(w.plan())
			engine, plan := ContainSubstring(`"from"="engine"`), ContainSubstring(`"msg"="planned"`)
			if !tc.engine {
				engine = Not(engine)
			}
			if !tc.plan {
				plan = Not(plan)
			}
			g.Expect(w.log.String()).To(And(engine, plan, ContainSubstring("step ended")), tc.reason)
			g.Expect(w.log.String()).NotTo(ContainSubstring("correct-horse"), "what is secret is in neither")
		})
	}
}
