package faults

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestWebhooks_OutliveTheController: one that dies while it waits for an answer has asked for nothing; the next one asks
// again. One that dies after the answer is not missed: nobody is asked twice.
func TestWebhooks_OutliveTheController(t *testing.T) {
	var asked atomic.Int32
	hangs, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if asked.Add(1) == 1 {
			close(hangs)
			select {
			case <-r.Context().Done():
			case <-end:
			}
			return
		}
		io.WriteString(w, `{"passed": true}`)
	}))
	defer server.Close()
	defer close(end)
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(func(tf *infrav1.Terraform) {
		tf.Spec.Webhooks = []infrav1.Webhook{{Stage: "post-planning", URL: server.URL, TestExpression: "${{ .passed }}"}}
	})
	s.Eventually(hangs).Should(BeClosed())
	s.Expect(system.Controller.Kill()).To(Succeed())
	restart(s)
	id := s.Held()
	s.Expect(asked.Load()).To(Equal(int32(2)))
	s.Expect(s.Get().Status.Webhooks.Allowed).To(BeTrue())

	s.Expect(system.Controller.Kill()).To(Succeed())
	restart(s)
	s.Annotate(infrav1.ApprovePlanAnnotation, id)
	s.Applied(s.Revision())
	s.Expect(asked.Load()).To(Equal(int32(2)), "the verdict is known")
	s.Expect(s.Get().Status.RunSequence).To(Equal(int64(2)), "one plan, one apply")
}
