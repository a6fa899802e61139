package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

// Kind says what a change is about.
type Kind string

const (
	// KindResource is a resource instance, or a deposed object of one.
	KindResource Kind = "resource"
	// KindOutput is an output value of the root module.
	KindOutput Kind = "output"
	// KindInvocation is a provider action that the apply invokes (Terraform 1.14 and later).
	KindInvocation Kind = "invocation"
)

// Change is one thing that an apply of the plan would do.
type Change struct {
	Kind Kind
	// Address is the absolute address of the resource instance or action; of an output "output.<name>".
	Address string
	// DeposedKey names the deposed object, eight hex digits; empty for the current one.
	DeposedKey string
	// PreviousAddress is where a moved resource instance was; empty when it was not moved.
	PreviousAddress string
	// Actions are the engine's words in the order of execution.
	Actions tfjson.Actions
	// ReplacePaths are the attribute paths that force a replacement, each as a JSON array, sorted.
	ReplacePaths []string
	// Imports says that the object is taken over into the state.
	Imports bool
	// ImportID is the id it is imported by; empty also when it is imported by its identity.
	ImportID string
	// Digest stands for the whole change, values included: 64 hex digits. See FromJSON.
	Digest string
}

// Destructive says that the change deletes, replaces or forgets an object, or removes a deposed one. An action that
// this version does not know counts as destructive.
func (c Change) Destructive() bool {
	return c.Kind == KindResource && verbOf(c.Actions).endsObject()
}

// Forgets says that an object leaves the state but is not destroyed.
func (c Change) Forgets() bool {
	return slices.Contains(c.Actions, tfjson.ActionForget)
}

// Label is the address, with the deposed key when there is one.
func (c Change) Label() string {
	if c.DeposedKey == "" {
		return c.Address
	}
	return c.Address + " (deposed " + c.DeposedKey + ")"
}

// Changes are all the changes of one plan, sorted by kind, address and deposed key.
type Changes struct {
	Entries []Change
	// Ground is what they rest on and do not show, always the same parts in the same order: the configuration, provisioners and providers among
	// it, the values of variables, the files of the module, the spec.
	Ground []Part
}

// Decode reads the output of "show -json". It keeps numbers as they are written, which FromJSON needs: two large
// numbers must not become equal by rounding.
func Decode(data []byte) (*tfjson.Plan, error) {
	p := &tfjson.Plan{}
	p.UseJSONNumber(true)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	return p, nil
}

// FromJSON lists what an apply of the plan would do. These are resource changes other than no-op and read (a data
// source that is read during the apply alters nothing), moves and imports of resources that are otherwise unchanged
// (they write the state), changed outputs, and invoked provider actions. Drift that the engine merely reports is left out.
//
// Each change gets a digest: HMAC-SHA256 over kind, address, deposed key, previous address, actions, replace paths,
// import id, after, which values are unknown, which are sensitive, and for whatever ends an object also before. The whole
// is keyed, not only what is marked sensitive, since providers repeat sensitive values in unmarked attributes (the
// output of a terraform_data does). Digests are kept where readers of status see them, so the key must be secret, and
// the same for all plans of one object; a lost key costs a new approval, nothing else.
//
// The plan must hold json.Number, see Decode; terraform-exec does so with its option JSONNumber.
func FromJSON(p *tfjson.Plan, key []byte, scope Scope) (*Changes, error) {
	if err := wellFormed(p); err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, errors.New("key for change digests is empty")
	}
	ground, err := groundOf(p, scope, key)
	if err != nil {
		return nil, fmt.Errorf("digest of what the plan rests on: %w", err)
	}
	changes := &Changes{Ground: ground}
	for _, e := range entriesOf(p) {
		if err := e.seal(key); err != nil {
			return nil, fmt.Errorf("digest of %s: %w", e.Label(), err)
		}
		changes.Entries = append(changes.Entries, e.Change)
	}
	return changes, nil
}

// wellFormed refuses a plan with holes, so that no change can hide in one.
func wellFormed(p *tfjson.Plan) error {
	if p == nil {
		return errors.New("plan is missing")
	}
	for i, rc := range p.ResourceChanges {
		if rc == nil || rc.Change == nil {
			return fmt.Errorf("resource change %d of the plan is empty", i)
		}
	}
	for name, oc := range p.OutputChanges {
		if oc == nil {
			return fmt.Errorf("change of output %q is empty", name)
		}
	}
	if slices.Contains(p.ActionInvocations, nil) {
		return errors.New("an action invocation of the plan is empty")
	}
	return nil
}

