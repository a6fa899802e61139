package faults

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// TestSourceControllerAway: nothing can be fetched for a while; the runner waits for it, and no run fails.
func TestSourceControllerAway(t *testing.T) {
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Eventually(s.SourceRevision).ShouldNot(BeEmpty())
	s.Expect(system.Sources.Signal(syscall.SIGTERM)).To(Succeed())
	s.Eventually(system.Sources.Done()).Should(BeClosed())
	s.Create(story.Auto, impatient)
	s.Eventually(func() []infrav1.TerraformRun { return s.Runs() }).Should(ContainElement(HaveField("Status.Step", infrav1.StepFetch)))
	back := time.Now()
	s.Expect(system.StartSources(s.Ctx)).To(Succeed())
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "source-controller back", back)
	s.Expect(s.Runs()).To(HaveLen(2), "no run has failed")
}

// TestArtifactGone_Long: source-controller has deleted the file that its object still names.
func TestArtifactGone_Long(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Eventually(s.SourceRevision).ShouldNot(BeEmpty())
	dir := filepath.Join(system.Artifacts(), "gitrepository", s.Tenant.Namespace)
	s.Expect(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tar.gz") && !entry.IsDir() {
			return os.Remove(path)
		}
		return err
	})).To(Succeed())
	gone := time.Now()
	s.Create(story.Auto, impatient)
	s.Refuses(infrav1.ReasonArtifactFailed, "does not have the artifact any more")
	took(t, "artifact gone: said", gone)
	mended := time.Now()
	s.Expect(s.Tenant.Sync(s.Ctx)).To(Succeed())
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "artifact there again", mended)
}

// TestArtifactCutOff_Long: the connection breaks in the middle of the download, once; the next try gets the whole.
func TestArtifactCutOff_Long(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Eventually(s.SourceRevision).ShouldNot(BeEmpty())
	source := s.Source()
	var downloads atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(system.Artifacts(), filepath.FromSlash(source.Status.Artifact.Path))
		file, err := os.ReadFile(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if downloads.Add(1) > 1 {
			http.ServeFile(w, r, path)
			return
		}
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(file[:len(file)/2])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	// The source is suspended, so that its status stays what the test has written.
	before := source.DeepCopy()
	source.Spec.Suspend = true
	s.Expect(system.Client.Patch(s.Ctx, source, client.MergeFrom(before))).To(Succeed())
	before = source.DeepCopy()
	source.Status.Artifact.URL = server.URL + "/a.tar.gz"
	s.Expect(system.Client.Status().Patch(s.Ctx, source, client.MergeFrom(before))).To(Succeed())
	begun := time.Now()
	s.Create(story.Auto, impatient)
	s.Becomes(metav1.ConditionTrue, infrav1.ReasonAppliedSucceed, ContainSubstring("main@sha1:"))
	took(t, "artifact cut off in the middle of the download", begun)
	s.Expect(downloads.Load()).To(BeNumerically(">=", 2))
}
