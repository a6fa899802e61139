package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/terraform-controller/terraform-controller/tests/node/sandbox"
)

// image is the configuration in a folder's image.json.
type image struct {
	Entrypoint []string `json:"entrypoint"`
	Env        []string `json:"env"`
	User       int64    `json:"user"`
	WorkingDir string   `json:"workingDir"`
	folder     string
}

func (i *image) env() map[string]string {
	env := map[string]string{}
	for _, e := range i.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	return env
}

func (w *worker) pull(c *container) (*image, error) {
	folder, ok := w.node.opts.Images[c.spec.Image]
	if !ok {
		c.pulls++
		cause := fmt.Sprintf("failed to pull image %q: the local node has no such image", c.spec.Image)
		if c.pulls == 1 {
			return nil, &waiting{reason: "ErrImagePull", message: cause}
		}
		message := fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", c.spec.Image, cause)
		return nil, &waiting{reason: "ImagePullBackOff", message: message, asleep: true}
	}
	c.pulls = 0
	img := &image{}
	data, err := os.ReadFile(filepath.Join(folder, "image.json"))
	if err == nil {
		err = json.Unmarshal(data, img)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		img.folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return nil, &waiting{reason: "CreateContainerError", message: fmt.Sprintf("reading the configuration of image %q: %v", c.spec.Image, err)}
	}
	return img, nil
}

// launch starts a container. The error is a *waiting when it may start later, else it never will.
func (w *worker) launch(ctx context.Context, c *container) (*process, error) {
	img, err := w.pull(c)
	if err != nil {
		return nil, err
	}
	spec, err := w.spec(ctx, c.spec, img)
	if err != nil {
		return nil, &waiting{reason: "CreateContainerConfigError", message: err.Error()}
	}
	if err := os.MkdirAll(spec.Root, 0o700); err != nil {
		return nil, &waiting{reason: "CreateContainerError", message: err.Error()}
	}
	message := w.messagePath(c)
	if err := os.WriteFile(message, nil, 0o666); err != nil {
		return nil, &waiting{reason: "CreateContainerError", message: err.Error()}
	}
	if err := os.Chmod(message, 0o666); err != nil { // whatever the umask is
		return nil, &waiting{reason: "CreateContainerError", message: err.Error()}
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: message, Target: c.spec.TerminationMessagePath})
	return w.execute(c, spec)
}

func (w *worker) messagePath(c *container) string {
	return filepath.Join(w.dir, rootsDir, c.spec.Name+".message")
}

func (w *worker) logPath(c *container) string { return filepath.Join(w.dir, c.spec.Name+".log") }

// spec gathers what the container is made from.
func (w *worker) spec(ctx context.Context, c *corev1.Container, img *image) (*sandbox.Spec, error) {
	env, err := w.inputs().environment(ctx, c, img)
	if err != nil {
		return nil, err
	}
	s := &sandbox.Spec{
		Image:    img.folder,
		Root:     filepath.Join(w.dir, rootsDir, c.Name),
		Hostname: hostname(w.pod),
		WorkDir:  first(c.WorkingDir, img.WorkingDir, "/"),
		Env:      list(env),
	}
	command := c.Command
	if len(command) == 0 {
		command = img.Entrypoint
	}
	for _, arg := range append(slices.Clip(command), c.Args...) {
		s.Args = append(s.Args, expand(arg, env))
	}
	if len(s.Args) == 0 {
		return nil, fmt.Errorf("no command: neither the container nor image %q has one", c.Image)
	}
	if err := w.mounts(c, s); err != nil {
		return nil, err
	}
	return s, w.secure(c, img, s)
}

func hostname(pod *corev1.Pod) string {
	name := first(pod.Spec.Hostname, pod.Name)
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (w *worker) mounts(c *corev1.Container, s *sandbox.Spec) error {
	emptyDirs := map[string]bool{}
	for _, v := range w.pod.Spec.Volumes {
		emptyDirs[v.Name] = v.EmptyDir != nil
	}
	for _, m := range c.VolumeMounts {
		if err := w.makeSubPath(m, emptyDirs[m.Name]); err != nil {
			return fmt.Errorf("subPath %q of volume %q: %w", m.SubPath, m.Name, err)
		}
		source := filepath.Join(w.dir, volumesDir, m.Name, m.SubPath)
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || !emptyDirs[m.Name]})
	}
	return nil
}

