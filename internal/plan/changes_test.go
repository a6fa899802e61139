package plan

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
)

var testKey = []byte("a key of the object")

func changesOf(t testing.TB, p *tfjson.Plan) *Changes {
	t.Helper()
	c, err := FromJSON(p, testKey, here)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// short writes what a test compares: kind, label, actions and the rarer facts.
func short(c *Changes) []string {
	var list []string
	for _, e := range c.Entries {
		line := fmt.Sprintf("%s %s %v", e.Kind, e.Label(), e.Actions)
		if e.PreviousAddress != "" {
			line += " from " + e.PreviousAddress
		}
		if e.Imports {
			line += " import " + e.ImportID
		}
		for _, path := range e.ReplacePaths {
			line += " by " + path
		}
		list = append(list, line)
	}
	return list
}

func TestFromJSON_ListsWhatAnApplyDoes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		changes []string
	}{
		"create": {
			reason: "The data source that is read during the apply alters nothing and needs no approval.",
			changes: []string{
				"resource terraform_data.app [create]",
				`resource terraform_data.each["a b"] [create]`,
				`resource terraform_data.each["ü"] [create]`,
				"resource terraform_data.forgotten [create]",
				"resource terraform_data.hidden [create]",
				"resource terraform_data.moving [create]",
				"resource terraform_data.old_name [create]",
				"resource terraform_data.renewed [create]",
				"output output.app [create]", "output output.gone_soon [create]", "output output.greeting [create]",
			},
		},
		"change": {
			reason: "A no-op counts when it moves or imports, as its apply writes the state.",
			changes: []string{
				"resource terraform_data.app [update]",
				`resource terraform_data.each["ü"] [delete]`,
				"resource terraform_data.forgotten [forget]",
				`resource terraform_data.hidden [delete create] by ["triggers_replace"]`,
				"resource terraform_data.imported [no-op] import an-id",
				"resource terraform_data.moved_on [update] from terraform_data.moving",
				"resource terraform_data.new_name [no-op] from terraform_data.old_name",
				`resource terraform_data.renewed [forget create] by ["triggers_replace"]`,
				"output output.app [update]", "output output.gone_soon [delete]", "output output.greeting [update]",
			},
		},
		"unchanged": {reason: "A plan of no-ops alone has nothing to apply."},
		"outputs": {
			reason:  "A changed output is a change.",
			changes: []string{"output output.list [create]", "output output.name [create]"},
		},
		"create_first": {
			reason:  "The order of a replacement is kept.",
			changes: []string{`resource terraform_data.both [create delete] by ["triggers_replace"]`},
		},
		"deposed": {
			reason:  "A deposed object is told from the current one of the same address.",
			changes: []string{"resource terraform_data.both (deposed 0a1b2c3d) [delete]"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := changesOf(t, readPlan(t, name))
			if diff := cmp.Diff(tc.changes, short(c)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if c.Empty() != (len(tc.changes) == 0) {
				t.Errorf("%s Empty() = %v", tc.reason, c.Empty())
			}
		})
	}
}

