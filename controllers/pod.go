package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// RunnerContainer is the name of the container whose end is the end of a runner's process.
	RunnerContainer = "tf-runner"

	podNameSuffix     = "-tf-runner"
	maxHostnamePrefix = 40
	instanceDigits    = 8

	maxFileName = 255
	uidLength   = 36

	safeToEvictAnnotation  = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	doNotDisruptAnnotation = "karpenter.sh/do-not-disrupt"
)

// RunnerConfig is what all runner pods of one controller have in common.
type RunnerConfig struct {
	// Image of runner pods whose object names none.
	Image string

	// InstallImage holds the runner binary of this release; empty means Image. A pod whose image is of another
	// repository gets the binary from here, through an init container.
	InstallImage string

	// ArtifactURL is the root of the controller's artifact endpoint, like https://host:9443, without a path.
	ArtifactURL string

	// ArtifactCA is the PEM bundle that verifies the artifact endpoint.
	ArtifactCA []byte

	// IdleTimeout is how long a runner whose object keeps pods waits for the order to apply its plan.
	IdleTimeout time.Duration

	// EngineDownloads lets runners download the engine that spec.engine asks for, where they do not find it.
	EngineDownloads bool

	// ProxyEnv are the controller's own HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as far as they are set.
	ProxyEnv []corev1.EnvVar

	// LogEnv are switches of the runner's log that the controller has been given for all of them.
	LogEnv []corev1.EnvVar
}

// installImage is where the runner binary of this release is found.
func (c RunnerConfig) installImage() string {
	if c.InstallImage != "" {
		return c.InstallImage
	}
	return c.Image
}

// PodInput is all that a runner pod depends on.
type PodInput struct {
	// Terraform is the owner of the pod; its spec is not looked at.
	Terraform *infrav1.Terraform
	// Run gives the pod's name, hostname, account and template: its spec is frozen.
	Run *infrav1.TerraformRun
	// Config of the controller.
	Config RunnerConfig
}

// PodName is the name of the runner pod of an object: `<name>-tf-runner`, with a hash in the middle where a kubelet could
// not start a pod of that name: it makes a folder NAMESPACE_NAME_UID for its logs.
func PodName(tf *infrav1.Terraform) string {
	return infrav1.SafeName(maxFileName-uidLength-len("__")-len(tf.Namespace), "", tf.Name, podNameSuffix)
}

// Hostname is the hostname of a runner pod: the first 40 characters of the object's name, dots made dashes, and
// random, which has to be a few lower-case letters and digits that no other pod of the object had. A lock's "Who"
// shows it.
func Hostname(tfName, random string) string {
	prefix := strings.ReplaceAll(tfName, ".", "-")
	if len(prefix) > maxHostnamePrefix {
		prefix = prefix[:maxHostnamePrefix]
	}
	return strings.TrimRight(prefix, "-") + "-" + random
}

// RunnerAccount is the name of the ServiceAccount that a run works as: a plan has its own where the spec says so.
func RunnerAccount(run *infrav1.TerraformRun) string {
	spec := &run.Spec.Terraform
	if run.Spec.Operation == infrav1.OperationPlan && run.Spec.Session == nil && spec.PlanServiceAccountName != "" {
		return spec.PlanServiceAccountName
	}
	return spec.GetServiceAccountName()
}

// BuildPod makes the runner pod of a run. It depends on nothing but its input, and shares no memory with it.
func BuildPod(in PodInput) *corev1.Pod {
	spec := in.Run.Spec.Terraform.DeepCopy()
	grace := int64(spec.GetTerminationGrace().Seconds())
	automount, links := true, false // by a Service of the name kubernetes a tenant would be the API server of all runners
	pod := &corev1.Pod{
		ObjectMeta: podMetadata(in, spec.RunnerPodTemplate.Metadata),
		Spec: corev1.PodSpec{
			ServiceAccountName:            RunnerAccount(in.Run),
			AutomountServiceAccountToken:  &automount,
			EnableServiceLinks:            &links,
			RestartPolicy:                 corev1.RestartPolicyNever,
			Hostname:                      in.Run.Spec.Hostname,
			TerminationGracePeriodSeconds: &grace,
			InitContainers:                initContainers(in, &spec.RunnerPodTemplate.Spec),
			Containers:                    []corev1.Container{runnerContainer(in, spec)},
			Volumes:                       podVolumes(in, &spec.RunnerPodTemplate.Spec),
			NodeSelector:                  spec.RunnerPodTemplate.Spec.NodeSelector,
			Affinity:                      spec.RunnerPodTemplate.Spec.Affinity,
			Tolerations:                   spec.RunnerPodTemplate.Spec.Tolerations,
			HostAliases:                   spec.RunnerPodTemplate.Spec.HostAliases,
			PriorityClassName:             spec.RunnerPodTemplate.Spec.PriorityClassName,
		},
	}
	pod.Annotations[infrav1.PodShapeAnnotation] = podShape(&pod.Spec)
	return pod
}

