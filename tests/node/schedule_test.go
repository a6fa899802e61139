package node_test

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

func unschedulable(message string) types.GomegaMatcher {
	return HaveField("Status.Conditions", ContainElement(And(
		HaveField("Type", corev1.PodScheduled), HaveField("Status", corev1.ConditionFalse),
		HaveField("Reason", "Unschedulable"), HaveField("Message", ContainSubstring(message)))))
}

func TestSchedule_WaitsForTheNodesLabels(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{b.namespace: "wanted"} }, shell("main", "true"))
	b.Eventually(b.get(pod)).Should(unschedulable("didn't match Pod's node affinity/selector"))
	b.Expect(pod.Spec.NodeName).To(BeEmpty())

	n := &corev1.Node{}
	n.Name = cluster.NodeName
	label := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+b.namespace+`":"wanted"}}}`))
	b.Expect(local.Client.Patch(b.ctx, n, label)).To(Succeed())
	b.reaches(pod, corev1.PodSucceeded)
}

// Not parallel: other tests' pods would not tolerate the taint.
func TestSchedule_RespectsTaints(t *testing.T) {
	b := newSerialBench(t)
	n := &corev1.Node{}
	n.Name = cluster.NodeName
	taint := func(taints string) {
		t.Helper()
		b.Expect(local.Client.Patch(context.WithoutCancel(b.ctx), n, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"taints":`+taints+`}}`)))).To(Succeed())
	}
	t.Cleanup(func() { taint("null") })
	taint(`[{"key":"only","value":"some","effect":"NoSchedule"}]`)

	tolerating := b.create("tolerating", func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "only", Operator: corev1.TolerationOpExists}}
	}, shell("main", "true"))
	pod := b.create("pod", nil, shell("main", "true"))
	b.Eventually(b.get(pod)).Should(unschedulable("untolerated taint(s) {only: some}"))
	b.reaches(tolerating, corev1.PodSucceeded)
	taint("null")
	b.reaches(pod, corev1.PodSucceeded)
}

func TestSchedule_LeavesOtherSchedulersPods(t *testing.T) {
	b := newBench(t)
	pod := b.create("pod", func(p *corev1.Pod) { p.Spec.SchedulerName = "another" }, shell("main", "true"))
	b.Consistently(b.get(pod), "300ms").Should(HaveField("Spec.NodeName", BeEmpty()))
}

func TestUnsupportedFields_FailThePodLoudly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"restart policy": {func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }, "spec.restartPolicy"},
		"host volume": {volumes(corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}), "spec.volumes[h] {\"hostPath\""},
		"claim": {volumes(corev1.Volume{Name: "c", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}), "persistentVolumeClaim"},
		"probe": {func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
		}, "spec.containers[0].livenessProbe"},
		"hook": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
		}, "spec.containers[0].lifecycle"},
		"sidecar": {func(p *corev1.Pod) {
			side := shell("side", "true")
			side.RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
			p.Spec.InitContainers = []corev1.Container{side}
		}, "spec.initContainers[0].restartPolicy"},
		"host PIDs": {func(p *corev1.Pod) { p.Spec.HostPID = true }, "spec.hostPID"},
		"aliases": {func(p *corev1.Pod) {
			p.Spec.HostAliases = []corev1.HostAlias{{IP: "127.0.0.1", Hostnames: []string{"a"}}}
		}, "spec.hostAliases"},
		"deadline": {func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr[int64](60) }, "spec.activeDeadlineSeconds"},
		"privileged": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
		}, "securityContext.privileged"},
		"capability": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
		}, "securityContext.capabilities"},
		"affinity": {func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
				Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: corev1.NodeSelectorOpExists}}}}}}}
		}, "spec.affinity"},
		"resource field": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}}}
		}, "spec.containers[0].env[0].valueFrom.resourceFieldRef"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pod := b.create("pod", c.change, shell("main", "true"))
			b.reaches(pod, corev1.PodFailed)
			b.Expect(pod.Status.Reason).To(Equal("UnsupportedPodField"))
			b.Expect(pod.Status.Message).To(ContainSubstring(c.want))
			b.Expect(local.Client.Delete(b.ctx, pod)).To(Succeed())
			b.gone(pod)
		})
	}
}

func TestHarmlessFields_AreIgnored(t *testing.T) {
	b := newBench(t)
	main := shell("main", "true")
	main.Ports = []corev1.ContainerPort{{ContainerPort: 30000}}
	main.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	pod := b.create("pod", func(p *corev1.Pod) {
		p.Spec.PriorityClassName = "system-node-critical"
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "none"}}
	}, main)
	b.reaches(pod, corev1.PodSucceeded)
}
