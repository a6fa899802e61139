// Package remote has the services outside of the cluster that engines keep their states in, as far as tests need them.
package remote

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// State is a server for the engines' backend "http": one state, and its lock.
type State struct {
	// URL of the state.
	URL string

	mu            sync.Mutex
	content, lock []byte
	released      []string
}

// NewState starts an empty one that ends with the test.
func NewState(t *testing.T) *State {
	t.Helper()
	s := &State{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Backend is the configuration of the backend, with locking.
func (s *State) Backend() string {
	return fmt.Sprintf("backend \"http\" {\n  address        = %[1]q\n  lock_address   = %[1]q\n  unlock_address = %[1]q\n  retry_max      = 0\n}\n", s.URL)
}

// Hold locks the state as somebody else would.
func (s *State) Hold(id, who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock = fmt.Appendf(nil, `{"ID":%q,"Operation":"OperationTypeApply","Who":%q,"Version":"1.12.6","Created":"2026-11-22T12:09:32Z"}`, id, who)
}

// Holder is the ID of the lock that is held, "" for none.
func (s *State) Holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return idOf(s.lock)
}

// Released are the IDs of the locks that were released, in order.
func (s *State) Released() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.released...)
}

// Content is the state; empty when there is none.
func (s *State) Content() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.content...)
}

func idOf(lock []byte) string {
	var info struct{ ID string }
	if json.Unmarshal(lock, &info) != nil {
		return ""
	}
	return info.ID
}

// ServeHTTP implements http.Handler.
func (s *State) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		s.get(w)
	case http.MethodPost:
		s.content = body
	case http.MethodDelete:
		s.content = nil
	case "LOCK", "UNLOCK":
		s.change(w, r.Method == "LOCK", body)
	default:
		http.Error(w, "no such method", http.StatusMethodNotAllowed)
	}
}

func (s *State) get(w http.ResponseWriter) {
	if s.content == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(s.content)
}

// change locks or unlocks. A lock is released by who knows its ID.
func (s *State) change(w http.ResponseWriter, lock bool, body []byte) {
	held := idOf(s.lock)
	switch {
	case lock && held == "":
		s.lock = body
	case !lock && held == idOf(body):
		s.lock, s.released = nil, append(s.released, held)
	default:
		w.WriteHeader(http.StatusLocked)
		_, _ = w.Write(s.lock)
	}
}
