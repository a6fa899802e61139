package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// inputs is where the content of a pod's volumes and variables comes from.
type inputs struct {
	api  kubernetes.Interface
	pod  *corev1.Pod
	opts *Options
}

func (w *worker) inputs() *inputs { return &inputs{w.node.api, w.pod, &w.node.opts} }

// project adds the files of one source; renew is when they have to be made anew, if ever.
func (in *inputs) project(ctx context.Context, s corev1.VolumeProjection, files map[string]file) (renew time.Time, err error) {
	switch {
	case s.Secret != nil:
		data, err := in.data(ctx, secretKind, s.Secret.Name, s.Secret.Optional)
		if err != nil {
			return renew, err
		}
		return renew, pick(files, data, s.Secret.Items, s.Secret.Optional)
	case s.ConfigMap != nil:
		data, err := in.data(ctx, configMapKind, s.ConfigMap.Name, s.ConfigMap.Optional)
		if err != nil {
			return renew, err
		}
		return renew, pick(files, data, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.DownwardAPI != nil:
		for _, item := range s.DownwardAPI.Items {
			value, err := in.field(item.FieldRef.FieldPath)
			if err != nil {
				return renew, err
			}
			files[item.Path] = file{[]byte(value), item.Mode}
		}
		return renew, nil
	}
	return in.projectToken(ctx, s.ServiceAccountToken, files)
}

func (in *inputs) projectToken(ctx context.Context, t *corev1.ServiceAccountTokenProjection, files map[string]file) (renew time.Time, err error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: t.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: in.pod.Name, UID: in.pod.UID},
	}}
	if t.Audience != "" {
		request.Spec.Audiences = []string{t.Audience}
	}
	accounts := in.api.CoreV1().ServiceAccounts(in.pod.Namespace)
	token, err := accounts.CreateToken(ctx, in.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return renew, fmt.Errorf("fetching a token of service account %q: %w", in.pod.Spec.ServiceAccountName, err)
	}
	files[t.Path] = file{data: []byte(token.Status.Token)}
	return time.Now().Add(time.Until(token.Status.ExpirationTimestamp.Time) * 8 / 10), nil
}

const (
	secretKind    = "secret"
	configMapKind = "configmap"
)

// data reads a Secret or ConfigMap; a missing optional one is empty.
func (in *inputs) data(ctx context.Context, kind, name string, optional *bool) (map[string][]byte, error) {
	core := in.api.CoreV1()
	data := map[string][]byte{}
	var err error
	if kind == secretKind {
		var s *corev1.Secret
		if s, err = core.Secrets(in.pod.Namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			maps.Copy(data, s.Data)
		}
	} else {
		var c *corev1.ConfigMap
		if c, err = core.ConfigMaps(in.pod.Namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			maps.Copy(data, c.BinaryData)
			for k, v := range c.Data {
				data[k] = []byte(v)
			}
		}
	}
	switch {
	case apierrors.IsNotFound(err) && optional != nil && *optional:
		return nil, nil
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%s %q not found", kind, name)
	case err != nil:
		return nil, fmt.Errorf("reading %s %q: %w", kind, name, err)
	}
	return data, nil
}

func pick(files map[string]file, data map[string][]byte, items []corev1.KeyToPath, optional *bool) error {
	if len(items) == 0 {
		for key, value := range data {
			files[key] = file{data: value}
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		switch {
		case ok:
			files[item.Path] = file{value, item.Mode}
		case optional == nil || !*optional:
			return fmt.Errorf("references non-existent key %q", item.Key)
		}
	}
	return nil
}

// field is the value of a downward API field path.
func (in *inputs) field(path string) (string, error) {
	simple := map[string]string{
		"metadata.name": in.pod.Name, "metadata.namespace": in.pod.Namespace, "metadata.uid": string(in.pod.UID),
		"metadata.labels": lines(in.pod.Labels), "metadata.annotations": lines(in.pod.Annotations),
		"spec.nodeName": in.pod.Spec.NodeName, "spec.serviceAccountName": in.pod.Spec.ServiceAccountName,
		"status.podIP": hostIP, "status.podIPs": hostIP, "status.hostIP": hostIP, "status.hostIPs": hostIP,
	}
	if value, ok := simple[path]; ok {
		return value, nil
	}
	name, key, _ := strings.Cut(strings.TrimSuffix(path, "']"), "['")
	switch name {
	case "metadata.labels":
		return in.pod.Labels[key], nil
	case "metadata.annotations":
		return in.pod.Annotations[key], nil
	}
	return "", fmt.Errorf("the local node does not know the field %s", path)
}

func lines(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%q", k, m[k]))
	}
	return strings.Join(out, "\n")
}
