package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"regexp"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

const stateSecret = "tfstate-default-net"

var overrideToken = regexp.MustCompile(infrav1.StateGuardOverrideAnnotation + `: ([a-z]+-[0-9a-f]{8})`)

// TestStateGuard: whatever has become of the state, the engine is not started on it: it would make all again, or destroy
// what it no longer knows. A person can agree to one finding, and to no other.
func TestStateGuard(t *testing.T) {
	compat.Shows(t, "state.guard", "promise.hybrid")
	cases := map[string]struct {
		harm func(*story.Story, *corev1.Secret)
		says string
	}{
		"deleted": {harm: func(s *story.Story, secret *corev1.Secret) {
			s.Expect(system.Client.Delete(s.Ctx, secret)).To(Succeed())
		}, says: "the state is gone"},
		"other lineage": {harm: edited(func(state map[string]any) { state["lineage"] = "another" }), says: "the state is another one"},
		"older":         {harm: edited(func(state map[string]any) { state["serial"] = 1 }), says: "the state is older than it was"},
		"collapsed": {harm: edited(func(state map[string]any) {
			state["serial"], state["resources"], state["outputs"] = 9, []any{}, map[string]any{}
		}), says: "the state has collapsed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
			s.Create(story.Auto)
			applied := s.Applied(s.Revision())
			tc.harm(s, s.Secret(stateSecret))
			harmed := version(s)
			s.Request()
			s.Refuses(infrav1.ReasonStateGuard, tc.says, "put the state back", infrav1.StateGuardOverrideAnnotation)
			s.Request()
			s.Refuses(infrav1.ReasonStateGuard, tc.says)
			tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonStateGuard, ContainSubstring(tc.says))
			s.Expect(tf.Status.State).To(Equal(applied.Status.State), "what was refused is not what is expected next")
			s.Expect(tf.Status.AppliesStarted).To(Equal(applied.Status.AppliesStarted))
			s.Expect(version(s)).To(Equal(harmed), "nothing is made again, and nothing mended in secret")

			s.Annotate(infrav1.StateGuardOverrideAnnotation, "gone-00000000")
			s.Eventually(func() int64 { return s.Get().Status.RunSequence }).Should(Equal(tf.Status.RunSequence+1), "another word is looked at")
			s.Becomes(metav1.ConditionFalse, infrav1.ReasonStateGuard, ContainSubstring(tc.says))
			s.RestsQuietly()
			s.Expect(version(s)).To(Equal(harmed))

			token := overrideToken.FindStringSubmatch(conditions.GetMessage(tf, meta.ReadyCondition))
			s.Expect(token).To(HaveLen(2))
			s.Annotate(infrav1.StateGuardOverrideAnnotation, token[1])
			s.Hears("StateGuardOverridden", ContainSubstring(tc.says))
			tf = s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
			s.Expect(tf.Status.StateOverride.Token).To(Equal(token[1]))
			s.Expect(tf.Status.State).NotTo(Equal(applied.Status.State))
			s.RestsQuietly()
		})
	}
}

func TestStateGuard_ATruncatedStateIsPutBack(t *testing.T) {
	compat.Shows(t, "use.back-up-and-restore-state")
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	s.Create(story.Auto)
	applied := s.Applied(s.Revision())
	secret := s.Secret(stateSecret)
	good := secret.Data["tfstate"]
	secret.Data["tfstate"] = good[:len(good)/2]
	s.Expect(system.Client.Update(s.Ctx, secret)).To(Succeed())
	harmed := version(s)
	s.Request()
	s.Refuses(infrav1.ReasonStateGuard, stateSecret, "it ends too early", "put a good copy")
	s.Expect(version(s)).To(Equal(harmed))

	secret = s.Secret(stateSecret)
	secret.Data["tfstate"] = good
	s.Expect(system.Client.Update(s.Ctx, secret)).To(Succeed())
	s.Request()
	tf := s.Becomes(metav1.ConditionTrue, "", ContainSubstring("main@sha1:"))
	s.Expect(tf.Status.State).To(Equal(applied.Status.State))
	s.Expect(tf.Status.AppliesCompleted).To(Equal(applied.Status.AppliesCompleted), "nothing had to be made again")
}

// version of the state Secret; "" when there is none.
func version(s *story.Story) string {
	secret := &corev1.Secret{}
	if isGone(s, secret, stateSecret) {
		return ""
	}
	return secret.ResourceVersion
}

// edited changes the state in its Secret, as a person with a text editor would.
func edited(change func(map[string]any)) func(*story.Story, *corev1.Secret) {
	return func(s *story.Story, secret *corev1.Secret) {
		unzipped, err := gzip.NewReader(bytes.NewReader(secret.Data["tfstate"]))
		s.Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(unzipped)
		s.Expect(err).NotTo(HaveOccurred())
		state := map[string]any{}
		s.Expect(json.Unmarshal(content, &state)).To(Succeed())
		change(state)
		content, err = json.Marshal(state)
		s.Expect(err).NotTo(HaveOccurred())
		var zipped bytes.Buffer
		writer := gzip.NewWriter(&zipped)
		_, err = writer.Write(content)
		s.Expect(err).NotTo(HaveOccurred())
		s.Expect(writer.Close()).To(Succeed())
		secret.Data["tfstate"] = zipped.Bytes()
		s.Expect(system.Client.Update(s.Ctx, secret)).To(Succeed())
	}
}
