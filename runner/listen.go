package runner

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// errTerminated says that the pod was told to end.
var errTerminated = errors.New("the runner pod was told to end (SIGTERM)")

// cancelled says that the run was asked to stop.
type cancelled struct{ v1alpha2.Cancel }

func (c *cancelled) Error() string {
	text := "the run was cancelled"
	if c.By != "" {
		text += " by " + c.By
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// watchPause is the time between the end of a watch and the next one.
const watchPause = time.Second

// listen returns the context of the steps, which ends with the reason to stop as its cause: the end of ctx, or
// spec.cancel. The function it returns ends the listening.
func (j *job) listen(ctx context.Context) (context.Context, func()) {
	outer := ctx
	ctx, j.interrupt = context.WithCancelCause(context.WithoutCancel(outer))
	kill, killNow := context.WithCancel(context.WithoutCancel(outer))
	j.tool.kill = kill
	stopWaiting := context.AfterFunc(outer, func() {
		j.interrupt(errTerminated)
		time.AfterFunc(j.cfg.Grace, killNow)
	})
	if c := j.run.Spec.Cancel; c != nil {
		j.interrupt(&cancelled{*c})
	}
	watching, stopWatching := context.WithCancel(ctx)
	go wait.UntilWithContext(watching, j.watchRun, watchPause)
	return ctx, func() {
		stopWaiting()
		stopWatching()
		killNow()
		j.interrupt(nil)
	}
}

// watchRun looks for spec.cancel until the watch ends.
func (j *job) watchRun(ctx context.Context) {
	w, err := j.cfg.Client.Watch(ctx, &v1alpha2.TerraformRunList{},
		client.InNamespace(j.run.Namespace), client.MatchingFields{"metadata.name": j.run.Name})
	if err != nil {
		j.log.V(1).Info("could not watch the run", "error", err.Error())
		return
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return
			}
			run, ok := event.Object.(*v1alpha2.TerraformRun)
			if ok && run.UID == j.run.UID && run.Spec.Cancel != nil {
				j.log.Info("the run was asked to stop", "by", run.Spec.Cancel.By, "reason", run.Spec.Cancel.Reason)
				j.interrupt(&cancelled{*run.Spec.Cancel})
				return
			}
		}
	}
}
