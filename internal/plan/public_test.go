package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
)

// published packs a plan, and gives what is in it as JSON and decoded.
func hiding(secrets ...string) func(string) string {
	return func(text string) string { return Redact(text, secrets) }
}

func published(t *testing.T, p *tfjson.Plan, hide func(string) string, limit int) (string, map[string]any) {
	t.Helper()
	packed, err := Public(p, hide, limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > limit {
		t.Fatalf("%d bytes, more than %d", len(packed), limit)
	}
	data, err := Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return string(data), document
}

func TestPublic_HidesWhatIsSensitive(t *testing.T) {
	for _, name := range planNames {
		t.Run(name, func(t *testing.T) {
			p := readPlan(t, name)
			text, document := published(t, p, hiding(Secrets(p)...), 1<<20)
			for _, secret := range []string{"hunter2", "123456", "654321", "carol"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s is shown", secret)
				}
			}
			for _, key := range []string{"configuration", "prior_state", truncated} {
				if _, found := document[key]; found {
					t.Errorf("%s is in it", key)
				}
			}
			again, err := Decode([]byte(text))
			if err != nil {
				t.Fatalf("it is no plan any more: %v", err)
			}
			for i, rc := range again.ResourceChanges {
				was := p.ResourceChanges[i]
				if rc.Type != was.Type || rc.Address != was.Address || !cmp.Equal(rc.Change.Actions, was.Change.Actions) {
					t.Errorf("%s is judged by what it is: %+v", was.Address, rc)
				}
			}
		})
	}
}

