package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tfjson "github.com/hashicorp/terraform-json"
)

// onePlan is a plan with one change of each kind, as JSON that the tests alter.
const onePlan = `{"format_version":"1.2","resource_changes":[{
	"address":"a.b","deposed":"0a","previous_address":"a.old",
	"change":{"actions":["delete","create"],
		"before":{"id":"1","pw":"old-secret"},"before_sensitive":{"pw":true},
		"after":{"n":9007199254740993,"list":[1,"x",null],"pw":"new-secret"},"after_sensitive":{"pw":true},
		"after_unknown":{"id":true},"replace_paths":[["n"],["list",0]],"importing":{"id":"i"}}}],
	"output_changes":{"o":{"actions":["update"],"before":"1","after":"2","after_sensitive":false}},
	"configuration":{"provider_config":{"a":{"name":"a","full_name":"example.com/a/a","expressions":{"region":{"constant_value":"north"}}}},
		"root_module":{"resources":[{"address":"a.b","mode":"managed","type":"a","name":"b","provider_config_key":"a",
			"provisioners":[{"type":"local-exec","expressions":{"command":{"constant_value":"echo benign"}}}]}]}},
	"action_invocations":[{"address":"action.x.y","config_values":{"k":"v"},
		"lifecycle_action_trigger":{"triggering_resource_address":"a.b","action_trigger_event":"AfterCreate"}}]}`

func contentIn(t *testing.T, text string, key []byte) string {
	t.Helper()
	p, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromJSON(p, key, here)
	if err != nil {
		t.Fatal(err)
	}
	return c.Content()
}

func TestDigest_ChangesWithWhatIsShown(t *testing.T) {
	cases := map[string]struct{ reason, old, now string }{
		"address":           {"Another object.", `"address":"a.b"`, `"address":"a.c"`},
		"deposed key":       {"Another object of the same address.", `"deposed":"0a"`, `"deposed":"0b"`},
		"previous address":  {"Another object is moved.", `"a.old"`, `"a.older"`},
		"action":            {"An update is not a replacement.", `["delete","create"]`, `["update"]`},
		"order":             {"Creating first is something else.", `["delete","create"]`, `["create","delete"]`},
		"replace path":      {"The reason for the loss is part of what was agreed to.", `[["n"],["list",0]]`, `[["n"],["list",1]]`},
		"one replace path":  {"The reason for the loss is part of what was agreed to.", `[["n"],["list",0]]`, `[["n"]]`},
		"import id":         {"Another object is taken over.", `"importing":{"id":"i"}`, `"importing":{"id":"j"}`},
		"no import":         {"Nothing is taken over.", `"importing":{"id":"i"}`, `"importing":null`},
		"import identity":   {"Another object is taken over.", `"importing":{"id":"i"}`, `"importing":{"id":"i","identity":{"a":"b"}}`},
		"value":             {"Another value.", `"x"`, `"y"`},
		"number":            {"Large numbers differ in digits that a float64 drops.", `9007199254740993`, `9007199254740992`},
		"type":              {"A number is not a text.", `[1,"x",null]`, `["1","x",null]`},
		"null":              {"Null is not the text of that name.", `[1,"x",null]`, `[1,"x","null"]`},
		"length":            {"A list with one more.", `[1,"x",null]`, `[1,"x",null,null]`},
		"key":               {"An object with another key.", `"list":[1`, `"liszt":[1`},
		"provisioner":       {"No change shows what it runs.", `echo benign`, `echo evil`},
		"provider":          {"No change shows what it is made with.", `"north"`, `"south"`},
		"sensitive value":   {"Sensitive values count as well.", `"new-secret"`, `"newer-secret"`},
		"sensitivity":       {"A secret that stops being one will be shown from then on.", `"after_sensitive":{"pw":true}`, `"after_sensitive":{}`},
		"unknown":           {"What nobody knows yet may become anything.", `"after_unknown":{"id":true}`, `"after_unknown":{"id":true,"m":true}`},
		"before":            {"A replacement destroys what was there: that object, no other.", `"before":{"id":"1"`, `"before":{"id":"2"`},
		"sensitive before":  {"A replacement destroys what was there.", `"old-secret"`, `"older-secret"`},
		"hidden before":     {"It would be shown while it goes.", `"before_sensitive":{"pw":true}`, `"before_sensitive":{}`},
		"output name":       {"Another output.", `{"o":`, `{"p":`},
		"output value":      {"Another value.", `"after":"2"`, `"after":"3"`},
		"output hidden":     {"Hiding an output is a change.", `"after_sensitive":false`, `"after_sensitive":true`},
		"output unknown":    {"What nobody knows yet may become anything.", `"after":"2"`, `"after_unknown":true`},
		"output action":     {"Removing is not changing.", `["update"]`, `["delete"]`},
		"invocation":        {"Another action.", `action.x.y`, `action.x.z`},
		"invocation config": {"With other arguments.", `{"k":"v"}`, `{"k":"w"}`},
		"invocation moment": {"At another time.", `AfterCreate`, `BeforeCreate`},
	}
	base := contentIn(t, onePlan, testKey)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			altered := strings.Replace(onePlan, tc.old, tc.now, 1)
			if altered == onePlan {
				t.Fatalf("%s is not in the plan", tc.old)
			}
			if contentIn(t, altered, testKey) == base {
				t.Errorf("%s The digest stayed the same.", tc.reason)
			}
		})
	}
}

