package plan

import (
	"encoding/json"
	"maps"
	"slices"

	tfjson "github.com/hashicorp/terraform-json"
)

// minMarked is the shortest value, in bytes, that is taken for a secret everywhere because some resource marks it.
// Providers mark whole maps, and a "true" or "default" of one must not blot out the rest of the plan. In the resource
// itself, and for variables, minSecret counts.
const minMarked = 8

// Secrets are the texts and numbers that the plan holds as sensitive, sorted, each once: of at least 4 bytes from
// variables that the root module declares sensitive, of at least 8 from what resource changes and drift mark. They are
// what Redact needs for the diagnostics of a run. Sensitive outputs add none: what is secret in them comes from these,
// and the rest of them is often a whole object that the plan has to name.
func Secrets(p *tfjson.Plan) []string {
	if p == nil {
		return nil
	}
	fromVariables, marked := secretSet{}, secretSet{}
	if p.Config != nil && p.Config.RootModule != nil {
		for name, v := range p.Config.RootModule.Variables {
			if v != nil && v.Sensitive && p.Variables[name] != nil {
				fromVariables.add(p.Variables[name].Value, true)
			}
		}
	}
	for _, rc := range slices.Concat(p.ResourceChanges, p.ResourceDrift) {
		if rc != nil {
			marked.addChange(rc.Change)
		}
	}
	for text := range marked {
		if len(text) >= minMarked {
			fromVariables[text] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(fromVariables))
}

type secretSet map[string]struct{}

func (s secretSet) addChange(c *tfjson.Change) {
	if c == nil {
		return
	}
	s.add(c.Before, c.BeforeSensitive)
	s.add(c.After, c.AfterSensitive)
}

// add collects the marked parts of a value. Truth values are no secrets: every text is full of them.
func (s secretSet) add(value, marks any) {
	if hides(marks, value) {
		marks = true
	}
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			s.add(item, under(marks, key))
		}
	case []any:
		for i, item := range v {
			s.add(item, at(marks, i))
		}
	case string:
		s.addText(v, marks)
	case json.Number:
		s.addText(v.String(), marks)
	}
}

func (s secretSet) addText(text string, marks any) {
	if marks == true && len(text) >= minSecret {
		s[text] = struct{}{}
	}
}
