// Package node is a small Kubernetes node for tests and demos: it registers a Node, binds Pods to it and runs
// their containers as processes of this machine, each in mount, UTS and PID namespaces of its own. It knows
// what one-shot Pods need; a Pod that asks for anything else fails with reason UnsupportedPodField.
//
// Needs Linux and root. The program that starts a Node has to call MaybeChild first thing in main or TestMain.
package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/terraform-controller/terraform-controller/tests/node/sandbox"
)

// MaybeChild has to be called first thing in main or TestMain of a program that starts a Node. In the processes that
// the node starts it becomes the container and never returns; elsewhere it does nothing.
func MaybeChild() { sandbox.MaybeChild() }

// Options says what a Node needs to know.
type Options struct {
	// Config is an administrator's access to the API server.
	Config *rest.Config
	// Name of the Node object.
	Name string
	// Dir holds volumes and logs of the pods. It is never emptied: the logs are for after the test.
	Dir string
	// Images maps the image names that can be "pulled" to folders, which are laid over the host's root. Users
	// other than root need the usual permissions in there. image.json in a folder is the image's configuration.
	Images map[string]string
	// APIServerHost and APIServerPort are what pods get as KUBERNETES_SERVICE_HOST and _PORT.
	APIServerHost, APIServerPort string
	Log                          logr.Logger
}

// Node runs the pods that are bound to it until Stop.
type Node struct {
	opts   Options
	cut    atomic.Bool          // from the API, as seen by the kubelet's half
	api    kubernetes.Interface // of the kubelet's half: fails while the node is cut off
	sched  kubernetes.Interface // of the scheduler's half, and of the watches
	pods   listers.PodLister
	nodes  listers.NodeLister
	events record.EventRecorder
	queue  workqueue.TypedRateLimitingInterface[types.NamespacedName]
	resume func()
	stop   func() // once
	wg     sync.WaitGroup

	mu        sync.Mutex
	workers   map[types.UID]*worker
	processes map[*process]struct{}
}

var errCut = errors.New("the node is cut off from the API server")

// Start registers the Node and begins to run pods. ctx bounds the start only; Stop ends the node.
func Start(ctx context.Context, opts Options) (*Node, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the local node needs root: it makes namespaces and mounts for its containers")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the node's folder: %w", err)
	}
	opts.Dir = dir
	if err := os.MkdirAll(filepath.Join(dir, "pods"), 0o700); err != nil { // Secrets will be in there
		return nil, fmt.Errorf("making the node's folder: %w", err)
	}
	n := &Node{
		opts:      opts,
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
		workers:   map[types.UID]*worker{},
		processes: map[*process]struct{}{},
	}
	if err := n.connect(); err != nil {
		return nil, err
	}
	if err := n.register(ctx); err != nil {
		return nil, fmt.Errorf("registering node %s: %w", opts.Name, err)
	}
	if err := n.run(ctx); err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (n *Node) connect() (err error) {
	config := rest.CopyConfig(n.opts.Config)
	config.QPS, config.UserAgent = -1, "local-node"
	config.Wrap(awaitAPIServer)
	if n.sched, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	// Policies know a kubelet by this name and group.
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + n.opts.Name, Groups: []string{"system:nodes", "system:masters"}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if n.cut.Load() {
				return nil, errCut
			}
			return next.RoundTrip(r)
		})
	})
	if n.api, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// awaitAPIServer lets reads wait, within bounds, for an API server that does not listen. Else the watches would wait, for up
// to a minute after it is back, as those of client-go do; and tests measure how soon others are over it, not the node.
func awaitAPIServer(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		for tries := 1; ; tries++ {
			response, err := next.RoundTrip(r)
			if r.Method != http.MethodGet || !errors.Is(err, syscall.ECONNREFUSED) || tries == 2*int(time.Minute/retryEvery) {
				return response, err
			}
			select {
			case <-time.After(retryEvery):
			case <-r.Context().Done():
				return nil, err
			}
		}
	})
}

