package inputs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"
	"github.com/hashicorp/hcl/v2/hclwrite"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

const (
	// maxRendered limits what one template comes to, in bytes.
	maxRendered = 1 << 20

	showFunction = "_show"
)

// noValueError is a place of a template that shows nothing.
type noValueError struct{ where, text string }

func (e *noValueError) Error() string { return e.where + ": " + e.text + " has no value" }

// text is a template that shows values as they are: numbers with all digits, lists and maps as JSON, and never nothing.
type text struct {
	parsed *template.Template
	// last is what was shown last.
	last any
}

// parseText makes a text. Functions are sprig's without those that read the environment, and toHcl.
func parseText(name, left, right, content string, options ...string) (*text, error) {
	t := &text{}
	parsed, err := template.New(name).Delims(left, right).Option(options...).Funcs(t.functions()).Parse(content)
	if err != nil {
		return nil, err
	}
	t.parsed = parsed
	for _, each := range parsed.Templates() {
		if each.Tree != nil {
			showAll(each.Tree, each.Root)
		}
	}
	return t, nil
}

func (t *text) functions() template.FuncMap {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toHcl"] = toHCL
	functions[showFunction] = t.show
	return functions
}

// render executes the template.
func (t *text) render(data any) (string, error) {
	out := &bounded{}
	if err := t.parsed.Execute(out, data); err != nil {
		if none, ok := errors.AsType[*noValueError](err); ok {
			return "", none
		}
		return "", err
	}
	return out.String(), nil
}

// single says that the whole template is one value, and nothing around it.
func (t *text) single() bool {
	nodes := t.parsed.Root.Nodes
	if len(nodes) != 1 {
		return false
	}
	action, ok := nodes[0].(*parse.ActionNode)
	return ok && len(action.Pipe.Decl) == 0
}

// show is the last function of each action.
func (t *text) show(where, expression string, v any) (string, error) {
	t.last = v
	switch v := v.(type) {
	case nil:
		return "", &noValueError{where, expression}
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []byte:
		return string(v), nil
	}
	if structured(v) {
		encoded, err := encode(v)
		return string(encoded), err
	}
	return fmt.Sprint(v), nil
}

// structured: lists and maps.
func structured(v any) bool {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return true
	default:
		return false
	}
}

// showAll lets each action below the node end in show.
func showAll(tree *parse.Tree, node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			showAll(tree, child)
		}
	case *parse.IfNode:
		showBranches(tree, &n.BranchNode)
	case *parse.RangeNode:
		showBranches(tree, &n.BranchNode)
	case *parse.WithNode:
		showBranches(tree, &n.BranchNode)
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 {
			showLast(tree, n)
		}
	}
}

func showBranches(tree *parse.Tree, n *parse.BranchNode) {
	showAll(tree, n.List)
	showAll(tree, n.ElseList)
}

func showLast(tree *parse.Tree, n *parse.ActionNode) {
	where, _ := tree.ErrorContext(n)
	quoted := func(text string) parse.Node {
		return &parse.StringNode{NodeType: parse.NodeString, Pos: n.Pos, Quoted: strconv.Quote(text), Text: text}
	}
	name := parse.NewIdentifier(showFunction).SetPos(n.Pos).SetTree(tree)
	n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
		NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{name, quoted(where), quoted(n.Pipe.String())},
	})
}

// toHCL writes a value as an HCL expression in which nothing is interpolated.
func toHCL(v any) (string, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	kind, err := ctyjson.ImpliedType(encoded)
	if err != nil {
		return "", err
	}
	value, err := ctyjson.Unmarshal(encoded, kind)
	if err != nil {
		return "", err
	}
	return string(hclwrite.TokensForValue(value).Bytes()), nil
}

// decodeExact decodes JSON so that numbers keep all their digits: int64 where that holds them, else json.Number.
func decodeExact(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("something follows the value")
	}
	return exact(v), nil
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil && strconv.FormatInt(n, 10) == v.String() {
			return n
		}
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = exact(v[key])
		}
	}
	return v
}

// bounded fails when more is written than maxRendered.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("it comes to more than %d bytes", maxRendered)
	}
	return b.Buffer.Write(p)
}
