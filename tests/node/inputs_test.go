package node_test

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func volumes(volumes ...corev1.Volume) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Volumes = volumes }
}

func mounted(c corev1.Container, mounts ...corev1.VolumeMount) corev1.Container {
	c.VolumeMounts = mounts
	return c
}

func TestVolumes_EmptyDir(t *testing.T) {
	b := newBench(t)
	writer := mounted(shell("writer", "stat -c %a /a; mkdir /a/sub; echo deep > /a/sub/file; mkfifo /a/done; echo > /a/done; cat /a/done"),
		corev1.VolumeMount{Name: "v", MountPath: "/a"})
	reader := mounted(shell("reader", "until [ -p /all/done ]; do :; done; cat /all/done; cat /file /nested/path/file; touch /all/x 2>/dev/null || echo read-only; echo > /w/done"),
		corev1.VolumeMount{Name: "v", MountPath: "/all", ReadOnly: true}, corev1.VolumeMount{Name: "v", MountPath: "/w"},
		corev1.VolumeMount{Name: "s", MountPath: "/nested/path", SubPath: "part"}, corev1.VolumeMount{Name: "s", MountPath: "/file", SubPath: "part/file"})
	fill := mounted(shell("fill", "echo part > /s/file"), corev1.VolumeMount{Name: "s", MountPath: "/s", SubPath: "part"})
	pod := b.create("pod", func(p *corev1.Pod) {
		empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: empty}, {Name: "s", VolumeSource: empty}}
		p.Spec.InitContainers = []corev1.Container{fill}
	}, reader, writer)
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("\npart\npart\nread-only\n"))
	logs, err := local.Node.Logs(b.namespace, "pod", "writer")
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(logs).To(Equal("777\n\n"))
}

func TestVolumes_SecretAndConfigMap(t *testing.T) {
	b := newBench(t)
	b.secret("secret", map[string]string{"a": "1", "b": "2"})
	b.configMap("config", map[string]string{"c": "3", "d": "4"})
	main := mounted(shell("main", "cd /s; grep -r . . | sort; cd /c; grep -r . .; stat -Lc %a /c/deep/c /s/a; touch /s/x 2>/dev/null || echo read-only; ls /o | wc -l"),
		corev1.VolumeMount{Name: "s", MountPath: "/s"}, corev1.VolumeMount{Name: "c", MountPath: "/c"}, corev1.VolumeMount{Name: "o", MountPath: "/o"})
	secret := &corev1.SecretVolumeSource{SecretName: "secret"}
	config := &corev1.ConfigMapVolumeSource{Items: []corev1.KeyToPath{{Key: "c", Path: "deep/c", Mode: ptr[int32](0o400)}}}
	config.Name = "config"
	optional := &corev1.SecretVolumeSource{SecretName: "missing", Optional: ptr(true)}
	pod := b.create("pod", volumes(
		corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Secret: secret}},
		corev1.Volume{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: config}},
		corev1.Volume{Name: "o", VolumeSource: corev1.VolumeSource{Secret: optional}},
	), main)
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("./a:1\n./b:2\n./deep/c:3\n400\n644\nread-only\n0\n"))
}

func TestVolumes_WaitForWhatIsMissing(t *testing.T) {
	b := newBench(t)
	main := mounted(shell("main", "cat /s/a"), corev1.VolumeMount{Name: "s", MountPath: "/s"})
	secret := &corev1.SecretVolumeSource{SecretName: "late"}
	pod := b.create("pod", volumes(corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Secret: secret}}), main)
	b.container(pod, "main", waits("ContainerCreating", BeEmpty()))
	b.Eventually(func() ([]corev1.Event, error) {
		events := &corev1.EventList{}
		err := local.Client.List(b.ctx, events, client.InNamespace(b.namespace))
		return events.Items, err
	}).Should(ContainElement(And(HaveField("Reason", "FailedMount"), HaveField("Message", ContainSubstring(`secret "late" not found`)))))
	b.Expect(b.get(pod)()).To(HaveField("Status.Phase", corev1.PodPending))
	b.secret("late", map[string]string{"a": "in time"})
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("in time"))
}

func TestVolumes_ServiceAccountTokens(t *testing.T) {
	b := newBench(t)
	const account = "/var/run/secrets/kubernetes.io/serviceaccount"
	main := mounted(shell("main", "cat "+account+"/token; echo; cat "+account+"/namespace; echo; head -1 "+account+"/ca.crt; cat /tokens/own"),
		corev1.VolumeMount{Name: "own", MountPath: "/tokens", ReadOnly: true})
	main.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr[int64](65532), ReadOnlyRootFilesystem: ptr(true)}
	projected := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
		ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "terraform-controller", Path: "own", ExpirationSeconds: ptr[int64](600)},
	}}}
	pod := b.create("pod", func(p *corev1.Pod) {
		keep(p)
		p.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{Projected: projected}}}
	}, main)
	lines := strings.Split(b.logs(pod, corev1.PodSucceeded), "\n")
	b.Expect(lines).To(HaveLen(4))
	b.Expect(lines[1]).To(Equal(b.namespace))
	b.Expect(lines[2]).To(Equal("-----BEGIN CERTIFICATE-----"))

	for token, audiences := range map[string][]string{lines[0]: nil, lines[3]: {"terraform-controller"}} {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}
		b.Expect(local.Client.Create(b.ctx, review)).To(Succeed())
		b.Expect(review.Status.Authenticated).To(BeTrue(), review.Status.Error)
		b.Expect(review.Status.User.Username).To(Equal("system:serviceaccount:" + b.namespace + ":default"))
		b.Expect(review.Status.User.Extra).To(HaveKeyWithValue("authentication.kubernetes.io/pod-name", authenticationv1.ExtraValue{"pod"}))
		b.Expect(review.Status.User.Extra).To(HaveKeyWithValue("authentication.kubernetes.io/pod-uid", authenticationv1.ExtraValue{string(pod.UID)}))
	}
	b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
	b.release(pod)
	b.gone(pod)
}

