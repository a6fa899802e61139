package engine

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/gopenpgp/v2/crypto"
	"github.com/hashicorp/go-version"
	. "github.com/onsi/gomega"
	"github.com/opentofu/tofudl"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

func parsed(t *testing.T, text string) *version.Version {
	t.Helper()
	v, err := version.NewVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func replaceRoot(text, root string) string { return strings.ReplaceAll(text, "ROOT", root) }

// askedIn are the engines below root that were asked for their version.
func askedIn(t *testing.T, root string) []string {
	t.Helper()
	var asked []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if engine, is := strings.CutSuffix(path, ".asked"); is {
			name, _ := filepath.Rel(root, engine)
			asked = append(asked, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

// maker is a maker of engines on the loopback, with a key of its own.
type maker struct {
	key      *crypto.Key
	releases *Releases
	// spoil changes what is served, by the end of its path.
	spoil map[string]func([]byte) []byte
	// password that is wanted; "" for none.
	password string
	// served are the paths.
	mu     sync.Mutex
	served []string
}

func newMaker(t *testing.T, versions ...string) *maker {
	t.Helper()
	key, err := crypto.GenerateKey("Test", "test@example.org", "x25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	armoured, err := key.GetArmoredPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{key: key, spoil: map[string]func([]byte) []byte{}}
	mux := http.NewServeMux()
	mux.Handle("/terraform/", m.terraform(t, versions))
	mux.Handle("/", m.tofu(t, versions))
	server := httptest.NewServer(m.changing(mux))
	t.Cleanup(server.Close)
	m.releases = &Releases{TerraformURL: server.URL, TofuURL: server.URL, TerraformKey: armoured, TofuKey: armoured}
	return m
}

func (m *maker) changing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.served = append(m.served, r.URL.Path)
		m.mu.Unlock()
		if _, password, _ := r.BasicAuth(); password != m.password {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		body := recorded.Body.Bytes()
		for end, change := range m.spoil {
			if strings.HasSuffix(r.URL.Path, end) {
				body = change(bytes.Clone(body))
			}
		}
		maps.Copy(w.Header(), recorded.Header())
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body)
	})
}

func (m *maker) tofu(t *testing.T, versions []string) http.Handler {
	t.Helper()
	storage, err := tofudl.NewFilesystemStorage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := tofudl.NewMirror(tofudl.MirrorConfig{}, storage, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		builder, err := tofudl.NewReleaseBuilder(m.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := builder.PackageBinary(tofudl.PlatformAuto, tofudl.ArchitectureAuto, []byte(saying(v)), nil); err != nil {
			t.Fatal(err)
		}
		if err := builder.Build(t.Context(), tofudl.Version(v), mirror); err != nil {
			t.Fatal(err)
		}
	}
	return mirror
}

// terraform is laid out as releases.hashicorp.com is.
func (m *maker) terraform(t *testing.T, versions []string) http.Handler {
	t.Helper()
	files := map[string][]byte{}
	index := map[string]any{}
	for _, v := range versions {
		zipName, sums := fmt.Sprintf("terraform_%s_%s_%s.zip", v, runtime.GOOS, runtime.GOARCH), fmt.Sprintf("terraform_%s_SHA256SUMS", v)
		at := "/terraform/" + v + "/"
		entry := map[string]any{
			"name": "terraform", "version": v, "shasums": sums, "shasums_signature": sums + ".sig",
			"builds": []map[string]string{{"name": "terraform", "version": v, "os": runtime.GOOS, "arch": runtime.GOARCH, "filename": zipName, "url": at + zipName}},
		}
		index[v] = entry
		files[at+"index.json"] = encoded(t, entry)
		files[at+zipName] = zipped(t, "terraform", saying(v))
		files[at+sums] = fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(files[at+zipName]), zipName)
		files[at+sums+".sig"] = m.signed(t, files[at+sums])
	}
	files["/terraform/index.json"] = encoded(t, map[string]any{"name": "terraform", "versions": index})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, found := files[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", map[string]string{".json": "application/json", ".zip": "application/zip"}[filepath.Ext(r.URL.Path)])
		_, _ = w.Write(content)
	})
}

func (m *maker) signed(t *testing.T, content []byte) []byte {
	t.Helper()
	ring, err := crypto.NewKeyRing(m.key)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := ring.SignDetached(crypto.NewPlainMessage(content))
	if err != nil {
		t.Fatal(err)
	}
	return signature.GetBinary()
}

func encoded(t *testing.T, what any) []byte {
	t.Helper()
	data, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func zipped(t *testing.T, name, content string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	file, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func wanted(t *testing.T, name, version string) Request {
	t.Helper()
	r, err := NewRequest(&v1alpha2.EngineSpec{Name: name, Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestInstall_GetsTheNewestThatIsWanted(t *testing.T) {
	m := newMaker(t, "1.9.0", "1.9.8", "1.10.0-rc1", "1.4.0")
	for _, name := range []string{Tofu, Terraform} {
		for ask, want := range map[string]string{"1.9.0": "1.9.0", "~> 1.9": "1.9.8", "": "1.9.8", "1.10.0-rc1": "1.10.0-rc1"} {
			t.Run(name+" "+ask, func(t *testing.T) {
				g := NewWithT(t)
				t.Setenv("PATH", "/usr/bin:/bin")
				places := &Places{Cache: filepath.Join(t.TempDir(), "deep", "cache"), Releases: m.releases}
				got, err := places.Find(t.Context(), wanted(t, name, ask))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(got).To(Equal(Binary{
					Path: filepath.Join(places.Cache, name+"_"+want, name), Identity: v1alpha2.EngineIdentity{Name: name, Version: want},
				}))
				before := len(m.served)
				again, err := places.Find(t.Context(), wanted(t, name, ask))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(again).To(Equal(got))
				g.Expect(m.served).To(HaveLen(before), "what is there is not downloaded again")
			})
		}
	}
}

func TestInstall_RefusesWhatIsNotSignedByTheMaker(t *testing.T) {
	flip := func(content []byte) []byte { content[len(content)/2] ^= 1; return content }
	for _, tc := range []struct{ name, version, end, why string }{
		{Terraform, "1.9.8", ".zip", "another archive than the checksum is of"},
		{Terraform, "1.9.8", "SHA256SUMS", "other checksums than were signed"},
		{Terraform, "1.9.8", ".sig", "a broken signature"},
		{Tofu, "1.9.8", ".tar.gz", "another archive than the checksum is of"},
		{Tofu, "1.9.8", "SHA256SUMS", "other checksums than were signed"},
		{Tofu, "1.9.8", ".gpgsig", "a broken signature"},
	} {
		t.Run(tc.name+": "+tc.why, func(t *testing.T) {
			g := NewWithT(t)
			m := newMaker(t, tc.version)
			m.spoil[tc.end] = flip
			t.Setenv("PATH", "/usr/bin:/bin")
			places := &Places{Cache: t.TempDir(), Releases: m.releases}
			_, err := places.Find(t.Context(), wanted(t, tc.name, tc.version))
			g.Expect(err).To(MatchError(ContainSubstring("no "+tc.name+" 1.9.8 was found, nor could it be downloaded (get it from its maker: ")), tc.why)
			left, err := os.ReadDir(places.Cache)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty(), "nothing is left")
		})
	}
	t.Run("a key that is not the maker's", func(t *testing.T) {
		for _, name := range []string{Tofu, Terraform} {
			g := NewWithT(t)
			m := newMaker(t, "1.9.8")
			m.releases.TerraformKey, m.releases.TofuKey = "", ""
			_, err := (&Places{Cache: t.TempDir(), Releases: m.releases}).Find(t.Context(), wanted(t, name, "1.9.8"))
			g.Expect(err).To(MatchError(ContainSubstring("ignature")), name)
		}
	})
}

func TestInstall_SaysWhatCanNotBeHad(t *testing.T) {
	m := newMaker(t, "1.9.8")
	t.Setenv("PATH", "/usr/bin:/bin")
	for _, name := range []string{Tofu, Terraform} {
		for _, ask := range []string{"1.9.9", "~> 1.10"} {
			_, err := (&Places{Cache: t.TempDir(), Releases: m.releases}).Find(t.Context(), wanted(t, name, ask))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring("spec.engine: no " + name + " " + ask + " was found, nor could it be downloaded (")))
		}
	}
	away := &Releases{TerraformURL: "http://127.0.0.1:1", TofuURL: "http://127.0.0.1:1"}
	for _, name := range []string{Tofu, Terraform} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := (&Places{Cache: t.TempDir(), Releases: away}).Find(ctx, wanted(t, name, "1.9.9"))
		cancel()
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("127.0.0.1:1")), "the address that could not be reached")
	}
	_, err := (&Places{Cache: "/proc/nowhere", Releases: m.releases}).Find(t.Context(), wanted(t, Tofu, "1.9.8"))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("make the cache: ")))
}

