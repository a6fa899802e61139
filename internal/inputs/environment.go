package inputs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// words are values that say nothing, and that texts are full of.
var words = []string{"true", "false", "null"}

// Environment are the values that the pod's environment has from Secrets, but for true, false and null. They are taken from the
// environment itself; of an envFrom, whose variables nothing else names, the Secret has to be read. Where one is absent, though
// it has to be there, or may not be read, the others come beside the errors, which are apierrors.IsNotFound or IsForbidden.
func (r *Reader) Environment(ctx context.Context, pod *v1alpha2.RunnerPodSpec, getenv func(string) string) ([]string, error) {
	var names []string
	var errs []error
	for i := range pod.Env {
		if from := pod.Env[i].ValueFrom; from != nil && from.SecretKeyRef != nil {
			names = append(names, pod.Env[i].Name)
		}
	}
	for i := range pod.EnvFrom {
		from := &pod.EnvFrom[i]
		if from.SecretRef == nil {
			continue
		}
		keys, err := r.keys(ctx, fmt.Sprintf("spec.runnerPodTemplate.spec.envFrom[%d].secretRef", i), from.SecretRef)
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
			return nil, err
		}
		errs = append(errs, err)
		for _, key := range keys {
			names = append(names, from.Prefix+key)
		}
	}
	var values []string
	for _, name := range names {
		if value := getenv(name); !slices.Contains(words, value) {
			values = appendText(values, []byte(value))
		}
	}
	return values, errors.Join(errs...)
}

func (r *Reader) keys(ctx context.Context, field string, from *corev1.SecretEnvSource) ([]string, error) {
	o, err := r.objects.get(ctx, kindSecret, from.Name)
	switch {
	case err != nil:
		return nil, r.objects.explain(field, kindSecret, from.Name, err)
	case !o.found && !ptr.Deref(from.Optional, false):
		missing := r.objects.absent(field, kindSecret, from.Name, "optional to true")
		missing.Err = apierrors.NewNotFound(corev1.Resource("secrets"), from.Name)
		return nil, missing
	}
	return slices.Sorted(maps.Keys(o.data)), nil
}
