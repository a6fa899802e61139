package inputs_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/tests/apiserver"
	"github.com/terraform-controller/terraform-controller/tests/compat"
)

var api *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Run(m, &api)) }

type spec = v1alpha2.TerraformSpec

// raw is a variable with a JSON value.
func raw(name, value string) v1alpha2.Variable {
	return v1alpha2.Variable{Name: name, Value: &apiextensionsv1.JSON{Raw: []byte(value)}}
}

func fromSecret(name, object, key string, optional bool) v1alpha2.Variable {
	return v1alpha2.Variable{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: object}, Key: key, Optional: &optional,
	}}}
}

func fromConfigMap(name, object, key string) v1alpha2.Variable {
	return v1alpha2.Variable{Name: name, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: object}, Key: key,
	}}}
}

// objects are what the tables refer to.
func objects(namespace string) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	return []client.Object{
		&corev1.Secret{ObjectMeta: meta("db"), Data: map[string][]byte{
			"user": []byte("app"), "password": []byte("p<a>&\"ss\nword"), "tls.crt": []byte("PEM"),
		}},
		&corev1.Secret{ObjectMeta: meta("binary"), Data: map[string][]byte{
			"nul": []byte("hidden\x00value"), "latin": []byte("hidden\xff"), "empty": {}, "key.store": {0xff, 0},
		}},
		&corev1.ConfigMap{ObjectMeta: meta("site"), Data: map[string]string{"region": "eu", "user": "from-site", "size": "3"},
			BinaryData: map[string][]byte{"motd": []byte("grüß")}},
		&corev1.ConfigMap{ObjectMeta: meta("blob"), BinaryData: map[string][]byte{"blob": {0xfe}}},
		&corev1.ConfigMap{ObjectMeta: meta("bare")},
	}
}

func TestRead_MakesTheVariablesFile(t *testing.T) {
	compat.Shows(t, "spec.vars", "spec.vars.valueFrom", "spec.varsFrom", "spec.varsFrom.varsKeys", "spec.varsFrom.optional",
		"use.variables", "documented.value-from", "weak.14",
	)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	yes := true
	for _, tc := range []struct {
		name, reason string
		spec         spec
		file         string
		secrets      []string
		read         []string
	}{
		{
			name: "nothing", reason: "a run without variables has an empty object, so that a file of an earlier run never stays",
			file: `{}`,
		},
		{
			name: "values are copied", reason: "a number must keep all its digits, and structure its order",
			spec: spec{Vars: []v1alpha2.Variable{
				raw("z", `12345678901234567890.123456789`), raw("big", `1e100`), raw("o", `{"b": [1, null], "a": "<&>"}`), raw("t", `"x\u0000\ny"`),
			}},
			file: `{"big":1e100,"o":{"b":[1,null],"a":"<&>"},"t":"x\u0000\ny","z":12345678901234567890.123456789}`,
		},
		{
			name: "no value is null", reason: "the incumbent writes null for a variable without value",
			spec: spec{Vars: []v1alpha2.Variable{{Name: "a"}, raw("b", `null`), {Name: "c", Value: &apiextensionsv1.JSON{}}}},
			file: `{"a":null,"b":null,"c":null}`,
		},
		{
			name: "the last wins", reason: "varsFrom override vars, later ones earlier ones",
			spec: spec{
				Vars:     []v1alpha2.Variable{raw("user", `"me"`), raw("region", `"us"`), raw("region", `"ap"`), raw("own", `true`)},
				VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db", VarsKeys: []string{"user"}}, {Kind: "ConfigMap", Name: "site"}},
			},
			file: `{"motd":"grüß","own":true,"region":"eu","size":"3","user":"from-site"}`,
			read: []string{"Secret/db", "ConfigMap/site"},
		},
		{
			name: "renamed keys", reason: "`key:variable` takes a key under another name, also one that could not be a name",
			spec:    spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db", VarsKeys: []string{"tls.crt:cert", "user:admin", "user"}}}},
			file:    `{"admin":"app","cert":"PEM","user":"app"}`,
			secrets: []string{"PEM", "app"}, read: []string{"Secret/db"},
		},
		{
			name: "all keys", reason: "a key that can't be a variable can't be declared either: the engine only warns of it",
			spec:    spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db"}}},
			file:    `{"password":"p<a>&\"ss\nword","user":"app"}`,
			secrets: []string{"p<a>&\"ss\nword", "app"}, read: []string{"Secret/db"},
		},
		{
			name: "no keys wanted", reason: "an empty list asks for no keys, no list for all",
			spec: spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db", VarsKeys: []string{}}}},
			file: `{}`, read: []string{"Secret/db"},
		},
		{
			name: "optional and absent", reason: "optional excuses an absent object; that it was looked for is reported",
			spec: spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "later", Optional: true}, {Kind: "ConfigMap", Name: "later", Optional: true, VarsKeys: []string{"x"}}}},
			file: `{}`, read: []string{"Secret/later absent", "ConfigMap/later absent"},
		},
		{
			name: "valueFrom", reason: "the incumbent made null of it (its issue 457)",
			spec: spec{Vars: []v1alpha2.Variable{
				fromSecret("pw", "db", "user", false), fromConfigMap("size", "site", "size"), fromConfigMap("motd", "site", "motd"),
				fromSecret("nokey", "db", "nokey", true), fromSecret("noobject", "later", "x", true),
			}},
			file:    `{"motd":"grüß","pw":"app","size":"3"}`,
			secrets: []string{"app"}, read: []string{"Secret/db", "ConfigMap/site", "Secret/later absent"},
		},
		{
			name: "empty strings", reason: "an empty value is a value, and nothing to redact",
			spec: spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "binary", VarsKeys: []string{"empty"}, Optional: yes}}},
			file: `{"empty":""}`, read: []string{"Secret/binary"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			before := tc.spec.DeepCopy()
			got, err := inputs.Read(t.Context(), api.Client, namespace, &tc.spec)
			g.Expect(err).NotTo(HaveOccurred(), tc.reason)
			g.Expect(string(got.File)).To(Equal(tc.file), tc.reason)
			g.Expect(got.Secrets).To(Equal(tc.secrets), tc.reason)
			g.Expect(references(got.Read)).To(Equal(tc.read), tc.reason)
			g.Expect(&tc.spec).To(Equal(before), "the spec is only read")
		})
	}
}

