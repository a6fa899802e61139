package lock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/lock"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

const leaseName = "lock-tfstate-default-x"

// held is a Lease as an engine leaves it; id "" is a free one.
func held(namespace, id, info string) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: leaseName, Annotations: map[string]string{"keep": "me"}}}
	if id != "" {
		l.Spec.HolderIdentity = &id
	}
	if info != "" {
		l.Annotations[lock.InfoAnnotation] = info
	}
	return l
}

func TestRead_SaysWhoHoldsTheLock(t *testing.T) {
	compat.Shows(t, "state.lock")
	for _, tc := range []struct {
		name, id, info string
		want           *v1alpha2.LockInfo
	}{
		{name: "free"},
		{name: "free, an old note left", info: `{"ID":"a"}`},
		{name: "held", id: "a", info: `{"ID":"a","Operation":"OperationTypeApply","Info":"","Who":"root@vm","Version":"1.12.6","Created":"2026-11-22T12:09:32Z","Path":""}`,
			want: &v1alpha2.LockInfo{ID: "a", Operation: "OperationTypeApply", Who: "root@vm", Created: "2026-11-22T12:09:32Z"}},
		{name: "no note", id: "a", want: &v1alpha2.LockInfo{ID: "a"}},
		{name: "a note that is no JSON", id: "a", info: `{"Who":"x"`, want: &v1alpha2.LockInfo{ID: "a"}},
		{name: "a note of another form", id: "a", info: `{"Who":"x","Created":7}`, want: &v1alpha2.LockInfo{ID: "a"}},
		{name: "a note that contradicts: the holder counts", id: "a", info: `{"ID":"b","Who":"x"}`, want: &v1alpha2.LockInfo{ID: "a", Who: "x"}},
		{name: "a very long note", id: "a", info: `{"Who":"` + strings.Repeat("ä", 1000) + `"}`, want: &v1alpha2.LockInfo{ID: "a", Who: strings.Repeat("ä", 253)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			namespace := api.Namespace(t)
			api.Create(t, held(namespace, tc.id, tc.info))
			g.Expect(lock.Read(t.Context(), api.Client, namespace, leaseName)).To(Equal(tc.want))
		})
	}
	t.Run("absent", func(t *testing.T) {
		NewWithT(t).Expect(lock.Read(t.Context(), api.Client, api.Namespace(t), leaseName)).To(BeNil())
	})
}

func TestRelease_FreesOnlyTheLockItWasTold(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	g.Expect(lock.Release(t.Context(), api.Client, namespace, leaseName, "a")).To(MatchError(lock.ErrNotHeld), "no Lease, no lock")

	api.Create(t, held(namespace, "a", `{"ID":"a","Who":"root@vm"}`))
	err := lock.Release(t.Context(), api.Client, namespace, leaseName, "b")
	g.Expect(err).To(MatchError(`the state is locked with ID "a" (unknown by root@vm since unknown), not with "b": nothing was released`))
	g.Expect(err).To(BeAssignableToTypeOf(&lock.HeldByOtherError{}))
	g.Expect(lock.Read(t.Context(), api.Client, namespace, leaseName)).NotTo(BeNil())

	g.Expect(lock.Release(t.Context(), api.Client, namespace, leaseName, "a")).To(Succeed())
	l := &coordinationv1.Lease{}
	g.Expect(api.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: leaseName}, l)).To(Succeed())
	g.Expect(l.Spec.HolderIdentity).To(BeNil())
	g.Expect(l.Annotations).To(Equal(map[string]string{"keep": "me"}))
	g.Expect(lock.Release(t.Context(), api.Client, namespace, leaseName, "a")).To(MatchError(lock.ErrNotHeld))
}

// TestRelease_DoesNotFreeALockThatChangesHandsMeanwhile lets someone else take the lock between Release's read and
// its write, each time on the real server; only the moment is arranged.
func TestRelease_DoesNotFreeALockThatChangesHandsMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		next string
		want any
	}{
		"another holder": {"b", &lock.HeldByOtherError{Want: "a", Info: v1alpha2.LockInfo{ID: "b"}}},
		"nobody":         {"", lock.ErrNotHeld},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			namespace := api.Namespace(t)
			api.Create(t, held(namespace, "a", ""))
			racing := interceptor.NewClient(withWatch(t), interceptor.Funcs{
				Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
					other := &coordinationv1.Lease{}
					g.Expect(c.Get(ctx, client.ObjectKeyFromObject(obj), other)).To(Succeed())
					other.Spec = held(namespace, tc.next, "").Spec
					g.Expect(c.Update(ctx, other)).To(Succeed())
					return c.Update(ctx, obj, opts...)
				},
			})
			g.Expect(lock.Release(t.Context(), racing, namespace, leaseName, "a")).To(MatchError(tc.want))
		})
	}
}