func TestDigest_StaysWithWhatIsTheSame(t *testing.T) {
	cases := map[string]struct{ reason, old, now string }{
		"order of replace paths": {"It comes from a set.", `[["n"],["list",0]]`, `[["list",0],["n"]]`},
		"marks that mark none":   {"Engines differ in writing them.", `"after_unknown":{"id":true}`, `"after_unknown":{"id":true,"n":false,"list":[false,{}]}`},
		"action reason":          {"It is for display.", `"address":"a.b"`, `"action_reason":"replace_because_tainted","address":"a.b"`},
		"before of an output":    {"An update is judged by where it ends.", `"before":"1"`, `"before":"0"`},
		"formatting":             {"Blanks are no content.", `,`, " ,\n\t"},
		"escapes":                {"An escaped character is the same character.", `"x"`, `"\u0078"`},
	}
	base := contentIn(t, onePlan, testKey)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			altered := strings.Replace(onePlan, tc.old, tc.now, 1)
			if altered == onePlan {
				t.Fatalf("%s is not in the plan", tc.old)
			}
			if contentIn(t, altered, testKey) != base {
				t.Errorf("%s The digest changed.", tc.reason)
			}
		})
	}
	update := strings.Replace(onePlan, `["delete","create"]`, `["update"]`, 1)
	drifted := strings.Replace(update, `"before":{"id":"1"`, `"before":{"id":"2"`, 1)
	if contentIn(t, update, testKey) != contentIn(t, drifted, testKey) {
		t.Error("an update is judged by where it ends, but another start changed its digest")
	}
}

func TestDigest_IsKeyed(t *testing.T) {
	if contentIn(t, onePlan, testKey) == contentIn(t, onePlan, []byte("another key")) {
		t.Error("the key makes no difference, so values can be tried against a digest")
	}
	p, err := Decode([]byte(onePlan))
	if err != nil {
		t.Fatal(err)
	}
	written := fmt.Sprintf("%+v", changesOf(t, p))
	if strings.Contains(written, "secret") {
		t.Errorf("a secret is kept: %s", written)
	}
}

func TestDigest_OfRealPlans(t *testing.T) {
	for _, name := range planNames {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "plans", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			c := changesOf(t, readPlan(t, name))
			if len(c.Digests()) != len(c.Entries) {
				t.Errorf("%d digests for %d changes", len(c.Digests()), len(c.Entries))
			}
			if contentIn(t, reversed(t, data), testKey) != c.Content() {
				t.Error("the order of keys makes a difference")
			}
			checkEveryLeafCounts(t, name)
		})
	}
}

// checkEveryLeafCounts alters one value after another, and wants another digest each time.
func checkEveryLeafCounts(t *testing.T, name string) {
	t.Helper()
	p := readPlan(t, name)
	base := changesOf(t, p).Content()
	for _, rc := range p.ResourceChanges {
		if !applies(rc) {
			continue
		}
		for _, value := range []any{rc.Change.After, beforeThatCounts(rc)} {
			eachLeaf(value, func(path string) {
				if changesOf(t, p).Content() == base {
					t.Errorf("%s %s makes no difference", rc.Address, path)
				}
			})
		}
	}
	if changesOf(t, p).Content() != base {
		t.Error("the test left the plan altered")
	}
}

func beforeThatCounts(rc *tfjson.ResourceChange) any {
	if !verbOf(rc.Change.Actions).endsObject() {
		return nil
	}
	return rc.Change.Before
}

// eachLeaf calls back while one leaf of an object or list is another one, for each in turn.
func eachLeaf(value any, while func(path string)) {
	alter := func(path string, item any, set func(any)) {
		switch item.(type) {
		case map[string]any, []any:
			eachLeaf(item, func(rest string) { while(path + rest) })
		default:
			set("something else")
			while(path)
			set(item)
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			alter("."+key, item, func(x any) { v[key] = x })
		}
	case []any:
		for i, item := range v {
			alter(fmt.Sprintf("[%d]", i), item, func(x any) { v[i] = x })
		}
	}
}

// reversed is the same JSON with the keys of every object in reverse order.
func reversed(t *testing.T, data []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return reversedValue(t, value)
}

func reversedValue(t *testing.T, value any) string {
	t.Helper()
	var items []string
	switch v := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		slices.Reverse(keys)
		for _, key := range keys {
			items = append(items, fmt.Sprintf("%s : %s", reversedValue(t, key), reversedValue(t, v[key])))
		}
		return "{" + strings.Join(items, " ,\n") + "}"
	case []any:
		for _, item := range v {
			items = append(items, reversedValue(t, item))
		}
		return "[" + strings.Join(items, " ,\n") + "]"
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestContent(t *testing.T) {
	a := &Changes{Entries: []Change{{Digest: "1"}, {Digest: "2"}}}
	b := &Changes{Entries: []Change{{Digest: "2"}, {Digest: "1"}, {Digest: "1"}}}
	if a.Content() != b.Content() {
		t.Error("content depends on order or repetition")
	}
	if diff := cmp.Diff([]string{"1", "2"}, b.Digests()); diff != "" {
		t.Error(diff)
	}
	if (&Changes{Entries: a.Entries, Ground: []Part{{"the spec", "g"}}}).Content() == a.Content() {
		t.Error("content does not tell what the changes rest on")
	}
	if len(a.Content()) != 64 || a.Content() == (&Changes{}).Content() {
		t.Errorf("content %q", a.Content())
	}
}
