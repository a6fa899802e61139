package runner

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

// podSecretsPatience is how long a Secret is asked for that this account may not read: a RoleBinding takes effect a moment late.
const podSecretsPatience = 5 * time.Second

// apiToken is where a pod has the token of its account, which the kubelet mounts.
const apiToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// hidePodSecrets makes known what this pod was given of Secrets in its environment and its volumes, and its own tokens: the engine
// and all that it starts can say it. A Secret that this account may not read, or that is gone by now, keeps no run from its work;
// not knowing does. What is mounted is in no keepsake: a store of secrets may be there so that they are not in etcd.
func (a *assignment) hidePodSecrets(ctx context.Context) error {
	pod := &a.run.Spec.Terraform.RunnerPodTemplate.Spec
	mounted, left, err := inputs.Mounted(pod, apiToken, a.cfg.Artifacts.TokenFile)
	if err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	if len(left) > 0 {
		a.log.Info("mounted files can't be hidden where the engine says them: together they are too large", "files", listed("not read", left))
	}
	a.podSecrets, err = a.environmentSecrets(ctx, pod)
	a.secrets.addInputs(slices.Concat(a.podSecrets, mounted)...)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		a.log.Info("values in the environment can't be hidden where the engine says them", "error", err.Error())
		return nil
	}
	if err != nil {
		return fail(v1alpha2.ReasonVarsGenerationFailed, err)
	}
	return nil
}

func (a *assignment) environmentSecrets(ctx context.Context, pod *v1alpha2.RunnerPodSpec) (values []string, err error) {
	start := a.cfg.Now()
	err = retry(ctx, apiPatience, func(ctx context.Context) (err error) {
		values, err = inputs.NewReader(a.cfg.Client, a.run.Namespace).Environment(ctx, pod, a.cfg.Getenv)
		if apierrors.IsForbidden(err) && a.cfg.Now().Sub(start) > podSecretsPatience {
			return &lasting{err}
		}
		return err
	})
	return values, err
}
