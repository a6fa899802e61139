package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

const (
	// glassFile is there as long as a session is: who removes it ends the session. The incumbent's tool does that.
	glassFile = ".break-glass"
	// glassEnvironment gives a shell what the run has. Like all that has secrets it is not in the module.
	glassEnvironment = ".break-glass.env"
	// glassLook is how often it is looked for.
	glassLook = 2 * time.Second
)

// session is a person's time in this pod.
type session struct {
	file, environment string
	limit             time.Duration
}

func newSession(cfg *Config, limit time.Duration) session {
	return session{file: filepath.Join(cfg.Root, glassFile), environment: filepath.Join(cfg.Root, glassEnvironment), limit: limit}
}

// open lets the session begin. A shell is not the runner's child: the script gives it the run's environment.
func (s session) open(script []byte) error {
	if err := writePrivate(s.environment, script); err != nil {
		return fmt.Errorf("write the environment of the session: %w", err)
	}
	if err := writePrivate(s.file, nil); err != nil {
		return fmt.Errorf("open the session: %w", err)
	}
	return nil
}

// close leaves nothing of it. What can't be removed goes with the pod.
func (s session) close() {
	_ = os.Remove(s.file)
	_ = os.Remove(s.environment)
}

// wait ends with the session: when its time is over, when its file is gone, or with ctx, whose cause it returns.
func (s session) wait(ctx context.Context) error {
	over := time.NewTimer(s.limit)
	defer over.Stop()
	look := time.NewTicker(glassLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return nil
		case <-look.C:
			if _, err := os.Lstat(s.file); os.IsNotExist(err) {
				return nil
			}
		}
	}
}

// sessionSteps prepare everything as for a plan, and then wait.
func (j *job) sessionSteps() []step {
	return []step{
		{v1alpha2.StepFetch, j.dir.fetch},
		{v1alpha2.StepWorkspace, j.dir.workspace},
		{v1alpha2.StepWorkspace, j.findEngine},
		{v1alpha2.StepSession, j.session},
	}
}

// session initialises the module and leaves it to a person. That the state guard refuses the state, or init fails, is no reason to
// keep out who wants to mend it; after a refusal nothing is initialised, for init makes an empty state where one is gone.
func (j *job) session(ctx context.Context) error {
	s := newSession(&j.cfg, j.run.Spec.Session.Limit.Duration)
	defer s.close()
	note := j.prepareSession(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.open(j.cfg.environment.script(j.tool.engine.Binary().Path)); err != nil {
		return fail(v1alpha2.ReasonTFExecInitFailed, err)
	}
	now := j.cfg.Now()
	opened := &v1alpha2.SessionStatus{OpenedAt: metav1.NewTime(now), Until: metav1.NewTime(now.Add(s.limit)),
		Directory: j.dir.module, Environment: s.environment, Note: note}
	j.report.set(func(st *v1alpha2.TerraformRunStatus) { st.Session = opened })
	if err := j.report.commit(ctx); err != nil {
		return fmt.Errorf("report that the session is open: %w", err)
	}
	j.log.Info("a person may come in", "until", opened.Until.UTC().Format(time.RFC3339), "directory", j.dir.module)
	err := s.wait(ctx)
	j.log.Info("the session is over")
	return err
}

// prepareSession says what could not be prepared; "" when everything is.
func (j *job) prepareSession(ctx context.Context) string {
	for _, s := range []step{{v1alpha2.StepGuard, j.state.guard}, {v1alpha2.StepInit, j.state.initialise}} {
		if err := j.take(ctx, s); err != nil {
			return j.secrets.text(fmt.Sprintf("Not initialised: %s", j.explain(s.name, err).message))
		}
	}
	if err := j.take(ctx, step{v1alpha2.StepInit, j.state.recover}); err != nil {
		return j.secrets.text(fmt.Sprintf("Mind the state: %s", j.explain(v1alpha2.StepInit, err).message))
	}
	return ""
}