func references(list []v1alpha2.InputReference) []string {
	var names []string
	for _, ref := range list {
		name := ref.Kind + "/" + ref.Name
		if ref.UID == "" && ref.ResourceVersion == "" {
			name += " absent"
		}
		names = append(names, name)
	}
	return names
}

func TestRead_SaysWhichFieldAndWhatToDo(t *testing.T) {
	compat.Shows(t, "spec.vars.valueFrom", "spec.varsFrom.varsKeys", "spec.varsFrom.optional",
		"condition.Ready=False/VarsGenerationFailed", "documented.optional", "weak.14",
	)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	both := fromSecret("a", "db", "user", false)
	both.Value = &apiextensionsv1.JSON{Raw: []byte(`1`)}
	one := func(kind, name string, keys ...string) spec {
		return spec{VarsFrom: []v1alpha2.VarsReference{{Kind: kind, Name: name, VarsKeys: keys}}}
	}
	source := func(from corev1.EnvVarSource) spec {
		return spec{Vars: []v1alpha2.Variable{{Name: "a", ValueFrom: &from}}}
	}
	for _, tc := range []struct {
		name    string
		spec    spec
		field   string
		message string
	}{
		{"absent Secret", one("Secret", "nodb"), "spec.varsFrom[0].name",
			`Secret "NS/nodb" does not exist; create it, or set spec.varsFrom[0].optional: true`},
		{"absent ConfigMap", one("ConfigMap", "none"), "spec.varsFrom[0].name", `ConfigMap "NS/none" does not exist; create it, or set spec.varsFrom[0].optional: true`},
		{"absent key of a Secret", one("Secret", "db", "user", "pasword"), "spec.varsFrom[0].varsKeys[1]",
			`Secret "NS/db" has no key "pasword"; its keys are password, tls.crt, user`},
		{"absent key of a ConfigMap", one("ConfigMap", "site", "zone"), "spec.varsFrom[0].varsKeys[0]",
			`ConfigMap "NS/site" has no key "zone"; its keys are motd, region, size, user`},
		{"absent key of an empty object", one("ConfigMap", "bare", "zone"), "spec.varsFrom[0].varsKeys[0]", `ConfigMap "NS/bare" has no key "zone"; it has no keys`},
		{"optional excuses no absent key", spec{VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db", VarsKeys: []string{"x"}, Optional: true}}},
			"spec.varsFrom[0].varsKeys[0]", `Secret "NS/db" has no key "x"; its keys are password, tls.crt, user`},
		{"two colons", one("Secret", "db", "a:b:c"), "spec.varsFrom[0].varsKeys[0]", "\"a:b:c\" is neither `key` nor `key:variable`"},
		{"nothing before the colon", one("Secret", "db", ":b"), "spec.varsFrom[0].varsKeys[0]", "\":b\" is neither `key` nor `key:variable`"},
		{"nothing after the colon", one("Secret", "db", "a:"), "spec.varsFrom[0].varsKeys[0]", "\"a:\" is neither `key` nor `key:variable`"},
		{"empty item", one("Secret", "db", ""), "spec.varsFrom[0].varsKeys[0]", "\"\" is neither `key` nor `key:variable`"},
		{"key that is no name", one("Secret", "db", "tls.crt"), "spec.varsFrom[0].varsKeys[0]",
			`"tls.crt" can't be the name of a variable; names have letters, digits, _ and -, and begin with a letter or _`},
		{"name with control characters", spec{Vars: []v1alpha2.Variable{raw("a\n\x00b", `1`)}}, "spec.vars[0].name",
			`"a\n\x00b" can't be the name of a variable; names have letters, digits, _ and -, and begin with a letter or _`},
		{"unknown kind", one("Deployment", "db"), "spec.varsFrom[0].kind", `"Deployment" is no kind to take variables from; use Secret or ConfigMap`},
		{"binary ConfigMap", one("ConfigMap", "blob"), "spec.varsFrom[0]",
			`the value of key "blob" of ConfigMap "NS/blob" is no UTF-8 text; a variable holds text only: store it base64-encoded and decode it in the module`},
		{"binary Secret", one("Secret", "binary", "latin"), "spec.varsFrom[0].varsKeys[0]",
			`the value of key "latin" of Secret "NS/binary" is no UTF-8 text; a variable holds text only: store it base64-encoded and decode it in the module`},
		{"NUL in a Secret", one("Secret", "binary", "nul"), "spec.varsFrom[0].varsKeys[0]",
			`the value of key "nul" of Secret "NS/binary" has a NUL character, which no variable can hold; store it base64-encoded and decode it in the module`},
		{"value and valueFrom", spec{Vars: []v1alpha2.Variable{raw("ok", `1`), both}}, "spec.vars[1]", `variable "a" has both value and valueFrom; leave one of them out`},
		{"valueFrom of a pod's field", source(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}),
			"spec.vars[0].valueFrom.fieldRef", `a variable can't be taken from there; use secretKeyRef or configMapKeyRef`},
		{"valueFrom of nothing", source(corev1.EnvVarSource{}), "spec.vars[0].valueFrom", `give exactly one of secretKeyRef and configMapKeyRef`},
		{"valueFrom without key", source(corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}}}),
			"spec.vars[0].valueFrom.secretKeyRef", `name and key are both needed`},
		{"valueFrom of an absent object", spec{Vars: []v1alpha2.Variable{fromSecret("a", "none", "x", false)}}, "spec.vars[0].valueFrom.secretKeyRef.name",
			`Secret "NS/none" does not exist; create it, or set spec.vars[0].valueFrom.secretKeyRef.optional: true`},
		{"valueFrom of an absent key", spec{Vars: []v1alpha2.Variable{fromConfigMap("a", "site", "x")}}, "spec.vars[0].valueFrom.configMapKeyRef.key",
			`ConfigMap "NS/site" has no key "x"; its keys are motd, region, size, user`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := inputs.Read(t.Context(), api.Client, namespace, &tc.spec)
			var e *inputs.Error
			g.Expect(errors.As(err, &e)).To(BeTrue(), "got %v", err)
			g.Expect(e.Field).To(Equal(tc.field))
			g.Expect(e.Message).To(Equal(tc.field + ": " + strings.ReplaceAll(tc.message, "NS", namespace)))
			g.Expect(e.Message).NotTo(ContainSubstring("hidden"))
		})
	}
}

