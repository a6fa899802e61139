package controllers

import (
	"context"
	"net/http"
	"sync"
)

// waitingRequests are the requests that end when the server stops.
type waitingRequests struct {
	mu      sync.Mutex
	cancels map[*http.Request]context.CancelFunc
	over    bool
}

func (w *waitingRequests) add(r *http.Request, cancel context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		cancel()
		return
	}
	if w.cancels == nil {
		w.cancels = map[*http.Request]context.CancelFunc{}
	}
	w.cancels[r] = cancel
}

// done says that a request is none of them any more; false: a stop was faster. It may be called again.
func (w *waitingRequests) done(r *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.cancels, r)
	return !w.over
}

func (w *waitingRequests) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, cancel := range w.cancels {
		cancel()
	}
}

func (w *waitingRequests) stopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}