// entry is a change together with what the plan says of it.
type entry struct {
	Change
	change     *tfjson.Change
	invocation *tfjson.ActionInvocation
}

// entriesOf lists what the plan would do, without digests, in the order of Changes. It skips holes.
func entriesOf(p *tfjson.Plan) []*entry {
	var all []*entry
	for _, rc := range p.ResourceChanges {
		if rc != nil && rc.Change != nil && applies(rc) {
			all = append(all, resourceEntry(rc))
		}
	}
	for _, inv := range p.ActionInvocations {
		if inv != nil {
			all = append(all, &entry{Change: Change{Kind: KindInvocation, Address: inv.Address}, invocation: inv})
		}
	}
	for name, oc := range p.OutputChanges {
		if oc != nil && verbOf(oc.Actions) != verbNone {
			c := Change{Kind: KindOutput, Address: "output." + name, Actions: oc.Actions}
			all = append(all, &entry{Change: c, change: oc})
		}
	}
	slices.SortStableFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Kind.rank(), b.Kind.rank()),
			strings.Compare(a.Address, b.Address), strings.Compare(a.DeposedKey, b.DeposedKey))
	})
	return all
}

func (k Kind) rank() int {
	return slices.Index([]Kind{KindResource, KindInvocation, KindOutput}, k)
}

// applies says whether an apply does anything about the resource. A move or an import alone writes the state, and the
// engine counts a plan of these as one to be applied.
func applies(rc *tfjson.ResourceChange) bool {
	switch verbOf(rc.Change.Actions) {
	case verbRead:
		return false
	case verbNone:
		return moved(rc) || rc.Change.Importing != nil
	default:
		return true
	}
}

func moved(rc *tfjson.ResourceChange) bool {
	return rc.PreviousAddress != "" && rc.PreviousAddress != rc.Address
}

func resourceEntry(rc *tfjson.ResourceChange) *entry {
	c := Change{
		Kind:       KindResource,
		Address:    rc.Address,
		DeposedKey: rc.DeposedKey,
		Actions:    rc.Change.Actions,
	}
	if moved(rc) {
		c.PreviousAddress = rc.PreviousAddress
	}
	if imp := rc.Change.Importing; imp != nil {
		c.Imports, c.ImportID = true, imp.ID
	}
	return &entry{Change: c, change: rc.Change}
}

// seal fills in what is taken from the values: replace paths and digest.
func (e *entry) seal(key []byte) (err error) {
	if e.invocation != nil {
		e.Digest, err = invocationDigest(e.invocation, key)
		return err
	}
	for _, path := range e.change.ReplacePaths {
		var b bytes.Buffer
		if err := canonical(&b, path, nil); err != nil {
			return fmt.Errorf("replace path: %w", err)
		}
		e.ReplacePaths = append(e.ReplacePaths, b.String())
	}
	slices.Sort(e.ReplacePaths)
	e.Digest, err = changeDigest(e.Change, e.change, key)
	return err
}

// Empty says that there is nothing to apply.
func (c *Changes) Empty() bool {
	return len(c.Entries) == 0
}

// Destructive lists, as labels, what is deleted, replaced or forgotten, and deposed objects that are removed.
func (c *Changes) Destructive() []string {
	var labels []string
	for _, e := range c.Entries {
		if e.Destructive() {
			labels = append(labels, e.Label())
		}
	}
	return labels
}

// Moves are the resource instances that get another address, from the old one to the new one.
func (c *Changes) Moves() [][2]string {
	var moves [][2]string
	for _, e := range c.Entries {
		if e.PreviousAddress != "" {
			moves = append(moves, [2]string{e.PreviousAddress, e.Address})
		}
	}
	return moves
}

// Safe says that the plan may go on by itself under approvePlan "safe": nothing is deleted, replaced or forgotten, no
// deposed object is removed, and no provider action is invoked, as nobody knows what such an action does.
func (c *Changes) Safe() bool {
	return !slices.ContainsFunc(c.Entries, func(e Change) bool {
		return e.Kind == KindInvocation || e.Destructive()
	})
}
