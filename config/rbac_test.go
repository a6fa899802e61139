package config_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// goldenRights has each rule that we ship, and why.
const goldenRights = "testdata/rights.md"

// TestRBAC_GrowsOnlyWithAReason holds what is shipped against the committed table: a rule more, or a verb more, fails until
// somebody has written down what for.
func TestRBAC_GrowsOnlyWithAReason(t *testing.T) {
	g := NewWithT(t)
	shipped := sets.New[string]()
	for _, name := range []string{"default", "tenants", "policies/strict"} {
		for _, document := range render(t, name) {
			shipped.Insert(rights(t, document)...)
		}
	}
	table, reasons := readRights(t)
	for right, reason := range reasons {
		g.Expect(len(strings.Fields(reason))).To(BeNumerically(">=", 2), "no reason for %s", right)
	}
	g.Expect(sets.List(shipped)).To(Equal(sets.List(table)), "change %s, and say what for", goldenRights)
}

// readRights reads the rows of the table: all columns but the last, and the last, which is the reason.
func readRights(t *testing.T) (sets.Set[string], map[string]string) {
	t.Helper()
	data, err := os.ReadFile(goldenRights)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	rows, reasons := sets.New[string](), map[string]string{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || strings.HasPrefix(cells[0], "---") || strings.TrimSpace(cells[3]) == "reason" {
			continue
		}
		row := row(strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]))
		rows.Insert(row)
		reasons[row] = cells[3]
	}
	return rows, reasons
}

func row(role, on, verbs string) string { return fmt.Sprintf("| %s | %s | %s |", role, on, verbs) }

// rights are the rows of one manifest: a role's rules, resource by resource, or what a binding gives to whom.
func rights(t *testing.T, document []byte) []string {
	t.Helper()
	object := &unstructured.Unstructured{}
	g := NewWithT(t)
	g.Expect(utilyaml.Unmarshal(document, &object.Object)).To(Succeed())
	decode := func(into any) {
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)).To(Succeed())
	}
	switch object.GetKind() {
	case "Role", "ClusterRole": // a Role has what a ClusterRole has, but aggregation
		role := &rbacv1.ClusterRole{}
		decode(role)
		return rulesOf(g, role)
	case "RoleBinding", "ClusterRoleBinding":
		binding := &rbacv1.RoleBinding{}
		decode(binding)
		return bindingOf(binding)
	}
	return nil
}

func rulesOf(g Gomega, role *rbacv1.ClusterRole) []string {
	name := role.Kind + " " + role.Namespace + "/" + role.Name
	g.Expect(role.AggregationRule).To(BeNil(), "its rules would not be listed")
	var rows []string
	for _, rule := range role.Rules {
		g.Expect(rule.NonResourceURLs).To(BeEmpty(), name)
		for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
			g.Expect(list).NotTo(ContainElement(ContainSubstring("*")), "%s: nobody can tell what a wildcard gives", name)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				on := strings.TrimSuffix(resource+"."+group, ".")
				if len(rule.ResourceNames) > 0 {
					on += " named " + strings.Join(rule.ResourceNames, ", ")
				}
				rows = append(rows, row(name, on, strings.Join(slices.Sorted(slices.Values(rule.Verbs)), ", ")))
			}
		}
	}
	for label := range role.Labels {
		if to, ok := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-"); ok {
			rows = append(rows, row(name, "aggregated to "+to, ""))
		}
	}
	return rows
}

func bindingOf(binding *rbacv1.RoleBinding) []string {
	var rows []string
	for _, s := range binding.Subjects {
		rows = append(rows, row(binding.Kind+" "+binding.Namespace+"/"+binding.Name,
			fmt.Sprintf("%s %s", binding.RoleRef.Kind, binding.RoleRef.Name), fmt.Sprintf("%s %s/%s", s.Kind, s.Namespace, s.Name)))
	}
	return rows
}

// TestRBAC_NoRightOnSecretsOfOthers: in the whole cluster the controller has none, and what it has at home is one Secret.
func TestRBAC_NoRightOnSecretsOfOthers(t *testing.T) {
	g := NewWithT(t)
	table, _ := readRights(t)
	var onSecrets []string
	for right := range table {
		if strings.Contains(right, "secrets") {
			onSecrets = append(onSecrets, right)
		}
	}
	g.Expect(onSecrets).To(ConsistOf(
		HavePrefix("| Role flux-system/terraform-controller | secrets | create |"),
		HavePrefix("| Role flux-system/terraform-controller | secrets named terraform-controller-tls | get, patch, update |"),
		HavePrefix("| ClusterRole /tf-runner-role | secrets |"),
	))
	for right := range table {
		g.Expect(right).NotTo(And(HavePrefix("| ClusterRoleBinding"), ContainSubstring("tf-runner-role")), "a runner's rights end at its namespace")
	}
}

// everyRequest is each verb on each resource that the server has.
func everyRequest(t *testing.T) []access {
	t.Helper()
	g := NewWithT(t)
	d, err := discovery.NewDiscoveryClientForConfig(api.Config)
	g.Expect(err).NotTo(HaveOccurred())
	lists, err := d.ServerPreferredResources()
	g.Expect(err).NotTo(HaveOccurred())
	var all []access
	for _, list := range lists {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group = ""
		}
		for _, r := range list.APIResources {
			for _, verb := range append(slices.Clone([]string(r.Verbs)), "bind", "escalate", "impersonate") {
				all = append(all, access{verb: verb, group: group, resource: r.Name})
			}
		}
	}
	g.Expect(len(all)).To(BeNumerically(">", 300))
	return append(all,
		access{verb: "create", resource: "serviceaccounts/token"}, access{verb: "create", resource: "pods/exec"},
		access{verb: "get", resource: "pods/log"},
		access{verb: "patch", group: infrav1.GroupVersion.Group, resource: "terraforms/status"},
		access{verb: "patch", group: infrav1.GroupVersion.Group, resource: "terraformruns/status"},
		access{verb: "approve", group: infrav1.GroupVersion.Group, resource: "terraforms"},
	)
}