// makeSubPath makes sure that what is mounted exists, and is inside the volume: a container may have made links there.
func (w *worker) makeSubPath(m corev1.VolumeMount, writable bool) error {
	if m.SubPath == "" {
		return nil
	}
	volume := filepath.Join(w.dir, volumesDir, m.Name)
	root, err := os.OpenRoot(volume)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = root.Stat(m.SubPath)
	if errors.Is(err, os.ErrNotExist) && writable {
		if err = root.MkdirAll(m.SubPath, 0o755); err == nil {
			err = w.own(filepath.Join(volume, m.SubPath), 0o777, os.ModeSetgid)
		}
	}
	return err
}

// secure fills in the security settings; the container's win over the pod's, and those over the image's.
func (w *worker) secure(c *corev1.Container, img *image, s *sandbox.Spec) error {
	pod, own := w.pod.Spec.SecurityContext, c.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	s.UID = int(or(own.RunAsUser, pod.RunAsUser, img.User))
	s.GID = int(or(own.RunAsGroup, pod.RunAsGroup, 0))
	if or(own.RunAsNonRoot, pod.RunAsNonRoot, false) && s.UID == 0 {
		return errors.New("container has runAsNonRoot and image will run as root")
	}
	for _, group := range pod.SupplementalGroups {
		s.Groups = append(s.Groups, int(group))
	}
	if pod.FSGroup != nil {
		s.Groups = append(s.Groups, int(*pod.FSGroup))
	}
	s.ReadOnly = or(own.ReadOnlyRootFilesystem, nil, false)
	s.NoNewPrivs = !or(own.AllowPrivilegeEscalation, nil, true)
	s.Capabilities, _ = capabilities(own.Capabilities)
	return nil
}

func capabilities(c *corev1.Capabilities) (kept []int, ok bool) {
	if c == nil {
		c = &corev1.Capabilities{}
	}
	names := func(in []corev1.Capability) (out []string) {
		for _, name := range in {
			out = append(out, string(name))
		}
		return out
	}
	return sandbox.Capabilities(names(c.Drop), names(c.Add))
}

func or[T any](a, b *T, c T) T {
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	}
	return c
}

// process is a container that runs.
type process struct {
	Process
	cmd     *exec.Cmd
	started time.Time
}

type exit struct {
	container *container
	status    syscall.WaitStatus
	at        time.Time
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to container %s: %w", s, p.Container, err)
	}
	return nil
}

// execute starts the first process and waits until it has become the container's command.
func (w *worker) execute(c *container, spec *sandbox.Spec) (*process, error) {
	log, err := os.OpenFile(w.logPath(c), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	defer log.Close()
	cmd, err := sandbox.Start(spec, log)
	if err != nil {
		return nil, err
	}
	n := w.node
	running := &process{cmd: cmd, started: time.Now(), Process: Process{
		PodUID: w.pod.UID, Namespace: w.pod.Namespace, Pod: w.pod.Name, Container: c.spec.Name, PID: cmd.Process.Pid,
	}}
	n.mu.Lock()
	n.processes[running] = struct{}{}
	n.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended is in the state
		at := time.Now()
		n.mu.Lock()
		delete(n.processes, running)
		n.mu.Unlock()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		w.exits <- exit{c, status, at}
	}()
	return running, nil
}

// message is what the container left at its terminationMessagePath, or the end of its log.
func (w *worker) message(e exit) string {
	const most = 4096
	message, _ := os.ReadFile(w.messagePath(e.container)) // the container may have made anything of it
	fallback := e.container.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError
	if len(message) == 0 && e.status != 0 && fallback {
		log, _ := os.ReadFile(w.logPath(e.container))
		message = log[max(0, len(log)-most/2):]
	}
	return string(bytes.ToValidUTF8(message[:min(len(message), most)], []byte("?")))
}