func withWatch(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(api.Config, client.Options{Scheme: api.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRelease_NamesTheRightThatIsMissing(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, held(namespace, "a", ""))
	account := api.Account(t, namespace, "tf-runner", rbacv1.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get"}})
	err := lock.Release(t.Context(), account, namespace, leaseName, "a")
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue())
	g.Expect(err).To(MatchError(And(ContainSubstring("system:serviceaccount:"+namespace+":tf-runner"), ContainSubstring("bind a Role"))))
}

// TestWithARealEngine holds a lock with an apply that takes a while, reads it, meets it with a second engine, and
// releases it after the first one was killed.
func TestWithARealEngine(t *testing.T) {
	compat.Shows(t, "state.lock")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	kubeconfig := api.Kubeconfig(t)
	dir := t.TempDir()
	module := fmt.Sprintf("terraform {\n  backend \"kubernetes\" {\n    secret_suffix = \"x\"\n    namespace = %q\n  }\n}\n"+
		"resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" {\n    command = \"exec sleep 60\"\n  }\n}\n", namespace)
	g.Expect(os.WriteFile(filepath.Join(dir, "main.tf"), []byte(module), 0o600)).To(Succeed())
	output, err := tofu(t, dir, kubeconfig, "init", "-input=false").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))

	apply := tofu(t, dir, kubeconfig, "apply", "-auto-approve", "-input=false")
	apply.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	apply.Cancel = func() error { return syscall.Kill(-apply.Process.Pid, syscall.SIGKILL) }
	g.Expect(apply.Start()).To(Succeed())
	var info *v1alpha2.LockInfo
	g.Eventually(func() (*v1alpha2.LockInfo, error) {
		info, err = lock.Read(t.Context(), api.Client, namespace, leaseName)
		return info, err
	}, 30*time.Second, 50*time.Millisecond).ShouldNot(BeNil())
	g.Expect(info.Operation).To(Equal("OperationTypeApply"))
	g.Expect(info.Who).To(ContainSubstring("@"))
	created, err := time.Parse(time.RFC3339Nano, info.Created)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(created).To(BeTemporally("~", time.Now(), time.Minute))

	meetLock(t, info, tofu(t, dir, kubeconfig, "plan", "-input=false", "-json"), fromJSON)
	meetLock(t, info, tofu(t, dir, kubeconfig, "plan", "-input=false", "-no-color"), fromPlain)

	g.Expect(apply.Cancel()).To(Succeed(), "the engine and its sleeping child")
	g.Expect(apply.Wait()).NotTo(Succeed())
	g.Expect(lock.Release(t.Context(), api.Client, namespace, leaseName, info.ID)).To(Succeed())
	output, err = tofu(t, dir, kubeconfig, "plan", "-input=false").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
}

func meetLock(t *testing.T, want *v1alpha2.LockInfo, cmd *exec.Cmd, text func(t *testing.T, output []byte) string) {
	t.Helper()
	g := NewWithT(t)
	output, err := cmd.CombinedOutput()
	g.Expect(err).To(HaveOccurred(), string(output))
	got, ok := lock.FromText(text(t, output))
	g.Expect(ok).To(BeTrue(), string(output))
	g.Expect(got.ID).To(Equal(want.ID))
	g.Expect(got.Operation).To(Equal(want.Operation))
	g.Expect(got.Who).To(Equal(want.Who))
}

func fromPlain(_ *testing.T, output []byte) string { return string(output) }

// fromJSON is summary and detail of the first error of a -json stream.
func fromJSON(t *testing.T, output []byte) string {
	t.Helper()
	for line := range bytes.Lines(output) {
		var message struct {
			Diagnostic struct{ Severity, Summary, Detail string }
		}
		if err := json.Unmarshal(line, &message); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if message.Diagnostic.Severity == "error" {
			return message.Diagnostic.Summary + "\n" + message.Diagnostic.Detail
		}
	}
	t.Fatalf("no error in %s", output)
	return ""
}

func tofu(t *testing.T, dir, kubeconfig string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(api.Root, "bin", "tofu"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "KUBE_CONFIG_PATH="+kubeconfig)
	return cmd
}
