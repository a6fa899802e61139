package runner

import (
	"slices"
	"sync"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// redactor hides what has become known as secret so far: inputs from Secrets, sensitive values of plan and outputs.
type redactor struct {
	mu      sync.Mutex
	secrets []string
	known   map[string]bool             // the same
	hide    func(string, ...int) string // of the secrets; nil when it has to be made
}

func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	for _, s := range secrets {
		if !r.known[s] {
			r.known[s], r.secrets, r.hide = true, append(r.secrets, s), nil
		}
	}
}

// addInputs is add for values from Secrets, which may be documents that a module takes apart.
func (r *redactor) addInputs(secrets ...string) {
	r.add(secrets...)
	r.add(inputs.Parts(secrets)...)
}

func (r *redactor) text(s string) string { return r.cutText(s) }

// cutText is text of which something was cut off before, at these offsets.
func (r *redactor) cutText(s string, cuts ...int) string {
	r.mu.Lock()
	if r.hide == nil {
		r.hide = plan.Redactor(r.secrets)
	}
	hide := r.hide
	r.mu.Unlock()
	return hide(s, cuts...)
}

// diagnostics hides what has become known since the engine said them.
func (r *redactor) diagnostics(list []v1alpha2.Diagnostic) []v1alpha2.Diagnostic {
	hidden := slices.Clone(list)
	for i, d := range list {
		hidden[i].Summary, hidden[i].Detail, hidden[i].Address = r.text(d.Summary), r.text(d.Detail), r.text(d.Address)
		hidden[i].File = r.text(d.File)
	}
	return hidden
}
