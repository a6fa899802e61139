package networks

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

// ModuleRegistry serves one module, acme/greeting/local 1.0.0, to those who have the token. The answer is its host and port.
func (a *Authority) ModuleRegistry(token string, files map[string]string) string {
	a.t.Helper()
	archive, err := cluster.Tarball(files)
	a.must(err)
	const module = "/modules/acme/greeting/local/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/terraform.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"modules.v1": "/modules/"})
	})
	private := func(path string, handle http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			handle(w, r)
		})
	}
	private("GET "+module+"versions", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, json.RawMessage(`{"modules":[{"versions":[{"version":"1.0.0"}]}]}`))
	})
	private("GET "+module+"1.0.0/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Terraform-Get", "/archive.tar.gz")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /archive.tar.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) })
	return a.serve(mux)
}

// ProviderMirror serves one provider of a folder that is laid out as a filesystem mirror, unpacked, to everybody. The answer is
// its URL.
func (a *Authority) ProviderMirror(folder, provider, version, platform string) string {
	a.t.Helper()
	packed := a.zip(filepath.Join(folder, filepath.FromSlash(provider), version, platform))
	mux := http.NewServeMux()
	prefix := "GET /" + provider + "/"
	mux.HandleFunc(prefix+"index.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"versions": map[string]any{version: struct{}{}}})
	})
	mux.HandleFunc(prefix+version+".json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"archives": map[string]any{platform: map[string]string{"url": "provider.zip"}}})
	})
	mux.HandleFunc(prefix+"provider.zip", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed) })
	return "https://" + a.serve(mux) + "/"
}

func (a *Authority) zip(folder string) []byte {
	a.t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	a.must(filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: strings.TrimPrefix(path, folder+"/"), Method: zip.Deflate}
		header.SetMode(0o755)
		file, err := archive.CreateHeader(header)
		if err == nil {
			_, err = file.Write(content)
		}
		return err
	}))
	a.must(archive.Close())
	return packed.Bytes()
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
	}
}
