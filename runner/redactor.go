package runner

import (
	"slices"
	"sync"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/plan"
)

// redactor hides what has become known as secret so far: inputs from Secrets, sensitive values of plan and outputs.
type redactor struct {
	mu      sync.Mutex
	secrets []string
	hide    func(string) string // of the secrets; nil when it has to be made
}

func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if !slices.Contains(r.secrets, s) {
			r.secrets, r.hide = append(r.secrets, s), nil
		}
	}
}

func (r *redactor) text(s string) string {
	r.mu.Lock()
	if r.hide == nil {
		r.hide = plan.Redactor(r.secrets)
	}
	hide := r.hide
	r.mu.Unlock()
	return hide(s)
}

func (r *redactor) diagnostics(list []v1alpha2.Diagnostic) []v1alpha2.Diagnostic {
	hidden := slices.Clone(list)
	for i := range hidden {
		hidden[i].Summary = r.text(hidden[i].Summary)
		hidden[i].Detail = r.text(hidden[i].Detail)
		hidden[i].Address = r.text(hidden[i].Address)
	}
	return hidden
}
