package runner

import (
	"fmt"
	"path/filepath"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
	"github.com/terraform-controller/terraform-controller/internal/inputs"
)

const (
	moduleTemplate = "main.tf.tpl"
	moduleFile     = "main.tf"
)

// renderTemplate makes main.tf of main.tf.tpl, where the module has that. Its apply takes the one that travels with the plan.
func (w *workdir) renderTemplate(variables []byte) error {
	content, err := readOptional(filepath.Join(w.module, moduleTemplate))
	if err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, fmt.Errorf("read %s: %w", moduleTemplate, err))
	}
	if content == nil {
		return nil
	}
	rendered, err := inputs.RenderModule(moduleTemplate, content, variables, w.secrets.text)
	if err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, err)
	}
	if err := w.writeModuleFile(moduleFile, rendered); err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, err)
	}
	w.rendered = filepath.Join(w.module, moduleFile)
	return nil
}
