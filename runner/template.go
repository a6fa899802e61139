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
func (j *job) renderTemplate(variables []byte) error {
	content, err := readOptional(filepath.Join(j.module, moduleTemplate))
	if err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, fmt.Errorf("read %s: %w", moduleTemplate, err))
	}
	if content == nil {
		return nil
	}
	rendered, err := inputs.RenderModule(moduleTemplate, content, variables, j.secrets.text)
	if err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, err)
	}
	if err := j.writeModuleFile(moduleFile, rendered); err != nil {
		return fail(v1alpha2.ReasonTemplateGenerationFailed, err)
	}
	j.rendered = filepath.Join(j.module, moduleFile)
	return nil
}
