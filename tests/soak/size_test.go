package soak

import (
	"net/http"
	"time"

	. "github.com/onsi/gomega"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// size is what a process that leaks has more and more of.
type size struct{ goroutines, heap, files float64 }

// size of the controller when it has collected its garbage.
func (s *soak) size() size {
	s.get("http://" + metrics + "/debug/pprof/heap?gc=1").Body.Close()
	resp := s.get("http://" + metrics + "/metrics")
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	s.Expect(err).NotTo(HaveOccurred())
	gauge := func(name string) float64 { return value(families[name]) }
	found := size{goroutines: gauge("go_goroutines"), heap: gauge("go_memstats_heap_alloc_bytes") / (1 << 20), files: gauge("process_open_fds")}
	s.Expect(found.goroutines).To(BeNumerically(">", 0), "the controller tells its size")
	return found
}

func value(family *dto.MetricFamily) float64 {
	if family == nil || len(family.Metric) == 0 {
		return 0
	}
	return family.Metric[0].GetGauge().GetValue()
}

func (s *soak) get(url string) *http.Response {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, nil)
	s.Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(req)
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(resp.StatusCode).To(Equal(http.StatusOK), url)
	return resp
}

// sameSize: a process that does the same work for longer has no more goroutines, files and memory; what stays allowed is
// that of caches, of which a run's history has its part.
func (s *soak) sameSize(before size) {
	var now size
	s.Eventually(func(g Gomega) {
		now = s.size()
		g.Expect(now.goroutines).To(BeNumerically("<=", before.goroutines+10))
		g.Expect(now.files).To(BeNumerically("<=", before.files+10))
		g.Expect(now.heap).To(BeNumerically("<=", before.heap*1.25+5))
	}).WithTimeout(2 * time.Minute).WithPolling(5 * time.Second).Should(Succeed())
	s.t.Logf("figure: the controller before and after: goroutines %.0f %.0f, heap %.1f %.1f MiB, open files %.0f %.0f",
		before.goroutines, now.goroutines, before.heap, now.heap, before.files, now.files)
}
