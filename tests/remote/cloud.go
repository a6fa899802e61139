package remote

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Organization and Token are those of a Cloud.
const (
	Organization = "acme"
	Token        = "kept-in-a-vault.atlasv1.0123456789"
)

// Cloud is a service with the API of Terraform Enterprise, as far as engines need it for workspaces whose runs are done by
// the engine itself.
type Cloud struct {
	// Host and port of the service.
	Host string
	// CA is the certificate of its authority, in PEM.
	CA []byte

	url     string
	mu      sync.Mutex
	spaces  map[string]*workspace
	refused int
	begun   []string
}

// workspace of a Cloud.
type workspace struct {
	name, mode string
	tags       []string
	locked     bool
	state      []byte
	serial     int
}

// object is one of the API.
type object map[string]any

// NewCloud starts one without workspaces that ends with the test.
func NewCloud(t *testing.T) *Cloud {
	t.Helper()
	c := &Cloud{spaces: map[string]*workspace{}}
	server := httptest.NewTLSServer(c.routes())
	t.Cleanup(server.Close)
	c.url, c.Host = server.URL, strings.TrimPrefix(server.URL, "https://")
	c.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return c
}

// Workspace makes a workspace whose runs are done there: local, or remote.
func (c *Cloud) Workspace(name, mode string, tags ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces[name] = &workspace{name: name, mode: mode, tags: tags}
}

// Lock locks a workspace as somebody else would.
func (c *Cloud) Lock(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces[name].locked = true
}

// State is that of a workspace; empty when there is none.
func (c *Cloud) State(name string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.spaces[name]; w != nil {
		return append([]byte(nil), w.state...)
	}
	return nil
}

// Refused is how many requests had no good token.
func (c *Cloud) Refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Begun are the requests that would have begun a run in the service.
func (c *Cloud) Begun() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.begun...)
}

func (c *Cloud) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/terraform.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"tfe.v2":"/api/v2/"}`)
	})
	api := map[string]func(http.ResponseWriter, *http.Request){
		"GET /api/v2/ping": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"GET /api/v2/organizations/" + Organization + "/entitlement-set": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, object{"data": object{"id": "org-1", "type": "entitlement-sets", "attributes": object{"operations": true, "state-storage": true}}})
		},
		"GET /api/v2/organizations/" + Organization + "/workspaces":        c.list,
		"POST /api/v2/organizations/" + Organization + "/workspaces":       c.create,
		"GET /api/v2/organizations/" + Organization + "/workspaces/{name}": c.with("name", describe),
		"PATCH /api/v2/workspaces/{id}":                                    c.with("id", describe),
		"GET /api/v2/workspaces/{id}":                                      c.with("id", describe),
		"POST /api/v2/workspaces/{id}/relationships/tags":                  c.with("id", describe),
		"POST /api/v2/workspaces/{id}/actions/{action}":                    c.with("id", act),
		"GET /api/v2/workspaces/{id}/current-state-version":                c.with("id", c.current),
		"POST /api/v2/workspaces/{id}/state-versions":                      c.with("id", c.newState),
		"GET /api/v2/state-versions/{id}":                                  c.with("id", c.current),
		"GET /api/v2/workspaces/{id}/current-state-version-outputs":        c.with("id", outputs),
		"POST /api/v2/workspaces/{id}/configuration-versions":              c.begin,
		"POST /api/v2/runs":                                                c.begin,
		"GET /state/{id}":                                                  c.with("id", func(w http.ResponseWriter, _ *http.Request, s *workspace) { _, _ = w.Write(s.state) }),
	}
	for pattern, handler := range api {
		mux.HandleFunc(pattern, c.known(handler))
	}
	mux.HandleFunc("PUT /state/{id}/{part}", c.with("id", upload)) // such an address is secret by itself
	return mux
}

// known lets only those in who have the token.
func (c *Cloud) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Tfp-Api-Version", "2.6")
		if r.Header.Get("Authorization") == "Bearer "+Token {
			next(w, r)
			return
		}
		c.mu.Lock()
		c.refused++
		c.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"status":"401","title":"unauthorized"}]}`)
	}
}

