package runner

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// awaitApply waits for the order to apply the plan that this run has stored, and names that run; "" when there is no such
// plan, when the pod is told to end, or when the time is over.
func (j *job) awaitApply(ctx context.Context) string {
	status := j.report.status()
	if status.Phase != v1alpha2.RunSucceeded || j.run.Spec.Operation != v1alpha2.OperationPlan || j.planner.stored == nil || j.cfg.Idle <= 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, j.cfg.Idle)
	defer cancel()
	name := ""
	j.log.Info("waiting for the order to apply the plan", "plan", j.planner.stored.ID, "atMost", j.cfg.Idle.String())
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		var err error
		if name, err = j.nextOrder(ctx); name != "" || apierrors.IsForbidden(err) {
			cancel()
		}
	}, watchPause)
	return name
}

// nextOrder looks for the apply that is meant for this pod, until the watch ends.
func (j *job) nextOrder(ctx context.Context) (string, error) {
	w, err := j.cfg.Client.Watch(ctx, &v1alpha2.TerraformRunList{}, client.InNamespace(j.run.Namespace),
		client.MatchingLabels{v1alpha2.TerraformNameLabel: v1alpha2.SafeLabelValue(j.owner.Name)})
	if err != nil {
		j.log.Info("could not watch for the next run", "error", err.Error())
		return "", err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", nil
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return "", nil
			}
			if run, ok := event.Object.(*v1alpha2.TerraformRun); ok && j.isNext(run) {
				return run.Name, nil
			}
		}
	}
}

// isNext: the hostname is this pod's alone. Whether the run may be begun is seen when it is claimed.
func (j *job) isNext(run *v1alpha2.TerraformRun) bool {
	return run.Spec.Operation == v1alpha2.OperationApply && run.Spec.Hostname == j.run.Spec.Hostname &&
		run.Status.Runner == nil && !run.Finished()
}

// takeOver lets an apply go on where its plan was made, unless that was made from something else than the apply is for.
func (j *job) takeOver(made *job) {
	was, is := &made.run.Spec, &j.run.Spec
	if made.dir.kept == nil && was.Target == is.Target && was.Backend == is.Backend && was.Source.Digest == is.Source.Digest {
		j.made = made
	}
}

// goOn takes the working directory of the plan, initialised as it is. Credentials and files are those of now, as in a fresh
// pod: a person may have taken a day to approve. What the plan has made or recorded, applier.load lays over them.
func (j *job) goOn(ctx context.Context) error {
	made := j.made.dir
	j.dir.root, j.dir.module, j.dir.digest, j.dir.backend = made.root, made.module, made.digest, made.backend
	j.dir.contents = made.contents
	j.secrets.add(j.made.secrets.secrets...)
	if err := j.dir.provide(ctx); err != nil {
		return err
	}
	if err := j.dir.placeBackend(); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	j.tool.engine = j.made.tool.engine.With(j.tool.options())
	identity := j.tool.engine.Binary().Identity
	j.report.set(func(s *v1alpha2.TerraformRunStatus) { s.Engine = &identity })
	return nil
}