func TestInstall_FromAMirrorWithAPassword(t *testing.T) {
	t.Setenv("PATH", "/usr/bin:/bin")
	for _, name := range []string{Tofu, Terraform} {
		g := NewWithT(t)
		m := newMaker(t, "1.9.8")
		m.password = "wal rus"
		_, err := (&Places{Cache: t.TempDir(), Releases: m.releases}).Find(t.Context(), wanted(t, name, "1.9.8"))
		g.Expect(err).To(MatchError(ContainSubstring("401")))
		for password, ok := range map[string]bool{"wal%20rus": true, "oyster%20wrong": false} {
			with := *m.releases
			with.TerraformURL = strings.Replace(with.TerraformURL, "http://", "http://carroll:"+password+"@", 1)
			with.TofuURL = with.TerraformURL
			_, err := (&Places{Cache: t.TempDir(), Releases: &with}).Find(t.Context(), wanted(t, name, "1.9.8"))
			g.Expect(err == nil).To(Equal(ok), "%v", err)
			if err != nil {
				g.Expect(err.Error()).NotTo(ContainSubstring("oyster"), "it is not told")
			}
		}
		_, err = (&Places{Cache: t.TempDir(), Releases: &Releases{TerraformURL: "http://a:oyster%zz@b", TofuURL: "http://a:oyster%zz@b"}}).Find(t.Context(), wanted(t, name, ""))
		g.Expect(err).To(MatchError(ContainSubstring("the URL of the mirror can't be read")))
		g.Expect(err.Error()).NotTo(ContainSubstring("oyster"))
	}
}

