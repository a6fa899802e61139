package runner

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/runner/engine"
)

// initialised is what init has noted of the backend.
type initialised struct {
	Backend *struct {
		Type   string `json:"type"`
		Config struct {
			Path         string `json:"path"`
			WorkspaceDir string `json:"workspace_dir"`
		} `json:"config"`
	} `json:"backend"`
}

// persistent refuses a state that would be lost with the pod: there would be no plan after the first apply that knows what
// was made.
func (c *custodian) persistent() error {
	if c.dir.backend.Kubernetes {
		return nil
	}
	content, err := readOptional(filepath.Join(c.dir.module, dataDir, "terraform.tfstate"))
	if err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, fmt.Errorf("read which backend is used: %w", err))
	}
	noted := &initialised{}
	if content != nil {
		if err := json.Unmarshal(content, noted); err != nil {
			return fail(v1alpha2.ReasonTFExecInitFailed, fmt.Errorf("read which backend is used: %w", err))
		}
	}
	switch {
	case noted.Backend == nil:
		return lost("the module has no backend", "give it one, or leave out spec.backendConfig.disable")
	case noted.Backend.Type != "local":
		return nil
	}
	dir := filepath.Dir(noted.Backend.Config.Path)
	if c.spec.GetWorkspace() != engine.DefaultWorkspace {
		dir = noted.Backend.Config.WorkspaceDir
	}
	if !filepath.IsAbs(dir) || !outlives(dir, &c.spec.RunnerPodTemplate.Spec) {
		return lost(`the backend "local" keeps it on the pod's own disk`,
			"take another backend, or a path in a volume of spec.runnerPodTemplate that outlives the pod")
	}
	return nil
}

func lost(why, remedy string) error {
	return fail(v1alpha2.ReasonStateNotPersistent, fmt.Errorf("the state would be lost with the pod: %s; %s", why, remedy))
}

// outlives says that a folder is in a volume of the user's that is still there when the pod is gone.
func outlives(dir string, pod *v1alpha2.RunnerPodSpec) bool {
	var deepest *corev1.VolumeMount
	for i := range pod.VolumeMounts {
		mount := &pod.VolumeMounts[i]
		inside, err := filepath.Rel(mount.MountPath, dir)
		if err != nil || inside != "." && !filepath.IsLocal(inside) {
			continue
		}
		if deepest == nil || len(strings.TrimRight(mount.MountPath, "/")) > len(strings.TrimRight(deepest.MountPath, "/")) {
			deepest = mount
		}
	}
	return deepest != nil && slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.Name == deepest.Name && v.EmptyDir == nil && v.Ephemeral == nil
	})
}
