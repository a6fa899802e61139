package controllers

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Environment variables that a runner is told its work by.
const (
	envPodName      = "POD_NAME"
	envPodNamespace = "POD_NAMESPACE"
	envPodUID       = "POD_UID"
	envNodeName     = "NODE_NAME"
	envRunName      = "RUN_NAME"
	envArtifactURL  = "ARTIFACT_URL"
	envArtifactCA   = "ARTIFACT_CA"
	envGrace        = "TERMINATION_GRACE_SECONDS"
	envIdle         = "RUNNER_IDLE_SECONDS"
	envDownloads    = "ENGINE_DOWNLOADS"
)

// handoverTime is how long a runner that has made a plan waits to be told whether it is applied at once; a controller that
// is just being replaced needs some of it.
const handoverTime = time.Minute

const (
	runnerBinary = "/usr/local/bin/terraform-runner"

	tokenVolume  = "artifact-token"
	tokenDir     = "/var/run/secrets/terraform-controller"
	tokenFile    = "token"
	tokenSeconds = 3600

	installContainer = "install-runner"
	installVolume    = "runner-bin"
	installDir       = "/runner-bin"

	runnerUser = 65532
)

// reservedEnv can't be overridden: without them a runner does not find its work.
var reservedEnv = []string{envPodUID, envNodeName, envRunName, envArtifactURL, envArtifactCA, envGrace, envIdle, envDownloads}

func runnerContainer(in PodInput, spec *infrav1.TerraformSpec) corev1.Container {
	user := &spec.RunnerPodTemplate.Spec
	c := corev1.Container{
		Name:            RunnerContainer,
		Image:           runnerImage(in),
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{runnerBinary, "run"},
		Env:             mergeEnv(runnerEnv(in, spec), user.Env, reservedEnv),
		EnvFrom:         user.EnvFrom,
		VolumeMounts:    runnerMounts(in, user),
		SecurityContext: user.SecurityContext,
	}
	if isForeign(in) {
		c.Command = []string{installDir + "/terraform-runner", "run"}
	}
	if c.SecurityContext == nil {
		c.SecurityContext = restrictedSecurityContext()
	}
	if user.Resources != nil {
		c.Resources = *user.Resources
	}
	return c
}

// runnerEnv is in a fixed order, so that a value can refer to those before it.
func runnerEnv(in PodInput, spec *infrav1.TerraformSpec) []corev1.EnvVar {
	grace := strconv.FormatInt(int64(spec.GetTerminationGrace().Seconds()), 10)
	idle := handoverTime
	if spec.AlwaysCleanupRunnerPod != nil && !*spec.AlwaysCleanupRunnerPod {
		idle = max(in.Config.IdleTimeout, handoverTime)
	}
	env := []corev1.EnvVar{
		fieldEnv(envPodName, "metadata.name"),
		fieldEnv(envPodNamespace, "metadata.namespace"),
		fieldEnv(envPodUID, "metadata.uid"),
		fieldEnv(envNodeName, "spec.nodeName"),
		{Name: envRunName, Value: in.Run.Name},
		{Name: envArtifactURL, Value: in.Config.ArtifactURL},
		{Name: envArtifactCA, Value: string(in.Config.ArtifactCA)},
		{Name: envGrace, Value: grace},
		{Name: envIdle, Value: strconv.Itoa(int(idle.Seconds()))},
		{Name: envDownloads, Value: strconv.FormatBool(in.Config.EngineDownloads)},
	}
	return slices.Concat(env, in.Config.ProxyEnv, in.Config.LogEnv)
}

// fieldEnv names the API version, as the API server does, so that a golden file equals what is stored.
func fieldEnv(name, path string) corev1.EnvVar {
	field := &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: field}}
}

func runnerMounts(in PodInput, user *infrav1.RunnerPodSpec) []corev1.VolumeMount {
	mounts := []corev1.VolumeMount{
		{Name: "temp", MountPath: "/tmp"},
		{Name: "home", MountPath: "/home/runner"},
		{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true},
	}
	if isForeign(in) {
		mounts = append(mounts, corev1.VolumeMount{Name: installVolume, MountPath: installDir, ReadOnly: true})
	}
	return append(mounts, user.VolumeMounts...)
}

func podVolumes(in PodInput, user *infrav1.RunnerPodSpec) []corev1.Volume {
	volumes := []corev1.Volume{emptyDir("temp"), emptyDir("home"), artifactToken()}
	if isForeign(in) {
		volumes = append(volumes, emptyDir(installVolume))
	}
	return append(volumes, user.Volumes...)
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// artifactToken is a token of the pod's account that is good for the artifact endpoint only, and only as long as
// the pod exists.
func artifactToken() corev1.Volume {
	seconds := int64(tokenSeconds)
	token := &corev1.ServiceAccountTokenProjection{
		Audience:          infrav1.ArtifactAudience,
		ExpirationSeconds: &seconds,
		Path:              tokenFile,
	}
	projected := &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: token}},
	}
	return corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{Projected: projected}}
}

func initContainers(in PodInput, user *infrav1.RunnerPodSpec) []corev1.Container {
	if !isForeign(in) {
		return user.InitContainers
	}
	return append([]corev1.Container{installer(in)}, user.InitContainers...)
}

// installer puts the runner binary of this release where a foreign image finds it. It has resources of its own,
// because a namespace's quota may ask for them.
func installer(in PodInput) corev1.Container {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
	return corev1.Container{
		Name:            installContainer,
		Image:           in.Config.installImage(),
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{runnerBinary, "install", installDir},
		Resources:       corev1.ResourceRequirements{Requests: resources, Limits: resources},
		VolumeMounts:    []corev1.VolumeMount{{Name: installVolume, MountPath: installDir}},
		SecurityContext: restrictedSecurityContext(),
	}
}

// restrictedSecurityContext meets the Pod Security Standard "restricted", and more.
func restrictedSecurityContext() *corev1.SecurityContext {
	yes, no, user := true, false, int64(runnerUser)
	return &corev1.SecurityContext{
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		AllowPrivilegeEscalation: &no,
		RunAsNonRoot:             &yes,
		RunAsUser:                &user,
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		ReadOnlyRootFilesystem:   &yes,
	}
}