func TestRead_NamesTheRightThatIsMissing(t *testing.T) {
	compat.Shows(t, "spec.varsFrom.optional", "weak.14")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	account := api.Account(t, namespace, "tf-runner",
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})

	_, err := inputs.Read(t.Context(), account, namespace, &spec{VarsFrom: []v1alpha2.VarsReference{
		{Kind: "ConfigMap", Name: "site"}, {Kind: "Secret", Name: "db", Optional: true},
	}})

	var e *inputs.Error
	g.Expect(errors.As(err, &e)).To(BeTrue())
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "optional excuses absence, not a missing right")
	g.Expect(e.Message).To(And(
		HavePrefix(`spec.varsFrom[1].name: Secret "`+namespace+`/db" can't be read: `),
		ContainSubstring(`User "system:serviceaccount:`+namespace+`:tf-runner" cannot get resource "secrets"`),
		HaveSuffix(`bind a Role of namespace "`+namespace+`" with the verb get on secrets to this account`),
	))
}

func TestRead_FileMeansTheSameToTheEngine(t *testing.T) {
	compat.Shows(t, "spec.vars", "use.variables")
	g := NewWithT(t)
	namespace := api.Namespace(t)
	api.Create(t, objects(namespace)...)
	got, err := inputs.Read(t.Context(), api.Client, namespace, &spec{
		Vars:     []v1alpha2.Variable{raw("number", `12345678901234567890`), raw("any", `{"a":[true,null,"${x} %{if}"]}`)},
		VarsFrom: []v1alpha2.VarsReference{{Kind: "Secret", Name: "db"}},
	})
	g.Expect(err).NotTo(HaveOccurred())

	dir := t.TempDir()
	module := "variable \"number\" {}\nvariable \"any\" {}\nvariable \"user\" {}\nvariable \"password\" {}\n" +
		"output \"all\" { value = jsonencode([var.number, var.any, var.user, var.password]) }\n"
	g.Expect(os.WriteFile(filepath.Join(dir, "main.tf"), []byte(module), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, "generated.auto.tfvars.json"), got.File, 0o600)).To(Succeed())
	tofu(t, dir, "apply", "-auto-approve", "-input=false")
	var output string
	g.Expect(json.Unmarshal(tofu(t, dir, "output", "-json", "all"), &output)).To(Succeed())
	g.Expect(output).To(Equal(`[12345678901234567890,{"a":[true,null,"${x} %{if}"]},"app","p\u003ca\u003e\u0026\"ss\nword"]`))
}

func tofu(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(api.Root, "bin", "tofu"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tofu %v: %v\n%s", args, err, out)
	}
	return out
}
