package config_test

import (
	"net/http"
	"time"
)

// patient asks again while the API server is not available: its policies look kinds up in a list that they now and then read
// anew, and meanwhile know none.
type patient struct{ http.RoundTripper }

func (p patient) RoundTrip(req *http.Request) (*http.Response, error) {
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for {
		resp, err := p.RoundTripper.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			return resp, err
		}
		pause := time.NewTimer(100 * time.Millisecond)
		select {
		case <-patience.C:
			return resp, nil
		case <-pause.C:
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}
