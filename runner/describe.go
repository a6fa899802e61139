package runner

import (
	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
	"github.com/terraform-controller/terraform-controller/internal/planstore"
)

// Bounds of what a run's status holds of a plan.
const (
	maxChanges  = 500
	maxRendered = 256 << 10
)

// describe is a plan for the status, without what a person reads.
func describe(stored *planstore.Plan, changes *plan.Changes) *v1alpha2.RunPlan {
	summary := changes.Summary()
	return &v1alpha2.RunPlan{
		ID:         stored.ID,
		Digest:     stored.Digest,
		Content:    changes.Content(),
		HasChanges: !changes.Empty(),
		Summary: v1alpha2.PlanSummary{
			Add: summary.Add, Change: summary.Change, Replace: summary.Replace,
			Destroy: summary.Destroy, Import: summary.Import, Forget: summary.Forget,
		},
		Short:       summary.String(),
		Safe:        changes.Safe(),
		Moves:       moves(changes),
		Destructive: firstOf(changes.Destructive(), v1alpha2.MaxDestructive),
	}
}

func moves(changes *plan.Changes) []v1alpha2.PlanMove {
	var list []v1alpha2.PlanMove
	for _, m := range firstOf(changes.Moves(), v1alpha2.MaxDestructive) {
		list = append(list, v1alpha2.PlanMove{From: m[0], To: m[1]})
	}
	return list
}

// planChanges are the single changes, and what they rest on, so that an approval can be held against later plans; none when there
// are too many, so that the approval counts for this plan only.
func planChanges(changes *plan.Changes) []v1alpha2.PlanChange {
	if len(changes.Entries) > maxChanges || changes.Empty() {
		return nil
	}
	list := make([]v1alpha2.PlanChange, 0, len(changes.Entries)+len(changes.Ground))
	for _, c := range changes.Entries {
		list = append(list, v1alpha2.PlanChange{Address: c.Label(), Digest: c.Digest})
	}
	for _, part := range changes.Ground {
		list = append(list, v1alpha2.PlanChange{Address: part.Name, Digest: part.Digest})
	}
	return list
}
