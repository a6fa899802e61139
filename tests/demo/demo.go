// Package demo shows the product at work, with the commands that its users type.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/local"
)

const (
	namespace = "demo"
	name      = "hello"

	patience = 2 * time.Minute
	glance   = 100 * time.Millisecond
)

var (
	//go:embed testdata/main.tf
	module string
	//go:embed testdata/tenant.yaml
	tenant string
	//go:embed testdata/infra.yaml
	infra string
)

// demo is one show: it stops at the first thing that is not as it should be.
type demo struct {
	ctx     context.Context
	system  *local.System
	kubectl string
	out     io.Writer
	repo    *cluster.Repo
	start   time.Time
	step    int
}

// Run shows the whole story on a cluster that is up: commit, plan, approval, apply, revert, drift, deletion.
func Run(ctx context.Context, system *local.System, root string, out io.Writer) error {
	d := &demo{ctx: ctx, system: system, kubectl: filepath.Join(root, "bin", "kubectl"), out: out, start: time.Now()}
	for _, act := range []func() error{d.commit, d.hold, d.approve, d.change, d.revert, d.drift, d.delete} {
		if err := act(); err != nil {
			return err
		}
	}
	d.say("That was all of it, in %d seconds.", int(time.Since(d.start).Seconds()))
	return nil
}

func (d *demo) commit() error {
	d.say("A module in git, and what a team commits to have it applied")
	var err error
	if d.repo, err = d.system.Git.Repo(d.ctx, "infra"); err != nil {
		return err
	}
	if _, err := d.repo.Commit(d.ctx, "settings: green", map[string]string{"main.tf": module}); err != nil {
		return err
	}
	manifest := strings.ReplaceAll(infra, "${GIT_URL}", d.repo.URL)
	d.show(module)
	d.show(manifest)
	if err := d.apply(tenant); err != nil {
		return err
	}
	return d.apply(manifest)
}

func (d *demo) hold() error {
	d.say("The plan is made, and waits: approvePlan is manual")
	id, err := d.pending("")
	if err != nil {
		return err
	}
	if err := d.run("get", "terraform", name); err != nil {
		return err
	}
	d.say("The plan as a person reads it: plan %s", id)
	tf, err := d.object()
	if err != nil {
		return err
	}
	return d.run("get", "tfrun", tf.Status.Plan.Run, "-o", "jsonpath={.status.plan.rendered}")
}

func (d *demo) approve() error {
	d.say("It is approved by its id, and exactly that plan is applied")
	if err := d.approvePending("color=green"); err != nil {
		return err
	}
	d.say("Outputs Secret, state Secret and its Lease")
	return d.run("get", "secrets,leases,tfrun")
}

func (d *demo) change() error {
	d.say("A commit changes the color")
	if _, err := d.repo.Commit(d.ctx, "settings: blue", map[string]string{"main.tf": strings.ReplaceAll(module, "green", "blue")}); err != nil {
		return err
	}
	return d.synced("color=blue")
}

func (d *demo) revert() error {
	d.say("git revert: applied back")
	if _, err := d.repo.Revert(d.ctx); err != nil {
		return err
	}
	return d.synced("color=green")
}

// synced lets source-controller look at git now, waits for the plan and approves it.
func (d *demo) synced(settings string) error {
	tf, err := d.object()
	if err != nil {
		return err
	}
	if err := d.run("annotate", "--overwrite", "gitrepository/infra", "reconcile.fluxcd.io/requestedAt="+time.Now().Format(time.RFC3339Nano)); err != nil {
		return err
	}
	if _, err := d.pending(tf.Status.Plan.LastApplied); err != nil {
		return err
	}
	return d.approvePending(settings)
}

func (d *demo) approvePending(settings string) error {
	id, err := d.pending("")
	if err != nil {
		return err
	}
	if err := d.run("annotate", "--overwrite", "--field-manager=flux-client-side-apply", "terraform/"+name, infrav1.ApprovePlanAnnotation+"="+id); err != nil {
		return err
	}
	err = d.until("plan "+id+" is applied", func(tf *infrav1.Terraform) bool {
		return tf.Status.Plan.LastApplied == id && tf.Status.ActiveRun == nil
	})
	if err != nil {
		return err
	}
	if err := d.untilSettings(settings); err != nil {
		return err
	}
	return d.run("get", "terraform", name)
}