func TestInstall_ManyAtOnceShareTheCache(t *testing.T) {
	g := NewWithT(t)
	m := newMaker(t, "1.9.8")
	t.Setenv("PATH", "/usr/bin:/bin")
	cache := t.TempDir()
	abandoned := filepath.Join(cache, partPrefix+"old")
	g.Expect(os.Mkdir(abandoned, 0o700)).To(Succeed())
	g.Expect(os.Chtimes(abandoned, time.Time{}, time.Now().Add(-48*time.Hour))).To(Succeed())
	errs := make(chan error)
	const many = 12
	for i := range many {
		go func() {
			name := []string{Tofu, Terraform}[i%2]
			got, err := (&Places{Cache: cache, Releases: m.releases}).Find(t.Context(), Request{Name: name})
			if err == nil && got.Path != filepath.Join(cache, name+"_1.9.8", name) {
				err = fmt.Errorf("found %s", got.Path)
			}
			errs <- err
		}()
	}
	for range many {
		g.Expect(<-errs).NotTo(HaveOccurred())
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	hidden, err := filepath.Glob(filepath.Join(cache, ".*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(append(left, hidden...)).To(ConsistOf(filepath.Join(cache, "tofu_1.9.8"), filepath.Join(cache, "terraform_1.9.8")), "nor is anything of a killed one")
}