func TestFromJSON_Refuses(t *testing.T) {
	floats := &tfjson.Plan{}
	if err := json.Unmarshal([]byte(`{"format_version":"1.2","resource_changes":[
		{"address":"a.b","change":{"actions":["create"],"after":{"n":1}}}]}`), floats); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		plan   *tfjson.Plan
		key    []byte
		want   string
	}{
		"no plan":     {"No plan must not look like an empty one.", nil, testKey, "plan is missing"},
		"no key":      {"Without a key anybody can try values against a digest.", &tfjson.Plan{}, nil, "key for change digests is empty"},
		"floats":      {"Rounded numbers would give two plans one digest.", floats, testKey, "digest of a.b: after: plan was decoded without json.Number"},
		"no resource": {"A hole may hide a change.", &tfjson.Plan{ResourceChanges: []*tfjson.ResourceChange{nil}}, testKey, "resource change 0 of the plan is empty"},
		"no change":   {"A hole may hide a change.", &tfjson.Plan{ResourceChanges: []*tfjson.ResourceChange{{Address: "a.b"}}}, testKey, "resource change 0 of the plan is empty"},
		"no output":   {"A hole may hide a change.", &tfjson.Plan{OutputChanges: map[string]*tfjson.Change{"o": nil}}, testKey, `change of output "o" is empty`},
		"no action":   {"A hole may hide a change.", &tfjson.Plan{ActionInvocations: []*tfjson.ActionInvocation{nil}}, testKey, "an action invocation of the plan is empty"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := FromJSON(tc.plan, tc.key, here)
			if err == nil || err.Error() != tc.want {
				t.Errorf("%s got error %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestDecode_RefusesWhatIsNoPlan(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"format_version":"9.0"}`, `{"format_version":"1.2","resource_changes":3}`} {
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("%q was taken for a plan", text)
		}
	}
}

// withActions is a plan that does this to one resource.
func withActions(actions ...tfjson.Action) *tfjson.Plan {
	return &tfjson.Plan{ResourceChanges: []*tfjson.ResourceChange{{Address: "a.b", Change: &tfjson.Change{Actions: actions}}}}
}

func TestSafe_HoldsWhateverEndsAnObject(t *testing.T) {
	invoke := &tfjson.Plan{ActionInvocations: []*tfjson.ActionInvocation{{Address: "action.x.y"}}}
	cases := map[string]struct {
		reason      string
		plan        *tfjson.Plan
		safe        bool
		destructive []string
	}{
		"create":         {"Nothing is lost.", withActions("create"), true, nil},
		"update":         {"Nothing is lost.", withActions("update"), true, nil},
		"delete":         {"The object is lost.", withActions("delete"), false, []string{"a.b"}},
		"replace":        {"The old object is lost.", withActions("delete", "create"), false, []string{"a.b"}},
		"create first":   {"The old object is lost all the same.", withActions("create", "delete"), false, []string{"a.b"}},
		"forget":         {"The object is out of control afterwards.", withActions("forget"), false, []string{"a.b"}},
		"forget, create": {"The old object is out of control afterwards.", withActions("forget", "create"), false, []string{"a.b"}},
		"create, forget": {"Terraform writes it in this order.", withActions("create", "forget"), false, []string{"a.b"}},
		"new word":       {"What is not understood is not safe.", withActions("evaporate"), false, []string{"a.b"}},
		"no word":        {"What is not understood is not safe.", withActions(), false, []string{"a.b"}},
		"three words":    {"What is not understood is not safe.", withActions("create", "read", "delete"), false, []string{"a.b"}},
		"invocation":     {"Nobody knows what a provider's action does.", invoke, false, nil},
		"real deposed":   {"A deposed object may be all that is left.", readPlan(t, "deposed"), false, []string{"terraform_data.both (deposed 0a1b2c3d)"}},
		"real create":    {"Only adds.", readPlan(t, "create"), true, nil},
		"real unchanged": {"Nothing at all.", readPlan(t, "unchanged"), true, nil},
		"real outputs":   {"Outputs hold no objects.", readPlan(t, "outputs"), true, nil},
		"real change": {"One of each kind.", readPlan(t, "change"), false, []string{
			`terraform_data.each["ü"]`, "terraform_data.forgotten", "terraform_data.hidden", "terraform_data.renewed",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := changesOf(t, tc.plan)
			if c.Safe() != tc.safe {
				t.Errorf("%s Safe() = %v", tc.reason, c.Safe())
			}
			if diff := cmp.Diff(tc.destructive, c.Destructive()); diff != "" {
				t.Errorf("%s Destructive() (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestChange_Forgets(t *testing.T) {
	for _, e := range changesOf(t, readPlan(t, "change")).Entries {
		want := e.Address == "terraform_data.forgotten" || e.Address == "terraform_data.renewed"
		if e.Forgets() != want {
			t.Errorf("%s: Forgets() = %v", e.Address, e.Forgets())
		}
	}
}

func TestSummary(t *testing.T) {
	cases := map[string]struct {
		reason        string
		plan          *tfjson.Plan
		column, human string
	}{
		"unchanged":    {"Nothing.", readPlan(t, "unchanged"), "+0 ~0 -0", "0 to add, 0 to change, 0 to destroy"},
		"create":       {"Outputs are not named beside resources.", readPlan(t, "create"), "+8 ~0 -0", "8 to add, 0 to change, 0 to destroy"},
		"outputs":      {"Else it would look like nothing.", readPlan(t, "outputs"), "+0 ~0 -0 (outputs)", "0 to add, 0 to change, 0 to destroy, 2 outputs change"},
		"create first": {"A replacement is no add and no destroy.", readPlan(t, "create_first"), "+0 ~0 ±1 -0", "0 to add, 0 to change, 1 to replace, 0 to destroy"},
		"deposed":      {"Removing a deposed object destroys.", readPlan(t, "deposed"), "+0 ~0 -1", "0 to add, 0 to change, 1 to destroy"},
		"change": {
			"Forget and create adds one and forgets one; a move with an update is both.", readPlan(t, "change"),
			"+1 ~2 ±1 -1 import 1 forget 2 move 2",
			"1 to add, 2 to change, 1 to replace, 1 to destroy, 1 to import, 2 to forget, 2 to move",
		},
		"invocation": {
			"It would look like nothing.", &tfjson.Plan{ActionInvocations: []*tfjson.ActionInvocation{{Address: "action.x.y"}}},
			"+0 ~0 -0 invoke 1", "0 to add, 0 to change, 0 to destroy, 1 to invoke",
		},
		"one output": {
			"Grammar.", &tfjson.Plan{OutputChanges: map[string]*tfjson.Change{"o": {Actions: tfjson.Actions{"update"}}}},
			"+0 ~0 -0 (outputs)", "0 to add, 0 to change, 0 to destroy, 1 output changes",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := changesOf(t, tc.plan).Summary()
			if diff := cmp.Diff([]string{tc.column, tc.human}, []string{s.String(), s.Human()}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
