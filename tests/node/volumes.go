package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Names in a pod's folder, beside the logs.
const (
	volumesDir = "volumes"
	rootsDir   = "roots"
)

// volumeSources brings the kinds of volume to one form: what is projected into it, and the mode of its files.
// A volume without sources is an empty folder; ok is false for a kind that the node does not have.
func volumeSources(v corev1.VolumeSource) (sources []corev1.VolumeProjection, mode *int32, ok bool) {
	switch {
	case v.EmptyDir != nil:
		return nil, nil, true
	case v.Secret != nil:
		p := corev1.SecretProjection{Items: v.Secret.Items, Optional: v.Secret.Optional}
		p.Name = v.Secret.SecretName
		return []corev1.VolumeProjection{{Secret: &p}}, v.Secret.DefaultMode, true
	case v.ConfigMap != nil:
		p := corev1.ConfigMapProjection{Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional}
		p.Name = v.ConfigMap.Name
		return []corev1.VolumeProjection{{ConfigMap: &p}}, v.ConfigMap.DefaultMode, true
	case v.DownwardAPI != nil:
		p := corev1.DownwardAPIProjection{Items: v.DownwardAPI.Items}
		return []corev1.VolumeProjection{{DownwardAPI: &p}}, v.DownwardAPI.DefaultMode, true
	case v.Projected != nil:
		return v.Projected.Sources, v.Projected.DefaultMode, true
	}
	return nil, nil, false
}

type file struct {
	data []byte
	mode *int32
}

// makeVolumes writes the pod's volumes, or writes them again. They are good until the time that it returns.
func (w *worker) makeVolumes(ctx context.Context) (until time.Time, err error) {
	until = time.Now().Add(24 * time.Hour)
	in := w.inputs()
	for _, v := range w.pod.Spec.Volumes {
		sources, mode, _ := volumeSources(v.VolumeSource)
		files := map[string]file{}
		for _, source := range sources {
			renew, err := in.project(ctx, source, files)
			if err != nil {
				return until, fmt.Errorf("MountVolume.SetUp failed for volume %q: %w", v.Name, err)
			}
			if !renew.IsZero() && renew.Before(until) {
				until = renew
			}
		}
		if err := w.writeVolume(v.Name, files, mode); err != nil {
			return until, fmt.Errorf("writing volume %q: %w", v.Name, err)
		}
	}
	return until, nil
}

// writeVolume replaces each file as a whole: a container may be reading the old one.
func (w *worker) writeVolume(name string, files map[string]file, mode *int32) error {
	dir := filepath.Join(w.dir, volumesDir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := w.own(dir, 0o777, os.ModeSetgid)
	for path, f := range files {
		m := int32(0o644)
		for _, set := range []*int32{mode, f.mode} {
			if set != nil {
				m = *set
			}
		}
		target := filepath.Join(dir, path)
		err = errors.Join(err,
			os.MkdirAll(filepath.Dir(target), 0o755),
			os.WriteFile(target+".new", f.data, 0o600),
			w.own(target+".new", os.FileMode(m), 0o040),
			os.Rename(target+".new", target))
	}
	return err
}

// own gives what is in a volume its mode and, when the pod has one, its group with some more rights.
func (w *worker) own(path string, mode, groupMode os.FileMode) error {
	if sc := w.pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		if err := os.Chown(path, 0, int(*sc.FSGroup)); err != nil {
			return err
		}
		mode |= groupMode
	}
	return os.Chmod(path, mode)
}
