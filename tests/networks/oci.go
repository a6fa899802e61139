package networks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

// OCIRegistry serves the repository modules/greeting with one module package, tagged v1, to those who have the password. The answer
// is its host and port, and the content of a Secret of the type kubernetes.io/dockerconfigjson for it.
func (a *Authority) OCIRegistry(username, password, folder string) (host, dockerConfig string) {
	a.t.Helper()
	open := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	a.pushModule(open, a.zip(folder))
	host = a.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != username || given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="modules"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		open.ServeHTTP(w, r)
	}))
	auth := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	a.must(err)
	return host, string(config)
}

func (a *Authority) pushModule(server http.Handler, packed []byte) {
	a.t.Helper()
	send := func(method, path, mediaType string, body []byte) {
		r := httptest.NewRequestWithContext(a.t.Context(), method, "/v2/modules/greeting/"+path, bytes.NewReader(body))
		r.Header.Set("Content-Type", mediaType)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			a.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	blob := func(mediaType string, content []byte) map[string]any {
		sum := digest.FromBytes(content).String()
		send(http.MethodPost, "blobs/uploads/?digest="+sum, "application/octet-stream", content)
		return map[string]any{"mediaType": mediaType, "digest": sum, "size": len(content)}
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "artifactType": "application/vnd.opentofu.modulepkg",
		"config": blob("application/vnd.oci.empty.v1+json", []byte("{}")), "layers": []any{blob("archive/zip", packed)},
	})
	a.must(err)
	send(http.MethodPut, "manifests/v1", manifestType, manifest)
}
