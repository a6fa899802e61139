package faults

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// away is how long the API server is away.
const away = 20 * time.Second

// TestAPIServerAway_InEveryPhase: it hangs, or it is restarted; meanwhile engines go on, and end, too. Each apply happens
// once. A controller that has lost its lease ends and is started again, as its Deployment would.
func TestAPIServerAway_InEveryPhase(t *testing.T) {
	cases := []struct {
		name  string
		leave func(p *patient)
		back  func(p *patient)
	}{
		{"hangs", func(p *patient) {
			p.Expect(system.APIServer.Signal(syscall.SIGSTOP)).To(Succeed())
		}, func(p *patient) {
			p.Expect(system.APIServer.Signal(syscall.SIGCONT)).To(Succeed())
		}},
		{long("restarts"), func(p *patient) {
			p.Expect(system.APIServer.Kill()).To(Succeed())
		}, func(p *patient) {
			p.Expect(system.StartAPIServer(p.Ctx)).To(Succeed())
			// Its watches would wait for up to a minute, as client-go's do, and later tests for it.
			p.Expect(system.Sources.Kill()).To(Succeed())
			p.Expect(system.StartSources(p.Ctx)).To(Succeed())
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			patients := admit(t, phases)
			first := patients[0]
			tc.leave(first)
			for _, p := range patients {
				p.gate.open(p.Story) // what they hold ends, or tries to, while nobody answers
			}
			timer := time.NewTimer(away)
			<-timer.C
			tc.back(first)
			back := time.Now()
			revive(first)
			for _, p := range patients {
				p.recovers()
				took(t, "API server: "+tc.name+" for 20 s while "+p.phase.name, back)
				if !p.phase.destroy {
					p.Expect(applies(p.Story)).To(HaveLen(1), "the apply happened once: "+p.phase.name)
				}
				p.sound()
			}
		})
	}
}

// revive starts the controller anew when it has ended.
func revive(p *patient) {
	select {
	case <-system.Controller.Done():
	case <-time.After(5 * time.Second):
		return
	}
	restart(p.Story)
}

// ours says that a request is of the controller or of a runner, and not of an engine.
func ours(r *http.Request) bool {
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "terraform-controller/") || strings.HasPrefix(agent, "terraform-runner/")
}

func answer(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{ // a client that has gone needs no answer
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code),
		Message: "a storm of the test",
	})
}

// TestAPIServerStorms: a whole life, from the first plan to the destruction, while the API server is hard to get a word
// out of. Nothing happens twice.
func TestAPIServerStorms(t *testing.T) {
	var count atomic.Int64
	cases := []struct {
		name, reason string
		interfere    cluster.Interference
	}{
		{long("slow"), "every answer takes half a second", func(_ http.ResponseWriter, r *http.Request) bool {
			if ours(r) && r.URL.Query().Get("watch") == "" {
				<-time.After(500 * time.Millisecond)
			}
			return false
		}},
		{"409", "two of three writes conflict", func(w http.ResponseWriter, r *http.Request) bool {
			writes := r.Method == http.MethodPatch || r.Method == http.MethodPut
			if !ours(r) || !writes || strings.Contains(r.URL.Path, "/leases/") || count.Add(1)%3 == 0 {
				return false
			}
			answer(w, http.StatusConflict, metav1.StatusReasonConflict)
			return true
		}},
		{long("429"), "every second request is one too many", func(w http.ResponseWriter, r *http.Request) bool {
			if !ours(r) || strings.Contains(r.URL.Path, "/leases/") || count.Add(1)%2 == 0 {
				return false
			}
			answer(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
			return true
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := story.New(t, system, map[string]string{"main.tf": story.Driftable})
			begun := time.Now()
			system.Proxy.Interfere(tc.interfere)
			defer system.Proxy.Interfere(nil)
			s.Create(story.Auto, s.NamespaceVariable(), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
			s.Applied(s.Revision())
			took(t, "API server: "+tc.name+": applied", begun)
			s.Expect(applies(s)).To(HaveLen(1), tc.reason)
			s.Expect(s.Runs()).To(HaveLen(2), tc.reason)
			deleted := time.Now()
			s.DeleteObject()
			took(t, "API server: "+tc.name+": destroyed and gone", deleted)
			system.Proxy.Interfere(nil)
			s.LeavesNothing()
		})
	}
}