// TestPublic_IsNotMisledByNames: names of outputs, variables and attributes may be those of the format's own parts.
func TestPublic_IsNotMisledByNames(t *testing.T) {
	names := []string{
		"value", "type", "name", "actions", "before", "after", "values", "outputs", "variables", "sensitive", "sensitive_values",
		"output_changes", "after_sensitive", "identity", "change",
	}
	var outputs, planned, attributes, marks []string
	for _, name := range names {
		outputs = append(outputs, fmt.Sprintf(`%q: {"actions":["create"],"after":"s3cr-%s","after_sensitive":true}`, name, name))
		planned = append(planned, fmt.Sprintf(`%q: {"sensitive":true,"type":"string","value":"s3cr-%s"}`, name, name))
		attributes = append(attributes, fmt.Sprintf(`%q: {"x": ["s3cr-%s", "open"]}`, name, name))
		marks = append(marks, fmt.Sprintf(`%q: {"x": [true, false]}`, name))
	}
	join := func(list []string) string { return "{" + strings.Join(list, ",") + "}" }
	p, err := Decode([]byte(`{"format_version":"1.2","output_changes":` + join(outputs) + `,
		"planned_values":{"outputs":` + join(planned) + `,"root_module":{"resources":[
			{"address":"a.b","type":"a","values":` + join(attributes) + `,"sensitive_values":` + join(marks) + `}]}},
		"resource_changes":[{"address":"a.b","type":"a","change":{"actions":["update"],
			"before":` + join(attributes) + `,"before_sensitive":` + join(marks) + `,"after":` + join(attributes) + `,"after_sensitive":{}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := published(t, p, func(s string) string { return s }, 1<<20)
	if strings.Contains(text, "s3cr") {
		t.Errorf("a secret is shown: %s", text)
	}
	if n := strings.Count(text, `"open"`); n != 3*len(names) {
		t.Errorf("%d of %d values that are no secrets are shown", n, 3*len(names))
	}
}

// TestPublic_LeavesWhatIsJudged: a secret that is called like a type or an action hides neither.
func TestPublic_LeavesWhatIsJudged(t *testing.T) {
	p, err := Decode([]byte(`{"format_version":"1.2","resource_changes":[{"address":"aws_user.delete[\"pin-98765\"]","type":"aws_user","name":"delete",
		"index":"pin-98765","provider_name":"aws","change":{"actions":["delete"],"before":{"pin":98765,"key":"pin-98765","mine":"9876","pin-98765":1},
		"before_sensitive":{"mine":true},"after":null}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, document := published(t, p, hiding("delete", "aws_user", "98765"), 1<<20)
	want := map[string]any{
		"address": `***.***["pin-***"]`, "type": "aws_user", "name": "delete", "index": "pin-***", "provider_name": "aws",
		"change": map[string]any{
			"actions": []any{"delete"}, "before_sensitive": map[string]any{"mine": true},
			"before": map[string]any{"pin": "***", "key": "pin-***", "mine": "(sensitive value)", "pin-***": 1.0},
		},
	}
	if diff := cmp.Diff(want, document["resource_changes"].([]any)[0]); diff != "" {
		t.Error(diff)
	}
}

func large(values, resources int) *tfjson.Plan {
	p := &tfjson.Plan{FormatVersion: "1.2", PlannedValues: &tfjson.StateValues{RootModule: &tfjson.StateModule{}}}
	for i := range resources {
		after := map[string]any{}
		for k := range values {
			after[fmt.Sprint(k)] = fmt.Sprintf("%x", Redact(fmt.Sprint(i*k*7919), nil)) + strings.Repeat("v", 20)
		}
		address := fmt.Sprintf("a.b[%d]", i)
		p.ResourceChanges = append(p.ResourceChanges, &tfjson.ResourceChange{Address: address, Type: "a",
			Change: &tfjson.Change{Actions: tfjson.Actions{tfjson.ActionCreate}, After: after}})
		p.PlannedValues.RootModule.Resources = append(p.PlannedValues.RootModule.Resources, &tfjson.StateResource{Address: address, AttributeValues: after})
	}
	return p
}

func TestPublic_SaysWhatALargePlanLacks(t *testing.T) {
	same := func(s string) string { return s }
	whole, err := Public(large(20, 200), same, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit       int
		says        string
		has, hasNot []string
	}{
		{len(whole), "", []string{"planned_values", "resource_changes"}, []string{truncated}},
		{len(whole) - 1, "planned_values", []string{"resource_changes"}, []string{"planned_values"}},
		{4096, "all values are left out", []string{"resource_changes"}, []string{"planned_values"}},
		{200, "its 200 changes are left out", nil, []string{"planned_values", "resource_changes"}},
	} {
		text, document := published(t, large(20, 200), same, c.limit)
		says, _ := document[truncated].(string)
		if !strings.Contains(says, c.says) {
			t.Errorf("%d: %s", c.limit, says)
		}
		for _, key := range c.has {
			if document[key] == nil {
				t.Errorf("%d: no %s", c.limit, key)
			}
		}
		for _, key := range c.hasNot {
			if document[key] != nil {
				t.Errorf("%d: %s", c.limit, key)
			}
		}
		if c.limit == 4096 && (strings.Contains(text, `"after"`) || strings.Count(text, `"create"`) != 200) {
			t.Errorf("actions only: %.300s", text)
		}
	}
	if _, err := Public(large(1, 1), same, 10); err == nil {
		t.Error("nothing fits in ten bytes")
	}
}

func TestPublic_IsBoundedBeforeItIsPacked(t *testing.T) {
	p := large(1, 1)
	p.ResourceChanges[0].Change.After = map[string]any{"x": strings.Repeat("x", maxPublic)}
	_, document := published(t, p, func(s string) string { return s }, 1<<20)
	if says, _ := document[truncated].(string); !strings.Contains(says, "all values") {
		t.Errorf("%v", document)
	}
}

func TestUnpack_DoesNotTrustWhoHandsItOver(t *testing.T) {
	zip := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(data)
		w.Close()
		return b.Bytes()
	}
	for reason, packed := range map[string][]byte{
		"nothing": nil, "no archive": []byte("{}"), "cut off": zip([]byte(`{"a":1}`))[:15], "no JSON": zip([]byte(`{"a":`)),
		"a bomb": zip(make([]byte, maxPublic+1)),
	} {
		if data, err := Unpack(packed); err == nil {
			t.Errorf("%s: %d bytes", reason, len(data))
		}
	}
}
