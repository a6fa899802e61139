package controllers

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func podInput() PodInput {
	return PodInput{
		Terraform: &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{
			Namespace: "infra", Name: "networking", UID: "1b0c8f0e-5a2d-4e2f-9a5e-0d3a5b6c7d8e",
		}},
		Run: &infrav1.TerraformRun{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "infra", Name: "networking-3f9ac1d2",
				Labels: map[string]string{infrav1.RunSequenceLabel: "7"},
			},
			Spec: infrav1.TerraformRunSpec{
				Operation: infrav1.OperationPlan,
				PodName:   "networking-tf-runner",
				Hostname:  "networking-x7k2m9qp",
				Source: infrav1.RunSource{
					Revision: "main@sha1:0123456789abcdef0123456789abcdef01234567",
					Digest:   "sha256:fedcba9876543210",
				},
			},
		},
		Config: RunnerConfig{
			Image:       "registry.example/tf-runner:v1.0.0",
			ArtifactURL: "https://terraform-controller.flux-system.svc:9443",
			ArtifactCA:  []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
		},
	}
}

func fullTemplate() infrav1.RunnerPodTemplate {
	yes := true
	return infrav1.RunnerPodTemplate{
		Metadata: infrav1.RunnerPodMetadata{
			Labels: map[string]string{
				"team": "net", infrav1.CreatedByLabel: "net",
				infrav1.RunNameLabel: "other", infrav1.NameLabel: "other",
			},
			Annotations: map[string]string{"sidecar.example/inject": "false", safeToEvictAnnotation: "true"},
		},
		Spec: infrav1.RunnerPodSpec{
			Env: []corev1.EnvVar{
				{Name: "PROXY_HOST", Value: "proxy.infra"},
				{Name: "HTTPS_PROXY", Value: "http://$(PROXY_HOST):3128"},
				{Name: "RUN_NAME", Value: "mine"},
			},
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "cloud"},
			}}},
			NodeSelector: map[string]string{"disk": "ssd"},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
						{Key: "arch", Operator: corev1.NodeSelectorOpIn, Values: []string{"amd64"}},
					}}},
				},
			}},
			Tolerations: []corev1.Toleration{{Key: "batch", Operator: corev1.TolerationOpExists}},
			Volumes: []corev1.Volume{{Name: "ca", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: "ca"},
				},
			}}},
			VolumeMounts:      []corev1.VolumeMount{{Name: "ca", MountPath: "/etc/ssl/own"}},
			InitContainers:    []corev1.Container{{Name: "tools", Image: "registry.example/tools:1"}},
			HostAliases:       []corev1.HostAlias{{IP: "10.0.0.7", Hostnames: []string{"git.infra"}}},
			PriorityClassName: "batch",
			SecurityContext:   &corev1.SecurityContext{RunAsNonRoot: &yes},
			Resources: &corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceMemory: resource.MustParse("256Mi"),
			}},
		},
	}
}

func TestBuildPod_MatchesGoldenFiles(t *testing.T) {
	compat.Shows(t, "spec.serviceAccountName", "spec.runnerTerminationGracePeriodSeconds", "spec.runnerPodTemplate.metadata",
		"spec.runnerPodTemplate.spec.image", "spec.runnerPodTemplate.spec.env", "spec.runnerPodTemplate.spec.envFrom",
		"spec.runnerPodTemplate.spec.nodeSelector", "spec.runnerPodTemplate.spec.affinity", "spec.runnerPodTemplate.spec.tolerations",
		"spec.runnerPodTemplate.spec.volumes", "spec.runnerPodTemplate.spec.volumeMounts",
		"spec.runnerPodTemplate.spec.initContainers", "spec.runnerPodTemplate.spec.hostAliases",
		"spec.runnerPodTemplate.spec.priorityClassName", "spec.runnerPodTemplate.spec.securityContext",
		"spec.runnerPodTemplate.spec.resources", "spec.planServiceAccountName", "key.infra.contrib.fluxcd.io/terraform",
		"key.app.kubernetes.io/created-by, name, instance", "use.aws-irsa", "use.runner-pods", "use.azure",
		"env.HTTP_PROXY, HTTPS_PROXY, NO_PROXY",
	)
	proxies := []corev1.EnvVar{
		{Name: "HTTP_PROXY", Value: "http://proxy:3128"},
		{Name: "HTTPS_PROXY", Value: "http://proxy:3128"},
		{Name: "NO_PROXY", Value: ".svc"},
	}
	for name, change := range map[string]func(*PodInput){
		"default": func(*PodInput) {},
		"proxies-then-user-template": func(in *PodInput) {
			in.Config.ProxyEnv = proxies
			in.Config.LogEnv = []corev1.EnvVar{{Name: "DISABLE_TF_LOGS", Value: "1"}}
			in.Run.Spec.Terraform.RunnerPodTemplate = fullTemplate()
		},
		"foreign-image-gets-the-runner-installed": func(in *PodInput) {
			spec := &in.Run.Spec.Terraform
			spec.RunnerPodTemplate.Spec.Image = "registry.example/team/azure-tools@sha256:0123"
			spec.RunnerPodTemplate.Spec.InitContainers = []corev1.Container{{Name: "tools", Image: "tools:1"}}
		},
		"apply-as-its-own-account-with-grace": func(in *PodInput) {
			grace := int64(120)
			in.Run.Spec.Operation = infrav1.OperationApply
			in.Run.Spec.Terraform.ServiceAccountName = "deployer"
			in.Run.Spec.Terraform.PlanServiceAccountName = "planner"
			in.Run.Spec.Terraform.RunnerTerminationGracePeriodSeconds = &grace
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := podInput()
			change(&in)
			got, err := yaml.Marshal(BuildPod(in))
			g.Expect(err).NotTo(HaveOccurred())
			golden := filepath.Join("testdata", "pod", name+".yaml")
			if *updateGolden {
				g.Expect(os.WriteFile(golden, got, 0o644)).To(Succeed())
			}
			want, err := os.ReadFile(golden)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(got)).To(Equal(string(want)), "run the test with -update when the change is meant")
		})
	}
}

