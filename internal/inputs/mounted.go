package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// maxMounted bounds what is read of all files together, in bytes: each is looked for in many forms.
	maxMounted = 1 << 20
	// maxLooks is how often a folder is read that is exchanged meanwhile.
	maxLooks = 3
)

// Mounted are the contents of the files that the pod has from Secrets: in volumes of the kind secret, in projected ones with a
// Secret, a token or a key, but for what is known to be no secret in them, and in those of CSI drivers for stores of secrets. To them
// come the files that are named besides. All are read where they are: of one that this user may not read, the engine can say
// nothing either. The paths in left are of files that were not read, because all together are larger than 1 MiB.
func Mounted(pod *v1alpha2.RunnerPodSpec, besides ...string) (values, left []string, err error) {
	var read reading
	for i := range pod.VolumeMounts {
		mount := &pod.VolumeMounts[i]
		at := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if at < 0 || !hasSecrets(&pod.Volumes[at].VolumeSource) {
			continue
		}
		if err := read.all(mount.MountPath, public(pod.Volumes[at].Projected)); err != nil {
			return nil, nil, fmt.Errorf("spec.runnerPodTemplate.spec.volumeMounts[%d]: read what is secret in it: %w", i, err)
		}
	}
	for _, path := range besides {
		if err := read.all(path, nil); err != nil {
			return nil, nil, fmt.Errorf("read what is secret in %s: %w", path, err)
		}
	}
	return read.values, read.left, nil
}

func hasSecrets(v *corev1.VolumeSource) bool {
	switch {
	case v.Secret != nil:
		return true
	case v.Projected != nil:
		return slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.Secret != nil || s.ServiceAccountToken != nil || s.PodCertificate != nil
		})
	case v.CSI != nil: // as secrets-store-csi-driver.sigs.k8s.io and the services of clouds name it
		return strings.HasPrefix(v.CSI.Driver, "secrets-store") && strings.HasSuffix(v.CSI.Driver, ".csi.k8s.io")
	}
	return false
}

// public are the paths of files in a projected volume that are named, and no secret.
func public(v *corev1.ProjectedVolumeSource) []string {
	if v == nil {
		return nil
	}
	var paths []string
	for _, s := range v.Sources {
		if s.DownwardAPI != nil {
			for _, item := range s.DownwardAPI.Items {
				paths = append(paths, item.Path)
			}
		}
		if s.ConfigMap != nil {
			for _, item := range s.ConfigMap.Items {
				paths = append(paths, item.Path)
			}
		}
		if s.ClusterTrustBundle != nil {
			paths = append(paths, s.ClusterTrustBundle.Path)
		}
	}
	return paths
}

// reading collects the contents of files.
type reading struct {
	values, left []string
	size         int64
}

// all reads the regular files at or below a path, which is absolute for the kubelet in any case.
func (r *reading) all(path string, public []string) error {
	root, err := filepath.EvalSymlinks(filepath.Join("/", path))
	if err != nil {
		return unreachable(err)
	}
	for range maxLooks {
		if whole, err := r.look(root, public); whole || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s was exchanged %d times while it was read", path, maxLooks)
}

// look says whether all that was seen could be read. The kubelet puts the files of a volume into a folder "..TIME", with links to them
// beside it, and exchanges the whole folder.
func (r *reading) look(root string, public []string) (whole bool, err error) {
	whole = true
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && !slices.Contains(public, nameIn(root, path)) {
			err = r.file(path)
		}
		whole = whole && !errors.Is(err, fs.ErrNotExist)
		return unreachable(err)
	})
	return whole, err
}

// nameIn is a path as the volume's source has it.
func nameIn(root, path string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
	if first, rest, below := strings.Cut(name, "/"); below && strings.HasPrefix(first, "..") {
		return rest
	}
	return name
}

func (r *reading) file(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if r.size+info.Size() > maxMounted {
		if !slices.Contains(r.left, path) {
			r.left = append(r.left, path)
		}
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil || slices.Contains(words, strings.TrimSpace(string(content))) || slices.Contains(r.values, string(content)) {
		return err
	}
	r.values, r.size = appendText(r.values, content), r.size+info.Size()
	return nil
}

// unreachable leaves out what is not there, and what may not be read.
func unreachable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
