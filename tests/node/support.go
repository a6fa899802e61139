package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

const reasonUnsupported = "UnsupportedPodField"

// unsupported names the fields of a pod that ask for what this node can't do; nothing when it can do all. What is
// known (done, or harmless to ignore) is cleared from a copy: whatever is left is unsupported, also what Kubernetes
// may invent tomorrow.
func unsupported(pod *corev1.Pod) string {
	var fields []string
	for _, v := range pod.Spec.Volumes {
		fields = append(fields, volumeLeft(v)...)
	}
	for i, c := range pod.Spec.InitContainers {
		fields = append(fields, containerLeft(fmt.Sprintf("spec.initContainers[%d]", i), c)...)
	}
	for i, c := range pod.Spec.Containers {
		fields = append(fields, containerLeft(fmt.Sprintf("spec.containers[%d]", i), c)...)
	}
	fields = append(fields, podLeft(*pod.Spec.DeepCopy())...)
	if len(fields) == 0 {
		return ""
	}
	return fmt.Sprintf("the local node does not support %v", fields)
}

func podLeft(s corev1.PodSpec) []string {
	s.Volumes, s.InitContainers, s.Containers = nil, nil, nil
	s.NodeName, s.NodeSelector, s.Tolerations, s.SchedulerName = "", nil, nil, ""
	s.ServiceAccountName, s.DeprecatedServiceAccount, s.AutomountServiceAccountToken = "", "", nil
	s.TerminationGracePeriodSeconds, s.Hostname, s.Subdomain = nil, "", ""
	// Ignored: there is one network, nothing is pulled, measured or preempted.
	s.HostNetwork, s.DNSPolicy, s.EnableServiceLinks, s.ImagePullSecrets = false, "", nil, nil
	s.Resources, s.Priority, s.PriorityClassName, s.PreemptionPolicy, s.OS = nil, nil, "", nil, nil
	if s.RestartPolicy == corev1.RestartPolicyNever {
		s.RestartPolicy = ""
	}
	left := []string{}
	if sc := s.SecurityContext; sc != nil {
		sc.RunAsUser, sc.RunAsGroup, sc.RunAsNonRoot, sc.FSGroup = nil, nil, nil, nil
		sc.SupplementalGroups, sc.FSGroupChangePolicy = nil, nil
		sc.SeccompProfile = seccompLeft(sc.SeccompProfile)
		left = stillSet("spec.securityContext", sc)
		s.SecurityContext = nil
	}
	return append(left, stillSet("spec", s)...)
}

func containerLeft(path string, c corev1.Container) []string {
	c.Name, c.Image, c.Command, c.Args, c.WorkingDir, c.EnvFrom = "", "", nil, nil, "", nil
	c.TerminationMessagePath, c.TerminationMessagePolicy = "", ""
	c.Ports, c.Resources, c.ResizePolicy, c.ImagePullPolicy = nil, corev1.ResourceRequirements{}, nil, "" // ignored
	var left []string
	for i, e := range c.Env {
		if e.ValueFrom != nil {
			from := *e.ValueFrom
			from.FieldRef, from.SecretKeyRef, from.ConfigMapKeyRef = nil, nil, nil
			left = append(left, stillSet(fmt.Sprintf("%s.env[%d].valueFrom", path, i), from)...)
		}
	}
	for i, m := range c.VolumeMounts {
		m.Name, m.ReadOnly, m.MountPath, m.SubPath = "", false, "", ""
		left = append(left, stillSet(fmt.Sprintf("%s.volumeMounts[%d]", path, i), m)...)
	}
	c.Env, c.VolumeMounts = nil, nil
	if c.SecurityContext != nil {
		sc := *c.SecurityContext
		sc.RunAsUser, sc.RunAsGroup, sc.RunAsNonRoot = nil, nil, nil
		sc.ReadOnlyRootFilesystem, sc.AllowPrivilegeEscalation = nil, nil
		sc.SeccompProfile = seccompLeft(sc.SeccompProfile)
		if _, ok := capabilities(sc.Capabilities); ok {
			sc.Capabilities = nil
		}
		if sc.Privileged != nil && !*sc.Privileged {
			sc.Privileged = nil
		}
		left = append(left, stillSet(path+".securityContext", sc)...)
		c.SecurityContext = nil
	}
	return append(left, stillSet(path, c)...)
}

// seccompLeft accepts the profiles that take nothing away which a test could miss.
func seccompLeft(p *corev1.SeccompProfile) *corev1.SeccompProfile {
	if p != nil && p.Type != corev1.SeccompProfileTypeLocalhost {
		return nil
	}
	return p
}

func volumeLeft(v corev1.Volume) []string {
	path := fmt.Sprintf("spec.volumes[%s]", v.Name)
	if _, _, ok := volumeSources(v.VolumeSource); !ok {
		fields, _ := json.Marshal(v.VolumeSource) //nolint:errchkjson // it came as JSON
		return []string{fmt.Sprintf("%s %s", path, fields)}
	}
	sources, _, _ := volumeSources(v.VolumeSource)
	var left []string
	for i, s := range sources {
		if s.DownwardAPI != nil {
			for _, f := range s.DownwardAPI.Items {
				if f.ResourceFieldRef != nil {
					left = append(left, fmt.Sprintf("%s.resourceFieldRef of %s", path, f.Path))
				}
			}
		}
		s.Secret, s.ConfigMap, s.DownwardAPI, s.ServiceAccountToken = nil, nil, nil, nil
		left = append(left, stillSet(fmt.Sprintf("%s.sources[%d]", path, i), s)...)
	}
	return left
}

// stillSet names the fields of a struct that are not empty.
func stillSet(path string, v any) []string {
	data, err := json.Marshal(v)
	if err != nil {
		return []string{path}
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return []string{path}
	}
	maps.DeleteFunc(fields, func(_ string, value json.RawMessage) bool {
		return slices.Contains([]string{"null", "{}", "[]", `""`, "0", "false"}, string(value))
	})
	var left []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		left = append(left, path+"."+name)
	}
	return left
}
