package e2e

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/remote"
	"github.com/terraform-controller/terraform-controller/tests/story"
)

// stateIn keeps the state outside of the cluster.
func stateIn(state *remote.State) func(*infrav1.Terraform) {
	return func(tf *infrav1.Terraform) {
		tf.Spec.BackendConfig = &infrav1.BackendConfigSpec{CustomConfiguration: state.Backend()}
	}
}

// TestForceUnlock_LeavesTheLockOfAnotherOutsideOfTheCluster: also where the engine shows itself in the holder's place.
func TestForceUnlock_LeavesTheLockOfAnotherOutsideOfTheCluster(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	state := remote.NewState(t)
	state.Hold("0b1f-lock", "ann@desk")
	s.Create(story.Auto, stateIn(state))
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonLockHeld, ContainSubstring("lock 0b1f-lock, held by"))
	s.Expect(tf.Status.Lock.Pending).To(Equal("0b1f-lock"))
	s.Expect(state.Released()).To(BeEmpty())
	s.Expect(state.Holder()).To(Equal("0b1f-lock"))
}

// TestUnlock_OfABackendOutsideOfTheCluster is none of Terraform's: its force-unlock of an http backend names no lock.
func TestUnlock_OfABackendOutsideOfTheCluster(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	state := remote.NewState(t)
	state.Hold("0b1f-lock", "ann@desk")
	s.Create(story.Auto, stateIn(state), func(tf *infrav1.Terraform) {
		tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "yes", LockIdentifier: "another", LockTimeout: &metav1.Duration{Duration: time.Second}}
	})
	tf := s.Becomes(metav1.ConditionFalse, infrav1.ReasonLockHeld, And(ContainSubstring("0b1f-lock"), ContainSubstring("ann@desk")))
	s.Expect(tf.Status.Lock.Pending).To(Equal("0b1f-lock"))
	s.Expect(state.Holder()).To(Equal("0b1f-lock"), "another one was named")

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.TfState = &infrav1.TfStateSpec{ForceUnlock: "auto"} })
	tf = s.Applied(s.Revision())
	s.Expect(tf.Status.Lock).To(Equal(infrav1.LockStatus{LastApplied: "0b1f-lock"}))
	s.Expect(state.Released()[0]).To(Equal("0b1f-lock"))
	s.Hears(infrav1.ReasonForceUnlock, ContainSubstring("ordered by spec.tfstate"))
	s.Expect(tf.Status.State.Resources).To(Equal(int64(1)))
}

// keptBy lets a service keep the state. Runners trust its authority as users would have it: by a ConfigMap.
func keptBy(s *story.Story, service *remote.Cloud) func(*infrav1.Terraform) {
	s.Expect(system.Client.Create(s.Ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "authority"}, Data: map[string]string{"ca.crt": string(service.CA)},
	})).To(Succeed())
	s.Expect(system.Client.Create(s.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Tenant.Namespace, Name: "cloud"}, StringData: map[string]string{"token": remote.Token},
	})).To(Succeed())
	return func(tf *infrav1.Terraform) {
		tf.Spec.Cloud = &infrav1.CloudSpec{
			Hostname: service.Host, Organization: remote.Organization, Workspaces: &infrav1.CloudWorkspacesSpec{Name: "net"},
			TokenSecretRef: &meta.SecretKeyReference{Name: "cloud"},
		}
		pod := &tf.Spec.RunnerPodTemplate.Spec
		pod.Env = []corev1.EnvVar{{Name: "SSL_CERT_FILE", Value: "/authority/ca.crt"}}
		pod.VolumeMounts = []corev1.VolumeMount{{Name: "authority", MountPath: "/authority"}}
		pod.Volumes = []corev1.Volume{{Name: "authority", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "authority"}},
		}}}
	}
}

func TestCloud_TheStateIsThereAndThePlanIsHeldHere(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	service := remote.NewCloud(t)
	s.Create(keptBy(s, service), story.OutputsTo("outputs"), func(tf *infrav1.Terraform) { tf.Spec.DestroyResourcesOnDeletion = true })
	id := s.Held()
	s.Expect(string(service.State("net"))).NotTo(ContainSubstring("greeting"))

	s.Change(func(tf *infrav1.Terraform) { tf.Spec.ApprovePlan = id })
	tf := s.Becomes(metav1.ConditionTrue, infrav1.ReasonOutputsWritten, ContainSubstring("main@sha1"))
	s.Expect(tf.Status.Plan.LastApplied).To(Equal(id))
	s.Expect(tf.Status.State.Resources).To(Equal(int64(1)))
	s.Expect(string(service.State("net"))).To(ContainSubstring("greeting"))
	s.Expect(string(s.Secret("outputs").Data["greeting"])).To(Equal("hello world"))

	// The token moves into the spec: that is no other plan, and no other state.
	s.Change(func(tf *infrav1.Terraform) { tf.Spec.Cloud.Token, tf.Spec.Cloud.TokenSecretRef = remote.Token, nil })
	s.Hears("TokenInSpec", ContainSubstring("spec.cloud.tokenSecretRef"))
	s.Request()
	s.Expect(s.Get().Status.State.Lineage).To(Equal(tf.Status.State.Lineage))

	s.DeleteObject()
	s.Expect(string(service.State("net"))).NotTo(ContainSubstring("greeting"), "all is destroyed")
	s.Expect(service.Begun()).To(BeEmpty(), "nothing was done in the service")
	for _, run := range s.Runs() {
		s.Expect(run.Spec.Terraform.Cloud.Token).To(BeEmpty())
	}
}

func TestCloud_AWorkspaceThatDoesTheWorkItselfIsRefused(t *testing.T) {
	t.Parallel()
	s := story.New(t, system, map[string]string{"main.tf": story.Greeting})
	service := remote.NewCloud(t)
	service.Workspace("net", "remote")
	s.Create(keptBy(s, service), story.Auto)
	s.Becomes(metav1.ConditionFalse, infrav1.ReasonRemoteExecution, ContainSubstring("execution mode to Local"))
	s.Expect(service.Begun()).To(BeEmpty())
	s.RestsQuietly()

	service.Workspace("net", "local")
	s.Request()
	s.Applied(s.Revision())
}
