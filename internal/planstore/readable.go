package planstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/bundle"
)

// The readable forms of a plan (contract 2.3). Each object has one of a kind at most, beside the stored plan:
//
//	Secret    tfplan-WS-NAME.json   key tfplan: what `show -json` prints, gzip; it holds sensitive values in clear
//	ConfigMap tfplan-WS-NAME        key tfplan: what `show` prints
//
// What is larger than a chunk is in tfplan-...-0, -1 and so on, a text cut between runes.
const (
	// FormatJSON and FormatHuman are values of spec.storeReadablePlan.
	FormatJSON  = "json"
	FormatHuman = "human"

	jsonSuffix = ".json"
)

// Readable is a plan in a readable form.
type Readable struct {
	// ID of the plan, as in status.plan.pending.
	ID string
	// Format is FormatJSON or FormatHuman.
	Format string
	// Content as the engine prints it, or less.
	Content []byte
}

// SaveReadable stores a plan in a readable form, and removes those of plans before, in whatever form.
func SaveReadable(ctx context.Context, c client.Client, owner *v1alpha2.Terraform, workspace string, plan Readable) error {
	r := readable{client: client.WithFieldOwner(c, v1alpha2.FieldManager), owner: owner, workspace: workspace, id: plan.ID}
	written, err := r.save(ctx, plan.Format, plan.Content)
	if err != nil {
		return readableError(fmt.Sprintf("storing plan %s as %s", plan.ID, plan.Format), owner.Namespace, err)
	}
	return r.prune(ctx, written)
}

// PruneReadable removes the readable forms of an object's plans.
func PruneReadable(ctx context.Context, c client.Client, owner *v1alpha2.Terraform) error {
	return readable{client: c, owner: owner}.prune(ctx, nil)
}

type readable struct {
	client        client.Client
	owner         *v1alpha2.Terraform
	workspace, id string
}

// save gives the names of what it has written.
func (r readable) save(ctx context.Context, format string, content []byte) (names []string, err error) {
	chunks := cutText(string(content))
	if format == FormatJSON {
		zipped, err := bundle.Pack(content)
		if err != nil {
			return nil, err
		}
		chunks = bundle.Chunks(zipped)
	}
	if len(chunks) > maxChunks {
		return nil, fmt.Errorf("it is too large: %d bytes", len(content))
	}
	for i, chunk := range chunks {
		obj, take := r.object(format, chunk)
		obj.SetNamespace(r.owner.Namespace)
		obj.SetName(r.name(format))
		annotations := map[string]string{v1alpha2.PlanHashAnnotation: hash(content)}
		if len(chunks) > 1 {
			obj.SetName(bundle.Numbered(r.name(format), i))
			annotations = map[string]string{v1alpha2.PlanHashAnnotation: hash(chunk), v1alpha2.PlanChunkAnnotation: strconv.Itoa(i)}
		}
		if err := r.put(ctx, obj, format, annotations, take); err != nil {
			return nil, fmt.Errorf("%s: %w", obj.GetName(), err)
		}
		names = append(names, obj.GetName())
	}
	return names, nil
}

// object is an empty one of the format's kind; take gives it the chunk.
func (r readable) object(format string, chunk []byte) (obj client.Object, take func()) {
	if format == FormatJSON {
		secret := &corev1.Secret{Type: corev1.SecretTypeOpaque}
		return secret, func() { secret.Data = map[string][]byte{planKey: chunk} }
	}
	text := &corev1.ConfigMap{}
	return text, func() { text.Data, text.BinaryData = map[string]string{planKey: string(chunk)}, nil }
}

func (r readable) put(ctx context.Context, obj client.Object, format string, annotations map[string]string, take func()) error {
	annotations[v1alpha2.SavedPlanAnnotation] = r.id
	annotations[v1alpha2.PlanFullNameAnnotation] = r.owner.Name
	annotations[v1alpha2.PlanFullWorkspaceAnnotation] = r.workspace
	if format == FormatJSON {
		annotations[encodingAnnotation] = "gzip"
	}
	race := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultBackoff, race, func() error {
		_, err := controllerutil.CreateOrUpdate(ctx, r.client, obj, func() error {
			meta := metav1.ObjectMeta{Annotations: obj.GetAnnotations(), OwnerReferences: obj.GetOwnerReferences()}
			if obj.GetResourceVersion() != "" && !belongs(&meta, r.owner) {
				return errors.New("it exists and belongs to another object")
			}
			take()
			obj.SetAnnotations(annotations)
			obj.SetLabels(map[string]string{
				v1alpha2.PlanNameLabel: r.label(format), v1alpha2.PlanWorkspaceLabel: workspaceLabel(r.workspace),
			})
			obj.SetOwnerReferences(bundle.OwnedBy(r.owner))
			return nil
		})
		return err
	})
}

func (r readable) label(format string) string {
	if format == FormatJSON {
		return v1alpha2.SafeLabelValue(r.owner.Name + jsonSuffix)
	}
	return v1alpha2.SafeLabelValue(r.owner.Name)
}

// name is the incumbent's, where that is a name.
func (r readable) name(format string) string {
	suffix := ""
	if format == FormatJSON {
		suffix = jsonSuffix
	}
	name := "tfplan-" + r.workspace + "-" + r.owner.Name + suffix
	if len(name)+len("-000") <= validation.DNS1123SubdomainMaxLength && len(validation.IsDNS1123Subdomain(name)) == 0 {
		return name
	}
	return "tfplan-" + hash([]byte(r.workspace + "-" + r.owner.Name))[:hashDigits] + suffix
}

// prune removes what is not named. An account that may do nothing with one kind still removes those of the other.
func (r readable) prune(ctx context.Context, keep []string) error {
	return errors.Join(r.pruneKind(ctx, "Secret", FormatJSON, keep), r.pruneKind(ctx, "ConfigMap", FormatHuman, keep))
}

func (r readable) pruneKind(ctx context.Context, kind, format string, keep []string) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	selector := client.MatchingLabels{v1alpha2.PlanNameLabel: r.label(format)}
	if err := r.client.List(ctx, list, client.InNamespace(r.owner.Namespace), selector); err != nil {
		return readableError("finding readable plans", r.owner.Namespace, err)
	}
	for i := range list.Items {
		old := &list.Items[i]
		if slices.Contains(keep, old.Name) || !belongs(&old.ObjectMeta, r.owner) {
			continue
		}
		err := r.client.Delete(ctx, old, client.Preconditions{UID: &old.UID})
		if client.IgnoreNotFound(err) != nil {
			return readableError("deleting "+kind+" "+old.Name, r.owner.Namespace, err)
		}
	}
	return nil
}

func readableError(doing, namespace string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w; bind a Role of namespace %q with the verbs get, list, create, update and delete on secrets and configmaps to this account", err, namespace)
	}
	return err
}

// cutText cuts a text into chunks, never within a rune.
func cutText(text string) [][]byte {
	var chunks [][]byte
	for len(text) > bundle.ChunkSize {
		end := bundle.ChunkSize
		for !utf8.RuneStart(text[end]) {
			end--
		}
		chunks = append(chunks, []byte(text[:end]))
		text = text[end:]
	}
	return append(chunks, []byte(text))
}
