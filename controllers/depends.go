package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/fluxcd/pkg/runtime/conditions"
	celgo "github.com/google/cel-go/cel"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/decide"
)

const (
	// dependsOnIndex finds the objects that depend on "<namespace>/<name>".
	dependsOnIndex = ".spec.dependsOn"
	// maxGraph bounds the search for circles.
	maxGraph = 500
)

func indexDependsOn(obj client.Object) []string {
	tf, ok := obj.(*infrav1.Terraform)
	if !ok {
		return nil
	}
	keys := make([]string, 0, len(tf.Spec.DependsOn))
	for _, d := range tf.Spec.DependsOn {
		keys = append(keys, dependencyKey(tf, d).String())
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func dependencyKey(tf *infrav1.Terraform, d infrav1.DependencyReference) client.ObjectKey {
	return client.ObjectKey{Namespace: tf.DependencyNamespace(d), Name: d.Name}
}

// observeDependencies finds the first thing that is wrong with the objects that this one depends on; for one that is
// being deleted, those that depend on it.
func (r *TerraformReconciler) observeDependencies(ctx context.Context, tf *infrav1.Terraform, o *observation) (err error) {
	if !tf.DeletionTimestamp.IsZero() {
		o.facts.Dependants, err = r.dependants(ctx, tf)
		return err
	}
	if circle := r.circle(ctx, tf); circle != "" {
		o.facts.Dependency = decide.Dependency{State: decide.DependencyCycle, Message: "spec.dependsOn: dependency cycle: " + circle}
		return nil
	}
	for _, ref := range tf.Spec.DependsOn {
		d, err := r.dependency(ctx, tf, ref, o.source.Revision)
		if err != nil {
			return err
		}
		// What a person has to mend is said before what only has to be waited for.
		if o.facts.Dependency.State < d.State {
			o.facts.Dependency = d
		}
	}
	return nil
}

func (r *TerraformReconciler) dependency(ctx context.Context, tf *infrav1.Terraform, ref infrav1.DependencyReference, revision string) (decide.Dependency, error) {
	key := dependencyKey(tf, ref)
	if key.Namespace != tf.Namespace && !r.AllowCrossNamespaceRefs {
		return decide.Dependency{State: decide.DependencyDenied, Message: fmt.Sprintf("cannot access dependency %s, cross-namespace references have been "+
			"disabled; start the controller with --allow-cross-namespace-refs to allow them", key)}, nil
	}
	dep := &infrav1.Terraform{}
	err := r.Client.Get(ctx, key, dep)
	if apierrors.IsNotFound(err) {
		return waits("unable to get '%s' dependency: not found", key), nil
	}
	if err != nil {
		return decide.Dependency{}, fmt.Errorf("get dependency %s: %w", key, err)
	}
	if ref.ReadyExpr != "" {
		return readyByExpression(ctx, tf, dep, ref.ReadyExpr), nil
	}
	return readyByStatus(tf, dep, revision), nil
}

func waits(format string, args ...any) decide.Dependency {
	return decide.Dependency{State: decide.DependencyWaits, Message: fmt.Sprintf(format, args...)}
}

// readyByStatus: an object that waits on drift is as good as it was when it was applied. Of one source, both have to be
// of one revision. The outputs Secret is known by its condition: this controller reads no Secrets of tenants.
func readyByStatus(tf, dep *infrav1.Terraform, revision string) decide.Dependency {
	key := client.ObjectKeyFromObject(dep)
	drifted := conditions.IsFalse(dep, meta.ReadyCondition) && conditions.GetReason(dep, meta.ReadyCondition) == infrav1.ReasonDriftDetected
	switch {
	case !dep.DeletionTimestamp.IsZero(), dep.Generation != dep.Status.ObservedGeneration,
		!conditions.IsTrue(dep, meta.ReadyCondition) && !drifted:
		return waits("dependency '%s' is not ready", key)
	case sameSource(tf, dep) && dep.Status.LastAppliedRevision != revision && dep.Status.LastPlannedRevision != revision:
		return waits("dependency '%s' is not updated yet", key)
	case outputsMissing(dep):
		return waits("dependency output secret: '%s/%s' of '%s' is not ready yet", key.Namespace, dep.Spec.WriteOutputsToSecret.Name, key)
	}
	return decide.Dependency{}
}

func sameSource(a, b *infrav1.Terraform) bool {
	return a.Spec.SourceRef.Kind == b.Spec.SourceRef.Kind && a.Spec.SourceRef.Name == b.Spec.SourceRef.Name &&
		a.SourceNamespace() == b.SourceNamespace()
}

func outputsMissing(dep *infrav1.Terraform) bool {
	return dep.Spec.WriteOutputsToSecret != nil && !dep.Spec.Destroy && len(dep.Status.AvailableOutputs) > 0 &&
		conditions.GetReason(dep, infrav1.ConditionOutput) != infrav1.ReasonOutputsWritten
}

// readyByExpression asks the expression instead of all else. One that can't be evaluated, say because a field is not
// there yet, is not true yet.
func readyByExpression(ctx context.Context, tf, dep *infrav1.Terraform, text string) decide.Dependency {
	key := client.ObjectKeyFromObject(dep)
	expression, err := cel.NewExpression(text, cel.WithCompile(), cel.WithOutputType(celgo.BoolType), cel.WithStructVariables("self", "dep"))
	if err != nil {
		return decide.Dependency{State: decide.DependencyInvalid, Message: fmt.Sprintf("spec.dependsOn: readyExpr of '%s': %v", key, err)}
	}
	values := map[string]any{}
	for name, obj := range map[string]*infrav1.Terraform{"self": tf, "dep": dep} {
		if values[name], err = runtime.DefaultUnstructuredConverter.ToUnstructured(obj); err != nil {
			return waits("dependency '%s' is not ready: %v", key, err)
		}
	}
	ready, err := expression.EvaluateBoolean(ctx, values)
	switch {
	case err != nil:
		return waits("dependency '%s' is not ready: %v", key, err)
	case !ready:
		return waits("dependency '%s' is not ready according to readyExpr", key)
	}
	return decide.Dependency{}
}

// circle is the way from the object over its dependencies back to itself, "" when there is none. A circle that it only
// leads into is the trouble of others.
func (r *TerraformReconciler) circle(ctx context.Context, tf *infrav1.Terraform) string {
	start := client.ObjectKeyFromObject(tf)
	seen := map[client.ObjectKey]bool{}
	var search func(at *infrav1.Terraform, path []string) string
	search = func(at *infrav1.Terraform, path []string) string {
		for _, d := range at.Spec.DependsOn {
			next := dependencyKey(at, d)
			if next == start {
				return strings.Join(append(path, next.String()), " -> ")
			}
			if seen[next] || len(seen) >= maxGraph || next.Namespace != at.Namespace && !r.AllowCrossNamespaceRefs {
				continue
			}
			seen[next] = true
			obj := &infrav1.Terraform{}
			if err := r.Client.Get(ctx, next, obj); err != nil {
				continue // one that is not there leads nowhere
			}
			if found := search(obj, append(slices.Clone(path), next.String())); found != "" {
				return found
			}
		}
		return ""
	}
	return search(tf, []string{start.String()})
}

// dependants names the objects that depend on this one: by the index, as no finalizer of theirs is put on it. Those in a
// circle with it, which have never begun anything because of that, and those that may not refer to it do not count.
func (r *TerraformReconciler) dependants(ctx context.Context, tf *infrav1.Terraform) (string, error) {
	list, err := r.listDependants(ctx, tf)
	if err != nil {
		return "", err
	}
	var names []string
	for i := range list {
		d := &list[i]
		if d.UID == tf.UID || r.circle(ctx, d) != "" {
			continue
		}
		if d.Namespace == tf.Namespace {
			names = append(names, d.Name)
		} else {
			names = append(names, d.Namespace+"/"+d.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", "), nil
}

func (r *TerraformReconciler) listDependants(ctx context.Context, tf client.Object) ([]infrav1.Terraform, error) {
	var list infrav1.TerraformList
	key := client.ObjectKeyFromObject(tf).String()
	opts := []client.ListOption{client.MatchingFields{dependsOnIndex: key}}
	if !r.AllowCrossNamespaceRefs {
		opts = append(opts, client.InNamespace(tf.GetNamespace()))
	}
	if err := r.Client.List(ctx, &list, opts...); err != nil {
		return nil, fmt.Errorf("list the objects that depend on %s: %w", key, err)
	}
	return list.Items, nil
}
