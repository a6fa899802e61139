package inputs

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// The places that a file can be mapped to.
const (
	LocationHome      = "home"
	LocationWorkspace = "workspace"
)

// Provided is what a run is given besides its variables. As JSON it is kept for a destroy.
type Provided struct {
	// Files of spec.fileMappings, in their order.
	Files []File `json:"files,omitempty"`
	// CLIConfig is that of spec.cliConfigSecretRef; nil without one.
	CLIConfig []byte `json:"cliConfig,omitempty"`
	// Backend are the settings of spec.backendConfigsFrom.
	Backend []Setting `json:"backend,omitempty"`
	// Credentials are those of spec.moduleCredentials.
	Credentials []Credential `json:"credentials,omitempty"`
	// CloudToken is that of spec.cloud.tokenSecretRef; "" without one.
	CloudToken string `json:"cloudToken,omitempty"`
}

// File is a file that a run finds.
type File struct {
	// Location is LocationHome or LocationWorkspace.
	Location string `json:"location"`
	// Path leads nowhere outside of the location.
	Path string `json:"path"`
	// Content of the file.
	Content []byte `json:"content"`
}

// Secrets are the values of it that come from Secrets and are text.
func (p *Provided) Secrets() []string {
	var list []string
	for i := range p.Files {
		list = appendText(list, p.Files[i].Content)
	}
	for _, setting := range p.Backend {
		if setting.Secret {
			list = appendText(list, []byte(setting.Value))
		}
	}
	for i := range p.Credentials {
		list = append(list, p.Credentials[i].secrets()...)
	}
	list = append(list, tokens(p.CLIConfig)...)
	list = appendText(list, []byte(p.CloudToken))
	list = appendText(list, p.CLIConfig)
	return list
}

func appendText(list []string, content []byte) []string {
	if len(content) == 0 || !utf8.Valid(content) {
		return list
	}
	return append(list, string(content))
}

// Reader reads what a run is provided with. It reads each object once. Every error is an *Error.
type Reader struct{ objects objects }

// NewReader reads objects of the namespace with the rights of c.
func NewReader(c client.Reader, namespace string) *Reader {
	return &Reader{objects{reader: c, namespace: namespace, known: map[string]*object{}}}
}

// Read are the objects that were looked at.
func (r *Reader) Read() []v1alpha2.InputReference { return r.objects.order }

// Files are those of spec.fileMappings.
func (r *Reader) Files(ctx context.Context, mappings []v1alpha2.FileMapping) ([]File, error) {
	var files []File
	for i := range mappings {
		field := fmt.Sprintf("spec.fileMappings[%d]", i)
		file, err := r.file(ctx, field, &mappings[i])
		if err != nil {
			return nil, err
		}
		files = append(files, *file)
	}
	return files, nil
}

func (r *Reader) file(ctx context.Context, field string, from *v1alpha2.FileMapping) (*File, error) {
	if from.Location != LocationHome && from.Location != LocationWorkspace {
		return nil, fail(field+".location", "%q is no place for a file; use %s or %s", from.Location, LocationHome, LocationWorkspace)
	}
	path := strings.TrimLeft(from.Path, "/")
	if path = filepath.Clean(path); path == "." || !filepath.IsLocal(path) || strings.HasSuffix(from.Path, "/") {
		return nil, fail(field+".path", "%q does not name a file below %s", from.Path, from.Location)
	}
	o, err := r.secret(ctx, field+".secretRef", r.objects.namespace, from.SecretRef.Name)
	if err != nil {
		return nil, err
	}
	content, ok := o.data[from.SecretRef.Key]
	if !ok {
		return nil, fail(field+".secretRef.key", "%s has no key %q; %s", o, from.SecretRef.Key, o.keys())
	}
	return &File{Location: from.Location, Path: path, Content: content}, nil
}

// secret is one that has to be there.
func (r *Reader) secret(ctx context.Context, field, namespace, name string) (*object, error) {
	if name == "" {
		return nil, fail(field+".name", "it is empty; name a Secret")
	}
	objects := r.objects.in(namespace)
	o, err := objects.get(ctx, kindSecret, name)
	r.objects.order = objects.order
	if err != nil {
		return nil, objects.explain(field+".name", kindSecret, name, err)
	}
	if !o.found {
		return nil, fail(field+".name", "Secret %q does not exist; create it", namespace+"/"+name)
	}
	return o, nil
}
