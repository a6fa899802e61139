package inputs_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

func TestReader_EnvironmentIsThatOfSecrets(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"}, StringData: map[string]string{"a": "changed since", "b": "x", "c": "x"}})
	named := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	pod := &v1alpha2.RunnerPodSpec{
		Env: []corev1.EnvVar{
			{Name: "PLAIN", Value: "plain"},
			{Name: "ONE", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("one"), Key: "key"}}},
			{Name: "MAP", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: named("map"), Key: "key"}}},
		},
		EnvFrom: []corev1.EnvFromSource{
			{Prefix: "OF_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named("all")}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named("absent"), Optional: ptr.To(true)}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named("gone")}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: named("map")}},
		},
	}
	has := map[string]string{"PLAIN": "plain", "ONE": "hidden1", "MAP": "public", "OF_a": "hidden2", "OF_c": "true", "a": "other"}
	values, err := inputs.NewReader(api.Client, namespace).Environment(t.Context(), pod, func(name string) string { return has[name] })
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
	g.Expect(err).To(MatchError(`spec.runnerPodTemplate.spec.envFrom[2].secretRef: Secret "` + namespace + `/gone" does not exist; create it, or set optional to true`))
	g.Expect(values).To(Equal([]string{"hidden1", "hidden2"}), "as the pod has them, and what it has not is left out")
}
