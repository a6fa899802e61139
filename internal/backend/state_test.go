package backend_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/backend"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

// settings of a state Secret named tfstate-default-x.
func settings(namespace string) *backend.Settings {
	return &backend.Settings{Kubernetes: true, Namespace: namespace, StateSecret: "tfstate-default-x", LockLease: "lock-tfstate-default-x", Workspace: "default"}
}

func zip(t *testing.T, content string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func stateSecret(namespace, name string, data []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{"tfstate": data}}
}

const twoResources = `{"version":4,"serial":5,"lineage":"L","resources":[
	{"mode":"managed","type":"a","instances":[{"index_key":0},{"index_key":1}]},
	{"mode":"data","type":"b","instances":[{}]},
	{"mode":"managed","type":"c","instances":[]}]}`

func TestReadState_CountsManagedInstances(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, stateSecret(namespace, "tfstate-default-x", zip(t, twoResources)))

	state, err := backend.ReadState(t.Context(), api.Client, settings(namespace))

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state).To(Equal(&v1alpha2.StateStatus{Lineage: "L", Serial: 5, Size: int64(len(twoResources)), Resources: 2}))
}

func TestReadState_JoinsTerraformsPartsInNumericOrder(t *testing.T) {
	compat.Shows(t, "state.parts")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	data := zip(t, twoResources)
	const parts = 12
	for i := range parts {
		name := "tfstate-default-x"
		if i > 0 {
			name = fmt.Sprintf("tfstate-default-x-part-%d", i)
		}
		api.Create(t, stateSecret(namespace, name, data[i*len(data)/parts:(i+1)*len(data)/parts]))
	}

	state, err := backend.ReadState(t.Context(), api.Client, settings(namespace))

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(state.Resources).To(Equal(int64(2)))

	g.Expect(api.Client.Delete(t.Context(), stateSecret(namespace, "tfstate-default-x-part-11", nil))).To(Succeed())
	_, err = backend.ReadState(t.Context(), api.Client, settings(namespace))
	g.Expect(err).To(MatchError(ContainSubstring("it ends too early")), "a missing last part is noticed")
}

func TestReadState_NothingThereIsNoState(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	g.Expect(backend.ReadState(t.Context(), api.Client, settings(namespace))).To(BeNil())

	api.Create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tfstate-default-x"}})
	g.Expect(backend.ReadState(t.Context(), api.Client, settings(namespace))).To(BeNil(), "the engine makes the Secret before it writes the state")
}

func TestReadState_SaysWhyAStateCantBeRead(t *testing.T) {
	whole := zip(t, twoResources)
	for _, tc := range []struct {
		name    string
		data    []byte
		message string
	}{
		{"empty", nil, "it ends too early"},
		{"cut in the header", whole[:3], "it ends too early"},
		{"cut in the middle", whole[:len(whole)/2], "it ends too early"},
		{"cut before the checksum", whole[:len(whole)-4], "it ends too early"},
		{"not compressed", []byte(twoResources), "gzip: invalid header"},
		{"changed", append(bytes.Clone(whole[:len(whole)-8]), 0, 0, 0, 0, 0, 0, 0, 0), "gzip: invalid checksum"},
		{"no JSON", zip(t, "hello"), "it is no state file"},
		{"something behind it", append(bytes.Clone(whole), whole...), "there is more in it than a state"},
		{"a bomb", zip(t, strings.Repeat(" ", 64<<20)+twoResources), "it is larger than 64 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			namespace := api.Namespace(t)
			api.Create(t, stateSecret(namespace, "tfstate-default-x", tc.data))
			_, err := backend.ReadState(t.Context(), api.Client, settings(namespace))
			var e *backend.StateError
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Message).To(And(HavePrefix(`the state in Secret "`+namespace+`/tfstate-default-x" can't be read: `), ContainSubstring(tc.message)))
		})
	}
}

func TestReadState_NamesTheRightThatIsMissing(t *testing.T) {
	g := NewWithT(t)
	namespace := api.Namespace(t)
	account := api.Account(t, namespace, "tf-runner", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})
	_, err := backend.ReadState(t.Context(), account, settings(namespace))
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue())
	g.Expect(err).To(MatchError(And(ContainSubstring("system:serviceaccount:"+namespace+":tf-runner"), ContainSubstring("bind a Role"))))
}

// TestReadState_AgreesWithTheEngine runs a real engine with a rendered backend.
func TestReadState_AgreesWithTheEngine(t *testing.T) {
	compat.Shows(t, "spec.backendConfig.labels", "backend.file")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	s, err := backend.Render("network", namespace, &v1alpha2.TerraformSpec{
		BackendConfig: &v1alpha2.BackendConfigSpec{SecretSuffix: "net", Labels: map[string]string{"example.com/team": "a"}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	e := engine{dir: t.TempDir(), kubeconfig: api.Kubeconfig(t)}
	g.Expect(os.WriteFile(filepath.Join(e.dir, backend.FileName), s.File, 0o600)).To(Succeed())
	module := "resource \"terraform_data\" \"x\" {\n  count = 3\n}\n"
	g.Expect(os.WriteFile(filepath.Join(e.dir, "main.tf"), []byte(module), 0o600)).To(Succeed())

	e.run(t, "init", "-input=false")
	afterInit, err := backend.ReadState(t.Context(), api.Client, s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(afterInit).To(Equal(e.pull(t)))

	e.run(t, "apply", "-auto-approve", "-input=false")
	applied, err := backend.ReadState(t.Context(), api.Client, s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(applied).To(Equal(e.pull(t)))
	g.Expect(applied.Resources).To(Equal(int64(3)))
	g.Expect(backend.Guard(afterInit, applied)).To(Succeed())
	g.Expect(backend.Guard(applied, afterInit)).NotTo(Succeed())

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.StateSecret}}
	g.Expect(api.Client.Delete(t.Context(), secret)).To(Succeed())
	e.run(t, "init", "-input=false", "-reconfigure")
	fresh, err := backend.ReadState(t.Context(), api.Client, s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(backend.Guard(applied, fresh)).To(BeAssignableToTypeOf(&backend.GuardError{}), "init makes a new state: the guard has to come before it")
}

type engine struct{ dir, kubeconfig string }

func (e engine) run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(api.Root, "bin", "tofu"), args...)
	cmd.Dir = e.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "KUBE_CONFIG_PATH="+e.kubeconfig)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tofu %v: %v\n%s%s", args, err, out, stderr.String())
	}
	return out
}

// pull is what the engine says of the state.
func (e engine) pull(t *testing.T) *v1alpha2.StateStatus {
	t.Helper()
	var file struct {
		Lineage   string
		Serial    int64
		Resources []struct{ Instances []json.RawMessage }
	}
	content := bytes.TrimSuffix(e.run(t, "state", "pull"), []byte("\n"))
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	state := &v1alpha2.StateStatus{Lineage: file.Lineage, Serial: file.Serial, Size: int64(len(content))}
	for _, r := range file.Resources {
		state.Resources += int64(len(r.Instances))
	}
	return state
}
