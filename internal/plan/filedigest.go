package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/terraform-controller/terraform-controller/api/v1alpha2"
)

// maxApproving bounds the YAML files in which a plan can be approved, in bytes.
const maxApproving = 1 << 20

// FileDigest is hex SHA-256 of a file's content. Of a file in YAML, up to 1 MiB, what approves a plan of a Terraform object is left out: who keeps
// that beside the module approves there.
func FileDigest(name string, content io.Reader) (string, error) {
	sum := sha256.New()
	if ext := path.Ext(name); ext == ".yaml" || ext == ".yml" {
		text, err := io.ReadAll(io.LimitReader(content, maxApproving))
		if err != nil {
			return "", err
		}
		if len(text) < maxApproving {
			text = withoutApproval(text)
		}
		content = io.MultiReader(bytes.NewReader(text), content)
	}
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

var (
	// approvalLine says nothing but which plan is approved, or that none is. An id has nothing in it that a shell or YAML would understand.
	approvalLine = regexp.MustCompile(`^( *)["']?(?:approvePlan|` + regexp.QuoteMeta(v1alpha2.ApprovePlanAnnotation) + `)["']?:[ \t]*(?:` +
		asYAML(`plan-[\p{L}\p{N}._/+@-]*[0-9a-f]{8,}`) + `|` + asYAML(`manual`) + `|""|''|)[ \t\r]*\n?$`)
	// oddBreak ends a line for YAML, and not for us.
	oddBreak = regexp.MustCompile(`\r[^\n]|\r\z|[\x{85}\x{2028}\x{2029}]`)
)

// asYAML is an expression for a text as it is, or in quotes.
func asYAML(text string) string { return `(?:` + text + `|"` + text + `"|'` + text + `')` }

// gone marks the key of an entry whose line is left out.
const gone yaml.Kind = 0

// withoutApproval leaves out lines that hold spec.approvePlan or the annotation of a Terraform object, as a parser finds them: a line that looks
// the same may be one of a script. Where what is left says something else than the same documents without these fields, all of it stays.
func withoutApproval(text []byte) []byte {
	documents, err := documentsOf(text)
	if err != nil || oddBreak.Match(text) {
		return text
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for _, document := range documents {
		for _, key := range approvalsIn(document) {
			if key.Line > len(lines) {
				continue
			}
			if found := approvalLine.FindSubmatch(lines[key.Line-1]); found != nil && len(found[1]) == key.Column-1 {
				lines[key.Line-1] = nil
				key.Kind = gone
			}
		}
	}
	left := bytes.Join(lines, nil)
	if rest, err := documentsOf(left); err != nil || !slices.EqualFunc(documents, rest, sameNode) {
		return text
	}
	return left
}

func documentsOf(text []byte) ([]*yaml.Node, error) {
	var documents []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		document := &yaml.Node{}
		err := decoder.Decode(document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

// sameNode says that two parts of documents say the same, but for entries that are gone.
func sameNode(a, b *yaml.Node) bool {
	first, second := entriesOfNode(a), entriesOfNode(b)
	if len(first) == 0 && len(second) == 0 && isNothing(a) && isNothing(b) {
		return true
	}
	return a.Kind == b.Kind && a.Tag == b.Tag && a.Value == b.Value && a.Anchor == b.Anchor && slices.EqualFunc(first, second, sameNode)
}

func entriesOfNode(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n.Content
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind != gone {
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
	}
	return kept
}

// isNothing: a mapping whose only entry goes is null.
func isNothing(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// approvalsIn are the keys of what approves a plan in a document.
func approvalsIn(document *yaml.Node) []*yaml.Node {
	_, version := entryIn(document, "apiVersion")
	_, kind := entryIn(document, "kind")
	if version == nil || kind == nil || !strings.HasPrefix(version.Value, v1alpha2.GroupVersion.Group+"/") || kind.Value != v1alpha2.TerraformKind {
		return nil
	}
	field, _ := entryIn(document, "spec", "approvePlan")
	annotation, _ := entryIn(document, "metadata", "annotations", v1alpha2.ApprovePlanAnnotation)
	var found []*yaml.Node
	for _, key := range []*yaml.Node{field, annotation} {
		if key != nil {
			found = append(found, key)
		}
	}
	return found
}

// entryIn follows keys through the mappings of a document; nil where one of them is not there.
func entryIn(document *yaml.Node, keys ...string) (key, value *yaml.Node) {
	value = document
	if value.Kind == yaml.DocumentNode && len(value.Content) > 0 {
		value = value.Content[0]
	}
	for _, name := range keys {
		if key, value = child(value, name); key == nil {
			return nil, nil
		}
	}
	return key, value
}

func child(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}
