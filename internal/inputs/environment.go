package inputs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Environment are the values that the pod's environment has from Secrets. They are taken from the environment itself; of an
// envFrom, whose variables nothing else names, the Secret has to be read. What can be had comes beside an error.
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
		o, err := r.objects.get(ctx, kindSecret, from.SecretRef.Name)
		if err != nil {
			errs = append(errs, r.objects.explain(fmt.Sprintf("spec.runnerPodTemplate.spec.envFrom[%d].secretRef", i), kindSecret, from.SecretRef.Name, err))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(o.data)) {
			names = append(names, from.Prefix+key)
		}
	}
	var values []string
	for _, name := range names {
		values = appendText(values, []byte(getenv(name)))
	}
	return values, errors.Join(errs...)
}
