package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// secretsStore is the CSI driver that mounts what a vault holds (secrets-store-csi-driver.sigs.k8s.io).
	secretsStore = "secrets-store.csi.k8s.io"
	// maxMounted bounds a file that is read, in bytes: no Secret is larger.
	maxMounted = 1 << 20
)

// Mounted are the contents of the files that the pod has from Secrets, in volumes of the kinds secret, projected and CSI. They are
// read where they are mounted. Of a file that this user may not read the engine can say nothing either.
func Mounted(pod *v1alpha2.RunnerPodSpec) ([]string, error) {
	var values []string
	for i := range pod.VolumeMounts {
		mount := &pod.VolumeMounts[i]
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name && ofSecrets(&v.VolumeSource) }) {
			continue
		}
		found, err := contents(mount.MountPath)
		if err != nil {
			return nil, fmt.Errorf("spec.runnerPodTemplate.spec.volumeMounts[%d]: read what is secret in it: %w", i, err)
		}
		values = append(values, found...)
	}
	return values, nil
}

func ofSecrets(v *corev1.VolumeSource) bool {
	switch {
	case v.Secret != nil:
		return true
	case v.Projected != nil:
		return slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.Secret != nil })
	}
	return v.CSI != nil && v.CSI.Driver == secretsStore
}

// contents are those of the regular files below path. The links that the kubelet makes beside them lead to the same.
func contents(path string) ([]string, error) {
	var values []string
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return unreachable(err)
		}
		if info, err := entry.Info(); err != nil || info.Size() > maxMounted {
			return unreachable(err)
		}
		content, err := os.ReadFile(path) //nolint:gosec // a mount of this pod
		if !slices.Contains(words, string(content)) {
			values = appendText(values, content)
		}
		return unreachable(err)
	})
	return values, err
}

// unreachable leaves out what is not there, be it that the kubelet has just exchanged it, and what may not be read.
func unreachable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