func TestBuildPod_LeavesItsInputAlone(t *testing.T) {
	g := NewWithT(t)
	in := podInput()
	in.Run.Spec.Terraform.RunnerPodTemplate = fullTemplate()
	before := in.Run.DeepCopy()
	pod := BuildPod(in)
	pod.Spec.NodeSelector["disk"] = "tape"
	pod.Spec.Containers[0].Env[0].Name = "X"
	pod.Spec.InitContainers[0].Name = "x"
	pod.Labels["team"] = "x"
	g.Expect(in.Run).To(Equal(before))
}

func TestBuildPod_TellsAForeignImageByItsRepository(t *testing.T) {
	compat.Shows(t, "spec.runnerPodTemplate.spec.image", "use.runner-image")
	for _, c := range []struct {
		image, config, install string
		foreign                bool
		reason                 string
	}{
		{"", "r/tf-runner:1", "", false, "the default image is ours"},
		{"r/tf-runner:2", "r/tf-runner:1", "", false, "another tag of our repository holds the runner too"},
		{"r/tf-runner@sha256:00", "r/tf-runner:1", "", false, "a digest of our repository too"},
		{"localhost:5000/tf-runner", "localhost:5000/tf-runner:1", "", false, "the port is no tag"},
		{"localhost:5000/tools", "localhost:5000/tf-runner:1", "", true, "the port is no tag"},
		{"r/tf-runner-azure:1", "r/tf-runner:1", "", true, "a longer name is another repository"},
		{"", "corp/tools:9", "r/tf-runner:1", true, "the operator's image is not ours"},
		{"r/tf-runner:1", "corp/tools:9", "r/tf-runner:1", false, "the object chose ours"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			g := NewWithT(t)
			in := podInput()
			in.Run.Spec.Terraform.RunnerPodTemplate.Spec.Image = c.image
			in.Config.Image, in.Config.InstallImage = c.config, c.install
			pod := BuildPod(in)
			if !c.foreign {
				g.Expect(pod.Spec.InitContainers).To(BeEmpty())
				g.Expect(pod.Spec.Containers[0].Command[0]).To(Equal(runnerBinary))
				return
			}
			g.Expect(pod.Spec.InitContainers).To(HaveLen(1))
			g.Expect(pod.Spec.InitContainers[0].Image).To(Equal(in.Config.installImage()))
			g.Expect(pod.Spec.Containers[0].Command[0]).To(Equal("/runner-bin/terraform-runner"))
		})
	}
}

func TestBuildPod_InstanceLabelIsValidForEveryRevision(t *testing.T) {
	compat.Shows(t, "key.app.kubernetes.io/created-by, name, instance", "weak.23")
	for revision, want := range map[string]string{
		"main@sha1:0123456789abcdef":             "tf-runner-01234567",
		"refs/heads/a@sha256:abcdef0123456789":   "tf-runner-abcdef01",
		"main/0123456789abcdef0123456789abcdef0": "tf-runner-01234567",
		"0123456789abcdef":                       "tf-runner-01234567",
		"latest@sha256:abcdef0123456789":         "tf-runner-abcdef01",
		"sha256:abcdef0123456789":                "tf-runner-abcdef01",
		"v1":                                     "tf-runner-fedcba98",
		"latest@x:_-_-_-_-":                      "tf-runner-fedcba98",
	} {
		in := podInput()
		in.Run.Spec.Source.Revision = revision
		NewWithT(t).Expect(BuildPod(in).Labels).To(HaveKeyWithValue(infrav1.InstanceLabel, want), revision)
	}
	in := podInput()
	in.Run.Spec.Source = infrav1.RunSource{}
	label := BuildPod(in).Labels[infrav1.InstanceLabel]
	NewWithT(t).Expect(validation.IsValidLabelValue(label)).To(BeEmpty())
}

func TestNames_AreValidForEveryObject(t *testing.T) {
	for _, name := range []string{
		"a", "net", "a.b.c", strings.Repeat("x", 39) + ".y", strings.Repeat("x", 39) + "-y",
		strings.Repeat("long.", 48) + "name", strings.Repeat("z", 253),
	} {
		t.Run(name[:min(len(name), 20)], func(t *testing.T) {
			g := NewWithT(t)
			tf := &infrav1.Terraform{ObjectMeta: metav1.ObjectMeta{Namespace: strings.Repeat("n", 63), Name: name}}
			g.Expect(validation.IsDNS1123Label(Hostname(name, "x7k2m9qp"))).To(BeEmpty())
			g.Expect(Hostname(name, "x7k2m9qp")).To(HaveSuffix("-x7k2m9qp"))
			g.Expect(validation.IsDNS1123Subdomain(PodName(tf))).To(BeEmpty())
			g.Expect(PodName(tf)).To(HaveSuffix("-tf-runner"))
			g.Expect(len(tf.Namespace+"_"+PodName(tf)+"_1b0c8f0e-5a2d-4e2f-9a5e-0d3a5b6c7d8e")).To(BeNumerically("<=", 255), "the kubelet's folder")
			if len(name) <= 144 {
				g.Expect(PodName(tf)).To(Equal(name+"-tf-runner"), "the incumbent's name")
			}
		})
	}
}
