package plan

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// Scope is what a plan was made of and for, besides what the engine tells of it.
type Scope struct {
	// Spec is the one that the plan was ordered with.
	Spec *v1alpha2.TerraformSpec
	// Module is the module's folder in the artifact.
	Module string
	// Sources are the modules' files that are in the plan file, see Sources.
	Sources map[string]string
	// Files are digests of the artifact's files by their slash-separated path from its root, see FileDigest.
	Files map[string]string
}

// Part is one of the things that the changes of a plan rest on.
type Part struct {
	// Name says what, to people.
	Name string
	// Digest stands for it: 64 hex digits, see FromJSON.
	Digest string
}

// groundOf is what no change shows and what decides what is run all the same: what a provisioner does, as what a provider is set up. Expressions in the
// engine's form of the configuration are references only, so that values and sources count as well.
func groundOf(p *tfjson.Plan, scope Scope, key []byte) ([]Part, error) {
	config, configErr := json.Marshal(p.Config)
	spec, specErr := json.Marshal(Shaping(scope.Spec))
	if err := errors.Join(configErr, specErr); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	var ground []Part
	for _, part := range []struct {
		name   string
		fields []field
	}{
		{"the configuration", []field{{name: "configuration", value: string(config)}, {name: "sources", value: lines(scope.Sources)}}},
		{"the values of variables", []field{{name: "variables", value: Variables(p)}}},
		{"the files of the module", []field{{name: "files", value: lines(filesOf(p.Config, scope))}}},
		{"the spec", []field{{name: "spec", value: string(spec)}}},
	} {
		sum, err := digest(part.fields, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		ground = append(ground, Part{Name: part.name, Digest: sum})
	}
	return ground, nil
}

// Variables are the values of the root module's variables in a plan, but for those without value.
func Variables(p *tfjson.Plan) map[string]any {
	values := map[string]any{}
	for name, v := range p.Variables {
		if v != nil && v.Value != nil {
			values[name] = v.Value
		}
	}
	return values
}

// lines tells names apart that are no UTF-8, too.
func lines(digests map[string]string) map[string]any {
	values := map[string]any{}
	for name, sum := range digests {
		values[strconv.Quote(name)] = sum
	}
	return values
}

// filesOf are the files in the folders of the root module and of those that it calls by path, and below, and those of spec.tfVarsFiles.
func filesOf(config *tfjson.Config, scope Scope) map[string]string {
	root := path.Clean("/" + scope.Module)
	folders := []string{root}
	if config != nil {
		folders = append(folders, localModules(config.RootModule, root)...)
	}
	for i := range folders {
		folders[i] = strings.TrimSuffix(folders[i], "/") + "/"
	}
	slices.Sort(folders)
	folders = slices.Compact(folders)
	found := map[string]string{}
	for name, sum := range scope.Files {
		if at := "/" + name; slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(at, folder) }) {
			found[name] = sum
		}
	}
	for _, name := range scope.Spec.TfVarsFiles {
		name = strings.TrimPrefix(path.Clean("/"+name), "/")
		found[name] = scope.Files[name]
	}
	return found
}

// localModules are the folders of modules that are called by path. The engines take backslashes for slashes on every system; an address that begins at
// the root of the file system can lead anywhere in the artifact.
func localModules(m *tfjson.ConfigModule, at string) []string {
	if m == nil {
		return nil
	}
	var folders []string
	for _, call := range m.ModuleCalls {
		if call == nil {
			continue
		}
		source := strings.ReplaceAll(call.Source, `\`, "/")
		switch {
		case strings.HasPrefix(source, "./"), strings.HasPrefix(source, "../"):
			folder := within(at, source)
			folders = append(append(folders, folder), localModules(call.Module, folder)...)
		case strings.HasPrefix(source, "/"), strings.Contains(source, "file:"):
			folders = append(folders, "/")
		}
	}
	return folders
}

// within is where a path leads from a folder of the artifact, as a path from the artifact's root; the root itself for one that leads out of it, and
// perhaps in again.
func within(folder, source string) string {
	steps := path.Join(".", strings.TrimPrefix(folder, "/"), source)
	if steps == ".." || strings.HasPrefix(steps, "../") {
		return "/"
	}
	return path.Join("/", steps)
}

// sourcesFolder is where the engines put the modules' files into a plan file, each as m-<key of the module>/<name>.
const sourcesFolder = "tfconfig/"

// Sources are the files of all modules, wherever they came from, as an apply of the plan file takes them: hex SHA-256 by their
// names in the file. None for a file that is encrypted.
func Sources(file []byte) (map[string]string, error) {
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if errors.Is(err, zip.ErrFormat) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the plan file: %w", err)
	}
	found := map[string]string{}
	for _, entry := range archive.File {
		if !strings.HasPrefix(entry.Name, sourcesFolder) {
			continue
		}
		if _, twice := found[entry.Name]; twice {
			return nil, fmt.Errorf("read the plan file: it holds %s twice", entry.Name)
		}
		if found[entry.Name], err = digestOf(entry); err != nil {
			return nil, fmt.Errorf("read the plan file: %s: %w", entry.Name, err)
		}
	}
	return found, nil
}

// SourceName is the name that a file of the root module has in Sources.
func SourceName(file string) string { return sourcesFolder + "m-/" + file }

func digestOf(entry *zip.File) (string, error) {
	content, err := entry.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }()
	return FileDigest("", content)
}
