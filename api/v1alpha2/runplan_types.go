package v1alpha2

// MaxDestructive is the largest number of addresses that are named as deleted, replaced or forgotten.
const MaxDestructive = 100

// RunPlan is a plan as it was made or applied.
type RunPlan struct {
	// ID of the plan; empty when there is nothing to apply.
	// +optional
	ID string `json:"id,omitempty"`

	// Digest of the stored plan, sha256:<hex>. It covers the plan file and all that is applied with it.
	// +optional
	Digest string `json:"digest,omitempty"`

	// Content is the digest of all the changes.
	// +optional
	Content string `json:"content,omitempty"`

	// HasChanges says that there is something to apply.
	// +optional
	HasChanges bool `json:"hasChanges,omitempty"`

	// Summary counts the changes.
	// +optional
	Summary PlanSummary `json:"summary,omitempty"`

	// Short is the summary in one word, like "+3 ~1 -0".
	// +optional
	Short string `json:"short,omitempty"`

	// Safe says that nothing is deleted, replaced or forgotten, and no deposed object removed.
	// +optional
	Safe bool `json:"safe,omitempty"`

	// Changes are the single changes; none when there are more than 500.
	// +optional
	Changes []PlanChange `json:"changes,omitempty"`

	// Destructive are addresses that are deleted, replaced or forgotten; at most 100.
	// +optional
	Destructive []string `json:"destructive,omitempty"`

	// Moves are resource instances that get another address; at most 100.
	// +optional
	Moves []PlanMove `json:"moves,omitempty"`

	// Rendered is the plan as a person reads it, without sensitive values; at most 256 KiB.
	// +optional
	Rendered string `json:"rendered,omitempty"`

	// JSON is the plan in the engine's JSON format, without sensitive values, gzip; at most 256 KiB. It is there only where
	// spec.webhooks take a plan.
	// +optional
	JSON []byte `json:"json,omitempty"`
}

// PlanChange is one change of a plan.
type PlanChange struct {
	// Address of the resource or output.
	Address string `json:"address"`
	// Digest stands for the whole change, values included: equal digests are equal changes.
	Digest string `json:"digest"`
}

// PlanSummary counts the changes of a plan.
type PlanSummary struct {
	// Add counts the resources to create.
	// +optional
	Add int `json:"add,omitempty"`
	// Change counts the resources to update in place.
	// +optional
	Change int `json:"change,omitempty"`
	// Replace counts the resources to delete and create again.
	// +optional
	Replace int `json:"replace,omitempty"`
	// Destroy counts the resources to delete.
	// +optional
	Destroy int `json:"destroy,omitempty"`
	// Import counts the resources to take into the state.
	// +optional
	Import int `json:"import,omitempty"`
	// Forget counts the resources to drop from the state without deleting them.
	// +optional
	Forget int `json:"forget,omitempty"`
}

// FormerPlan is a plan of the incumbent that was approved: its changes, or why its approval does not count.
type FormerPlan struct {
	// ID of the plan.
	ID string `json:"id"`
	// Changes are the digests of its changes.
	// +optional
	Changes []string `json:"changes,omitempty"`
	// Refused says why the approval does not count.
	// +optional
	Refused string `json:"refused,omitempty"`
}

// PlanMove is a resource instance that gets another address.
type PlanMove struct {
	// From is the address that it had.
	From string `json:"from"`

	// To is the address that it gets.
	To string `json:"to"`
}