func (d *demo) drift() error {
	d.say("Under auto, drift is corrected: somebody paints the ConfigMap red")
	if err := d.run("patch", "terraform/"+name, "--type=merge", "-p", `{"spec":{"approvePlan":"auto","interval":"5s"}}`); err != nil {
		return err
	}
	if err := d.run("patch", "configmap/settings", "--type=merge", "-p", `{"data":{"color":"red"}}`); err != nil {
		return err
	}
	if err := d.untilSettings("color=green"); err != nil {
		return err
	}
	err := d.until("the drift is corrected", func(tf *infrav1.Terraform) bool { return tf.Status.LastAppliedByDriftDetectionAt != nil })
	if err != nil {
		return err
	}
	return d.run("get", "events", "--field-selector", "involvedObject.kind=Terraform", "-o", "custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message")
}

func (d *demo) delete() error {
	d.say("Deletion destroys the resources, and leaves the empty state and its free Lease")
	if err := d.run("delete", "terraform/"+name, "--timeout="+patience.String()); err != nil {
		return err
	}
	err := d.system.Client.Get(d.ctx, client.ObjectKey{Namespace: namespace, Name: "settings"}, &corev1.ConfigMap{})
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("the ConfigMap should be gone: %w", err)
	}
	if err := d.poll("runs, pods, plan and outputs Secrets are gone", d.clean); err != nil {
		return err
	}
	return d.run("get", "terraform,tfrun,pods,secrets,leases")
}

func (d *demo) clean() (bool, error) {
	var runs infrav1.TerraformRunList
	var pods corev1.PodList
	var secrets corev1.SecretList
	for _, list := range []client.ObjectList{&runs, &pods, &secrets} {
		if err := d.system.Client.List(d.ctx, list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
	}
	return len(runs.Items)+len(pods.Items) == 0 && len(secrets.Items) == 1, nil
}

func (d *demo) object() (*infrav1.Terraform, error) {
	tf := &infrav1.Terraform{}
	return tf, d.system.Client.Get(d.ctx, client.ObjectKey{Namespace: namespace, Name: name}, tf)
}

// pending waits for a plan that waits for approval, other than the given one, and returns its id.
func (d *demo) pending(other string) (id string, err error) {
	err = d.until("a plan waits for approval", func(tf *infrav1.Terraform) bool {
		id = tf.Status.Plan.Pending
		return id != "" && id != other && tf.Status.ActiveRun == nil
	})
	return id, err
}

func (d *demo) untilSettings(want string) error {
	key, value, _ := strings.Cut(want, "=")
	return d.poll("the ConfigMap says "+want, func() (bool, error) {
		settings := &corev1.ConfigMap{}
		err := d.system.Client.Get(d.ctx, client.ObjectKey{Namespace: namespace, Name: "settings"}, settings)
		return err == nil && settings.Data[key] == value, client.IgnoreNotFound(err)
	})
}

func (d *demo) until(what string, is func(*infrav1.Terraform) bool) error {
	var last *infrav1.Terraform
	err := d.poll(what, func() (bool, error) {
		tf, err := d.object()
		last = tf
		return err == nil && is(tf), err
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w; the object's conditions: %+v", err, last.Status.Conditions)
	}
	return err
}

func (d *demo) poll(what string, done func() (bool, error)) error {
	begun := time.Now()
	err := wait.PollUntilContextTimeout(d.ctx, glance, patience, true, func(context.Context) (bool, error) { return done() })
	if err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	d.print("  ... %s (%.1f s)\n", what, time.Since(begun).Seconds())
	return nil
}

// run runs kubectl in the demo's namespace, showing command and answer.
func (d *demo) run(args ...string) error {
	d.print("\n$ kubectl -n %s %s\n", namespace, strings.Join(args, " "))
	return d.exec(nil, append([]string{"-n", namespace}, args...)...)
}

func (d *demo) apply(manifest string) error {
	d.print("\n$ kubectl apply -f -\n")
	return d.exec(strings.NewReader(manifest), "apply", "-f", "-")
}

func (d *demo) exec(stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(d.ctx, d.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.system.Kubeconfig())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, d.out, d.out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("kubectl %s: exit code %d", strings.Join(args, " "), exit.ExitCode())
	}
	return err
}

func (d *demo) say(format string, args ...any) {
	d.step++
	d.print("\n== %d. [%4.0f s] %s\n", d.step, time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) show(text string) {
	d.print("\n    %s\n", strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    "))
}

func (d *demo) print(format string, args ...any) {
	fmt.Fprintf(d.out, format, args...)
}
