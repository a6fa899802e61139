package soak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

// fault is one thing that breaks, or that people do meanwhile.
type fault struct {
	name string
	do   func(s *soak)
	// restarts says that the controller is another process afterwards.
	restarts bool
}

// faults are of the kinds that package faults breaks one by one.
var faults = []fault{
	{name: "reconcile requested", do: (*soak).request},
	{name: "object deleted", do: (*soak).deleteOne},
	{name: "runner SIGKILL", do: func(s *soak) { s.strikeRunner(syscall.SIGKILL) }},
	{name: "runner SIGKILL", do: func(s *soak) { s.strikeRunner(syscall.SIGKILL) }},
	{name: "runner SIGTERM", do: func(s *soak) { s.strikeRunner(syscall.SIGTERM) }},
	{name: "runner pod deleted", do: (*soak).deletePod},
	{name: "source-controller SIGKILL", do: func(s *soak) {
		s.Expect(system.Sources.Kill()).To(Succeed())
		s.Expect(system.StartSources(s.ctx)).To(Succeed())
	}},
	{name: "API server hangs for 10 s", do: func(s *soak) {
		s.Expect(system.APIServer.Signal(syscall.SIGSTOP)).To(Succeed())
		s.pass(10 * time.Second)
		s.Expect(system.APIServer.Signal(syscall.SIGCONT)).To(Succeed())
	}},
	{name: "API server restarts", do: func(s *soak) {
		s.Expect(system.APIServer.Kill()).To(Succeed())
		s.Expect(system.StartAPIServer(s.ctx)).To(Succeed())
	}},
	{name: "conflicts for 10 s", do: func(s *soak) { s.storm(http.StatusConflict, metav1.StatusReasonConflict) }},
	{name: "too many requests for 10 s", do: func(s *soak) { s.storm(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests) }},
	{name: "controller SIGKILL", restarts: true, do: func(s *soak) {
		s.Expect(system.Controller.Kill()).To(Succeed())
		s.startController()
	}},
	{name: "controller SIGTERM", restarts: true, do: func(s *soak) {
		s.Expect(system.Controller.Stop()).To(Succeed())
		s.startController()
	}},
}

func (s *soak) startController() {
	controller, err := system.StartController(s.ctx, "terraform-controller-restarted")
	s.Expect(err).NotTo(HaveOccurred())
	system.Controller = controller
}

// pass lets time pass: the time that a fault lasts, or that lies between two.
func (s *soak) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

func (s *soak) commit(t *tenant) {
	t.version++
	var err error
	t.revision, err = t.Commit(s.ctx, fmt.Sprintf("version %d", t.version), map[string]string{"main.tf": module(t.version)})
	s.Expect(err).NotTo(HaveOccurred())
}

func (s *soak) request() {
	for range 5 {
		s.tolerate(local.Annotate(s.ctx, system.Client, s.one(), meta.ReconcileRequestAnnotation, time.Now().Format(time.RFC3339Nano)))
	}
}

// deleteOne deletes an object, which destroys what is its own. It is not made anew.
func (s *soak) deleteOne() {
	tf := s.one()
	s.tolerate(system.Client.Delete(s.ctx, tf))
	s.deleted[client.ObjectKeyFromObject(tf)] = true
}

func (s *soak) strikeRunner(signal syscall.Signal) {
	if all := system.Node.Processes(); len(all) > 0 {
		// One that has ended in between needs no strike.
		_ = system.Node.Kill(all[s.random.IntN(len(all))].PodUID, signal)
	}
}

func (s *soak) deletePod() {
	if all := system.Node.Processes(); len(all) > 0 {
		p := all[s.random.IntN(len(all))]
		s.tolerate(system.Client.Delete(s.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Pod}}))
	}
}

// storm lets every second write of our programs fail.
func (s *soak) storm(code int, reason metav1.StatusReason) {
	var count atomic.Int64
	system.Proxy.Interfere(func(w http.ResponseWriter, r *http.Request) bool {
		agent := r.UserAgent()
		ours := strings.HasPrefix(agent, "terraform-controller/") || strings.HasPrefix(agent, "terraform-runner/")
		if !ours || r.Method == http.MethodGet || count.Add(1)%2 == 0 {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{ // a client that has gone needs no answer
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code),
		})
		return true
	})
	s.pass(10 * time.Second)
	system.Proxy.Interfere(nil)
}

// one is any of the objects that were not deleted.
func (s *soak) one() *infrav1.Terraform {
	for {
		t := s.tenants[s.random.IntN(len(s.tenants))]
		name := t.names[s.random.IntN(len(t.names))]
		if key := (client.ObjectKey{Namespace: t.Namespace, Name: name}); !s.deleted[key] {
			return &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		}
	}
}

// tolerate is for what a person would simply do again: what they name may be gone.
func (s *soak) tolerate(err error) { s.Expect(client.IgnoreNotFound(err)).NotTo(HaveOccurred()) }