// with finds the workspace of a request. IDs are ws-NAME.
func (c *Cloud) with(parameter string, next func(http.ResponseWriter, *http.Request, *workspace)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		s := c.spaces[strings.TrimPrefix(r.PathValue(parameter), "ws-")]
		if s == nil {
			notFound(w)
			return
		}
		next(w, r, s)
	}
}

func (c *Cloud) list(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data := []object{}
	for _, s := range c.spaces {
		if s.hasAll(strings.Split(r.URL.Query().Get("search[tags]"), ",")) {
			data = append(data, s.object())
		}
	}
	answer(w, object{"data": data, "meta": object{"pagination": object{"current-page": 1, "total-pages": 1, "total-count": len(data)}}})
}

func (s *workspace) hasAll(tags []string) bool {
	own := "," + strings.Join(s.tags, ",") + ","
	for _, tag := range tags {
		if tag != "" && !strings.Contains(own, ","+tag+",") {
			return false
		}
	}
	return true
}

func (c *Cloud) create(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Data struct {
			Attributes struct{ Name string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &workspace{name: asked.Data.Attributes.Name, mode: "local"}
	c.spaces[s.name] = s
	answer(w, object{"data": s.object()})
}

func (s *workspace) object() object {
	return object{"id": "ws-" + s.name, "type": "workspaces", "attributes": object{
		"name": s.name, "execution-mode": s.mode, "operations": s.mode != "local", "locked": s.locked, "terraform-version": "latest", "tag-names": s.tags,
		"permissions": object{"can-queue-run": true, "can-queue-apply": true, "can-lock": true, "can-unlock": true, "can-force-unlock": true},
	}}
}

func describe(w http.ResponseWriter, _ *http.Request, s *workspace) {
	answer(w, object{"data": s.object()})
}

func act(w http.ResponseWriter, r *http.Request, s *workspace) {
	lock := r.PathValue("action") == "lock"
	if lock && s.locked {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"errors":[{"status":"409","title":"conflict"}]}`)
		return
	}
	s.locked = lock
	answer(w, object{"data": s.object()})
}

// newState begins an upload.
func (c *Cloud) newState(w http.ResponseWriter, r *http.Request, s *workspace) {
	var asked struct {
		Data struct{ Attributes struct{ Serial int } }
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.serial = asked.Data.Attributes.Serial
	answer(w, c.version(s))
}

func (c *Cloud) version(s *workspace) object {
	at := c.url + "/state/ws-" + s.name
	return object{"data": object{"id": "ws-" + s.name, "type": "state-versions", "attributes": object{
		"serial": s.serial, "status": "finalized", "hosted-state-download-url": at,
		"hosted-state-upload-url": at + "/state", "hosted-json-state-upload-url": at + "/json",
	}}}
}

func (c *Cloud) current(w http.ResponseWriter, _ *http.Request, s *workspace) {
	if s.state == nil {
		notFound(w)
		return
	}
	answer(w, c.version(s))
}

func upload(w http.ResponseWriter, r *http.Request, s *workspace) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.PathValue("part") == "state" {
		s.state = body
	}
}

// outputs have no detailed type, so that engines read the state.
func outputs(w http.ResponseWriter, _ *http.Request, s *workspace) {
	var file struct {
		Outputs map[string]struct {
			Value json.RawMessage
			Type  json.RawMessage
		}
	}
	if s.state == nil || json.Unmarshal(s.state, &file) != nil {
		notFound(w)
		return
	}
	data := []object{}
	for name, o := range file.Outputs {
		data = append(data, object{"id": "wsout-" + name, "type": "state-version-outputs", "attributes": object{"name": name, "value": o.Value, "type": "string", "detailed-type": o.Type}})
	}
	answer(w, object{"data": data})
}

// begin is what a run in the service begins with.
func (c *Cloud) begin(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = append(c.begun, r.Method+" "+r.URL.Path)
	http.Error(w, "no runs here", http.StatusForbidden)
}

func answer(w http.ResponseWriter, body object) {
	w.Header().Set("Content-Type", "application/vnd.api+json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Sprintf("encode an answer: %v", err))
	}
}

func notFound(w http.ResponseWriter) {
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errors":[{"status":"404","title":"not found"}]}`)
}