func (n *Node) run(startCtx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(startCtx))
	n.resume = func() { n.dispatchAll(ctx) }

	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: n.api.CoreV1().Events("")})
	n.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: n.opts.Name})

	factory := informers.NewSharedInformerFactory(n.sched, 0)
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.queue.ShutDown()
		factory.Shutdown()
		n.wg.Wait()
		broadcaster.Shutdown()
	})
	pods, nodes := factory.Core().V1().Pods(), factory.Core().V1().Nodes()
	n.pods, n.nodes = pods.Lister(), nodes.Lister()
	onPod := func(obj any) { n.dispatch(ctx, obj) }
	onNode := func(any) { n.dispatchAll(ctx) }
	for informer, f := range map[cache.SharedIndexInformer]func(any){pods.Informer(): onPod, nodes.Informer(): onNode} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: f, UpdateFunc: func(_, obj any) { f(obj) }, DeleteFunc: f,
		}); err != nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	factory.Start(ctx.Done())
	n.wg.Go(func() { n.renewLease(ctx) })
	n.wg.Go(func() { n.scheduleAll(ctx) })
	for kind, ok := range factory.WaitForCacheSync(startCtx.Done()) {
		if !ok {
			return fmt.Errorf("waiting for the first list of %s: %w", kind, context.Cause(startCtx))
		}
	}
	return nil
}

// dispatch tells whoever is in charge of a pod that something about it changed.
func (n *Node) dispatch(ctx context.Context, obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	switch {
	case !ok:
	case pod.Spec.NodeName == "":
		n.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	case pod.Spec.NodeName == n.opts.Name:
		n.wake(ctx, pod)
	}
}

func (n *Node) dispatchAll(ctx context.Context) {
	pods, err := n.pods.List(labels.Everything())
	if err != nil {
		n.opts.Log.Error(err, "listing pods")
	}
	for _, pod := range pods {
		n.dispatch(ctx, pod)
	}
}

func (n *Node) wake(ctx context.Context, pod *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w, ok := n.workers[pod.UID]
	if !ok {
		if n.cut.Load() || ctx.Err() != nil {
			return
		}
		w = newWorker(n, pod)
		n.workers[pod.UID] = w
		n.wg.Go(func() {
			w.run(ctx)
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.workers, pod.UID)
		})
	}
	w.kick()
}

// Process is one running container, seen from the host.
type Process struct {
	PodUID                    types.UID
	Namespace, Pod, Container string
	// PID of the container's first process.
	PID int
}

// Processes lists what runs now, also for pods that are no longer in the API.
func (n *Node) Processes() []Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Process
	for p := range n.processes {
		all = append(all, p.Process)
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all
}

// Kill sends a signal to the first process of each container of a pod, whatever the API says about the pod.
func (n *Node) Kill(uid types.UID, signal syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := false
	var errs []error
	for p := range n.processes {
		if p.PodUID == uid {
			found = true
			errs = append(errs, p.signal(signal))
		}
	}
	if !found {
		return fmt.Errorf("no process of pod %s runs here", uid)
	}
	return errors.Join(errs...)
}

// PauseReporting(true) cuts the node off from the API server: no status, lease or event is written and no change
// of a pod is seen, while the processes go on. PauseReporting(false) connects it again. Binding, which is a
// scheduler's work and not a kubelet's, goes on.
func (n *Node) PauseReporting(pause bool) {
	n.cut.Store(pause)
	if pause {
		return
	}
	n.mu.Lock()
	for _, w := range n.workers {
		w.kick()
	}
	n.mu.Unlock()
	n.resume()
}

// Logs returns what a container has written so far: of the newest pod of that name.
func (n *Node) Logs(namespace, pod, container string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(n.opts.Dir, "pods", namespace+"_"+pod+"_*", container+".log"))
	if err != nil {
		return "", fmt.Errorf("finding the log: %w", err)
	}
	newest, at := "", time.Time{}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.ModTime().Before(at) {
			newest, at = path, info.ModTime()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("container %s of pod %s/%s has no log: %w", container, namespace, pod, os.ErrNotExist)
	}
	data, err := os.ReadFile(newest)
	if err != nil {
		return "", fmt.Errorf("reading the log: %w", err)
	}
	return string(data), nil
}

// Stop kills every process and waits until all are gone. Nothing more is reported: to the API it looks as if
// the machine had been switched off.
func (n *Node) Stop() {
	n.cut.Store(true)
	n.stop()
}