func podMetadata(in PodInput, user infrav1.RunnerPodMetadata) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       in.Terraform.Namespace,
		Name:            in.Run.Spec.PodName,
		Labels:          podLabels(in, user.Labels),
		Annotations:     podAnnotations(user.Annotations),
		OwnerReferences: []metav1.OwnerReference{ownedBy(in.Terraform)},
		Finalizers:      []string{infrav1.RunnerFinalizer},
	}
}

// ownedBy says that an object goes with the Terraform object. It does not hold up a deletion in the foreground: what does is
// deleted again and again until the owner is gone, and that may take a destroy.
func ownedBy(tf *infrav1.Terraform) metav1.OwnerReference {
	ref := metav1.NewControllerRef(tf, infrav1.GroupVersion.WithKind(infrav1.TerraformKind))
	ref.BlockOwnerDeletion = nil
	return *ref
}

// podLabels are the incumbent's, which users may override, and those by which the controller finds its pods, which
// they may not.
func podLabels(in PodInput, user map[string]string) map[string]string {
	labels := map[string]string{
		infrav1.CreatedByLabel: infrav1.CreatedByValue,
		infrav1.InstanceLabel:  RunnerContainer + "-" + shortRevision(in.Run.Spec.Source),
		infrav1.TerraformLabel: in.Terraform.Namespace,
	}
	maps.Copy(labels, user)
	labels[infrav1.NameLabel] = infrav1.NameValue
	labels[infrav1.TerraformNameLabel] = infrav1.SafeLabelValue(in.Terraform.Name)
	labels[infrav1.RunNameLabel] = infrav1.SafeLabelValue(in.Run.Name)
	if sequence := in.Run.Labels[infrav1.RunSequenceLabel]; sequence != "" {
		labels[infrav1.RunSequenceLabel] = sequence
	}
	return labels
}

func podAnnotations(user map[string]string) map[string]string {
	annotations := map[string]string{}
	maps.Copy(annotations, user)
	delete(annotations, infrav1.ProcessEndedAnnotation) // a person's word on one pod, not a template's on all
	annotations[safeToEvictAnnotation] = "false"
	annotations[doNotDisruptAnnotation] = "true"
	return annotations
}

// shortRevision is the first 8 digits of the revision's hash, or of the digest when the revision has none.
func shortRevision(source infrav1.RunSource) string {
	for _, id := range []string{source.Revision, source.Digest} {
		hash := id[strings.LastIndexAny(id, ":/")+1:]
		if len(hash) >= instanceDigits && isAlphanumeric(hash[:instanceDigits]) {
			return hash[:instanceDigits]
		}
	}
	sum := sha256.Sum256([]byte(source.Revision))
	return hex.EncodeToString(sum[:])[:instanceDigits]
}

func isAlphanumeric(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// isForeign says that a pod's image can't be expected to hold our runner binary.
func isForeign(in PodInput) bool {
	return imageRepository(runnerImage(in)) != imageRepository(in.Config.installImage())
}

func runnerImage(in PodInput) string {
	if image := in.Run.Spec.Terraform.RunnerPodTemplate.Spec.Image; image != "" {
		return image
	}
	return in.Config.Image
}

// imageRepository cuts tag and digest off an image reference; a colon before the last slash belongs to a port.
func imageRepository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[:colon]
	}
	return image
}

// mergeEnv is ours without what the user sets too, then the user's in the user's order, so that a value can refer
// to those before it. The names in reserved stay ours.
func mergeEnv(ours, user []corev1.EnvVar, reserved []string) []corev1.EnvVar {
	overridden := map[string]bool{}
	kept := make([]corev1.EnvVar, 0, len(user))
	for _, v := range user {
		if slices.Contains(reserved, v.Name) {
			continue
		}
		overridden[v.Name] = true
		kept = append(kept, v)
	}
	ours = slices.DeleteFunc(slices.Clone(ours), func(v corev1.EnvVar) bool { return overridden[v.Name] })
	return append(ours, kept...)
}