func TestVolumes_DownwardAPI(t *testing.T) {
	b := newBench(t)
	main := mounted(shell("main", "cat /d/name; echo; cat /d/labels; echo; cat /p/uid"),
		corev1.VolumeMount{Name: "d", MountPath: "/d"}, corev1.VolumeMount{Name: "p", MountPath: "/p"})
	item := func(path, field string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: path, FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}
	}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Labels = map[string]string{"b": "2", "a": "1"}
		p.Spec.Volumes = []corev1.Volume{
			{Name: "d", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
				item("name", "metadata.name"), item("labels", "metadata.labels")}}}},
			{Name: "p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
				DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{item("uid", "metadata.uid")}}}}}}},
		}
	}, main)
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("pod\na=\"1\"\nb=\"2\"\n" + string(pod.UID)))
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func TestEnv_IsThePodsOnly(t *testing.T) {
	t.Setenv("TF_CLI_CONFIG_FILE", "/of/the/host")
	b := newSerialBench(t)
	b.secret("secret", map[string]string{"key": "from-secret", "S_ONE": "1"})
	b.configMap("config", map[string]string{"key": "from-config", "ONE": "1"})
	main := corev1.Container{Name: "main", Image: "empty", Command: []string{"env"}}
	secretKey, configKey := &corev1.SecretKeySelector{Key: "key"}, &corev1.ConfigMapKeySelector{Key: "key"}
	secretKey.Name, configKey.Name = "secret", "config"
	missing := &corev1.SecretKeySelector{Key: "none", Optional: ptr(true)}
	missing.Name = "secret"
	main.EnvFrom = []corev1.EnvFromSource{
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}}},
		{Prefix: "C_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}}},
	}
	main.Env = []corev1.EnvVar{
		{Name: "PLAIN", Value: "$(C_ONE) $(NO_SUCH) $$(PLAIN)"},
		fieldEnv("POD", "metadata.name"), fieldEnv("NS", "metadata.namespace"), fieldEnv("UID", "metadata.uid"),
		fieldEnv("LABEL", "metadata.labels['my/label']"), fieldEnv("ANNOTATION", "metadata.annotations['note']"),
		fieldEnv("NODE", "spec.nodeName"), fieldEnv("ACCOUNT", "spec.serviceAccountName"), fieldEnv("IP", "status.podIP"),
		{Name: "SECRET", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secretKey}},
		{Name: "CONFIG", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: configKey}},
		{Name: "MISSING", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: missing}},
	}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Labels, p.Annotations = map[string]string{"my/label": "l"}, map[string]string{"note": "n"}
	}, main)
	lines := strings.Split(strings.TrimSpace(b.logs(pod, corev1.PodSucceeded)), "\n")
	b.Expect(lines).To(ConsistOf(
		"ACCOUNT=default", "ANNOTATION=n", "CONFIG=from-config", "C_ONE=1", "C_key=from-config", "HOME=/root", "HOSTNAME=pod", "IP=127.0.0.1",
		"KUBERNETES_SERVICE_HOST=127.0.0.1", HavePrefix("KUBERNETES_SERVICE_PORT="), HavePrefix("KUBERNETES_SERVICE_PORT_HTTPS="),
		"LABEL=l", "NODE=local", "NS="+b.namespace, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"PLAIN=1 $(NO_SUCH) $(PLAIN)", "POD=pod", "SECRET=from-secret", "S_ONE=1", "UID="+string(pod.UID), "key=from-secret",
	))
}

func TestEnv_WaitsForWhatIsMissing(t *testing.T) {
	b := newBench(t)
	b.secret("secret", map[string]string{"other": "x"})
	key := &corev1.SecretKeySelector{Key: "key"}
	key.Name = "secret"
	main := shell("main", "echo $FROM $A")
	main.Env = []corev1.EnvVar{{Name: "FROM", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: key}}}
	main.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "late"}}}}
	pod := b.create("pod", nil, main)
	b.container(pod, "main", waits("CreateContainerConfigError", Equal(`configmap "late" not found`)))
	b.configMap("late", map[string]string{"A": "a"})
	b.container(pod, "main", waits("CreateContainerConfigError", Equal("couldn't find key key in secret "+b.namespace+"/secret")))
	patch, err := json.Marshal(map[string]any{"stringData": map[string]string{"key": "in time"}})
	b.Expect(err).NotTo(HaveOccurred())
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = b.namespace, "secret"
	b.Expect(local.Client.Patch(b.ctx, secret, client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
	b.Expect(b.logs(pod, corev1.PodSucceeded)).To(Equal("in time a\n"))
}