// allowed are those of the requests that a user may make in a namespace, or, for "", in all.
func allowed(t *testing.T, user, namespace string) []string {
	t.Helper()
	var may []string
	for _, r := range everyRequest(t) {
		r.namespace = namespace
		if r.of(t, NewWithT(t), user) {
			may = append(may, strings.TrimSuffix(r.verb+" "+r.resource+"."+r.group, "."))
		}
	}
	return may
}

func TestRBAC_ARunnerCantLeaveItsNamespace(t *testing.T) {
	ensureNamespace(t, "flux-system")
	apply(t, "rbac")
	g := NewWithT(t)
	home, other := api.Namespace(t), api.Namespace(t)
	user := runnerIn(t, home)

	g.Expect(allowed(t, user, other)).To(BeEmpty(), "in another namespace")
	g.Expect(allowed(t, user, "flux-system")).To(BeEmpty(), "in the controller's namespace")
	g.Expect(allowed(t, user, "")).To(BeEmpty(), "in all namespaces, and outside of them")
	at := func(verbs, resource string) []string {
		var list []string
		for verb := range strings.FieldsSeq(verbs) {
			list = append(list, verb+" "+resource)
		}
		return list
	}
	const crud = "get list watch create update patch delete"
	g.Expect(allowed(t, user, home)).To(ConsistOf(slices.Concat(
		at(crud, "secrets"), at(crud, "configmaps"), at(crud, "leases.coordination.k8s.io"),
		at("get", "terraforms.infra.contrib.fluxcd.io"), at("get list watch", "terraformruns.infra.contrib.fluxcd.io"),
		at("patch", "terraformruns/status.infra.contrib.fluxcd.io"),
	)), "at home, and that is all: no run made or altered, no object, pod, account or right")

	c := as(t, user)
	forbidden := ContainSubstring("forbidden")
	g.Expect(c.List(t.Context(), &corev1.SecretList{})).To(MatchError(forbidden), "all Secrets of the cluster")
	g.Expect(c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(other))).To(MatchError(forbidden))
	g.Expect(c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "x"}})).To(MatchError(forbidden))
	g.Expect(c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(home))).To(Succeed())
}

// runnerIn is a runner account as it works: with the role that tenants bind, and the one that the controller binds.
func runnerIn(t *testing.T, namespace string) string {
	t.Helper()
	for _, role := range []string{"tf-runner-role", infrav1.RunnerReportRole} {
		api.Create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "tf-runner"}},
		})
	}
	user := "system:serviceaccount:" + namespace + ":tf-runner"
	for _, question := range []access{
		{verb: "get", resource: "secrets", namespace: namespace},
		{verb: "patch", group: infrav1.GroupVersion.Group, resource: "terraformruns/status", namespace: namespace},
	} {
		NewWithT(t).Eventually(func(g Gomega) { g.Expect(question.of(t, g, user)).To(BeTrue()) }, wait).Should(Succeed())
	}
	return user
}

// TestRBAC_TenantsCantMakeOrAlterRuns: with the roles that are shipped for them.
func TestRBAC_TenantsCantMakeOrAlterRuns(t *testing.T) {
	applyApprovalPolicies(t, "annotation-only")
	g := NewWithT(t)
	w := newApprovalWorld(t, nil)
	run := &infrav1.TerraformRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "net-3f9ac1d2"},
		Spec: infrav1.TerraformRunSpec{
			Operation: infrav1.OperationPlan, Reason: "test", Target: "t", Generation: 1, PodName: "net-tf-runner", Hostname: "net-x",
		},
	}
	g.Expect(asController(t).Create(t.Context(), run)).To(Succeed())
	for _, name := range []string{editor, approver} {
		c := w.people[name]
		read := &infrav1.TerraformRun{}
		g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(run), read)).To(Succeed(), "runs are for reading")
		forged := run.DeepCopy()
		forged.ObjectMeta = metav1.ObjectMeta{Namespace: w.namespace, Name: "net-00000000"}
		g.Expect(c.Create(t.Context(), forged)).To(MatchError(ContainSubstring("forbidden")), "made")
		patch := func(text string) client.Patch { return client.RawPatch("application/merge-patch+json", []byte(text)) }
		for _, text := range []string{`{"spec":{"cancel":{"reason":"x"}}}`, `{"spec":{"approval":{"by":"x"}}}`, `{"metadata":{"labels":{"a":"b"}}}`} {
			g.Expect(c.Patch(t.Context(), run.DeepCopy(), patch(text))).To(MatchError(ContainSubstring("forbidden")), text)
		}
		g.Expect(c.Status().Patch(t.Context(), run.DeepCopy(), patch(`{"status":{"phase":"Succeeded"}}`))).To(MatchError(ContainSubstring("forbidden")), "ended")
		g.Expect(c.Delete(t.Context(), run.DeepCopy())).To(MatchError(ContainSubstring("forbidden")), "removed")
	}
}
