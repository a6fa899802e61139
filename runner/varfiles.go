package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// lastVariables begins the names of files of variables that override all others: the engine reads *.auto.tfvars in the
// order of their names, and "~" comes after letters and digits.
const lastVariables = "~planned"

// varFiles are the files of spec.tfVarsFiles. Links in the artifact lead nowhere outside of it. A keepsake has the values
// of a file that it has not kept.
func (w *workdir) varFiles() ([]string, error) {
	var found []string
	for i, name := range w.spec.TfVarsFiles {
		path, err := securejoin.SecureJoin(w.root, name)
		if err != nil {
			return nil, fmt.Errorf("spec.tfVarsFiles[%d]: %q: %w", i, name, err)
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			found = append(found, path)
			continue
		}
		if w.kept != nil {
			w.log.Info("a file of variables was not kept", "file", name)
			continue
		}
		s := w.run.Spec.Source
		return nil, fmt.Errorf("spec.tfVarsFiles[%d]: %q is no file in artifact %s of %s/%s; paths begin at the artifact's root, not at spec.path",
			i, name, s.Revision, s.Kind, s.Name)
	}
	return found, nil
}

// overrideVariables gives the values that are in the plan the last word at its apply, as no file can be named to an apply:
// another *.auto.tfvars would override generated.auto.tfvars.json, and the engine refuses values that differ from the
// plan's. Before them come the files of the spec, for ephemeral variables, which no plan holds.
func (w *workdir) overrideVariables(planned map[string]any) error {
	names, err := w.varFiles()
	if err != nil || len(names) == 0 {
		return err
	}
	for i, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read a file of variables: %w", err)
		}
		if err := w.writeModuleFile(lastVariablesName(i, name), content); err != nil {
			return err
		}
	}
	file, err := json.Marshal(planned)
	if err != nil {
		return fmt.Errorf("encode the plan's variables: %w", err)
	}
	return w.writeModuleFile(lastVariables+".auto.tfvars.json", file)
}

func lastVariablesName(i int, path string) string {
	suffix := ".auto.tfvars"
	if strings.HasSuffix(filepath.Base(path), ".json") {
		suffix += ".json"
	}
	return fmt.Sprintf("%s-%04d%s", lastVariables, i, suffix)
}
