package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
)

// Templates are made by users, of answers that their webhooks give, and run in the controller. So their steps are counted,
// and no function makes a text that is longer than those that it is made of but by a bounded amount.
const (
	maxTemplate  = 64 << 10
	maxSteps     = 10_000
	maxText      = 256 << 10
	maxArguments = 16
	maxFormat    = 1024

	stepFunction = "_step"
)

var (
	errTooLong  = errors.New("it comes to too long a text")
	errTooMany  = errors.New("it takes too many steps")
	errTooLarge = fmt.Errorf("at most %d arguments, a format of at most %d bytes and widths of at most three digits", maxArguments, maxFormat)

	// wide finds formats that make long texts of short ones.
	wide = regexp.MustCompile(`[0-9]{4}|\*`)
)

// expression is a template of the spec.
type expression struct {
	field  string
	parsed *template.Template
}

// newExpression makes an expression of what stands in that field. It is for one answer, and as long as ctx.
func newExpression(ctx context.Context, field, text string) (*expression, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("%s is longer than %d bytes", field, maxTemplate)
	}
	parsed, err := template.New(field).Delims("${{", "}}").Funcs(functions(ctx)).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	for _, each := range parsed.Templates() {
		if each.Tree != nil && each.Root != nil {
			each.Root = counted(each.Tree, each.Root)
			count(each.Tree, each.Root)
		}
	}
	return &expression{field, parsed}, nil
}

// functions take the place of the template package's own where those make texts.
func functions(ctx context.Context) template.FuncMap {
	steps := 0
	return template.FuncMap{
		stepFunction: func() (string, error) {
			if steps++; steps > maxSteps {
				return "", errTooMany
			}
			return "", ctx.Err()
		},
		"print":    limited(fmt.Sprint),
		"println":  limited(fmt.Sprintln),
		"html":     limited(template.HTMLEscaper),
		"js":       limited(template.JSEscaper),
		"urlquery": limited(template.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			if len(format) > maxFormat || wide.MatchString(format) {
				return "", errTooLarge
			}
			return limited(func(args ...any) string { return fmt.Sprintf(format, args...) })(args...)
		},
	}
}

func limited(f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		if len(args) > maxArguments {
			return "", errTooLarge
		}
		text := f(args...)
		if len(text) > maxText {
			return "", errTooLong
		}
		return text, nil
	}
}

// count lets each turn of each range below the node be counted; a range may be over a number.
func count(tree *parse.Tree, node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			count(tree, child)
		}
	case *parse.IfNode:
		countBranches(tree, &n.BranchNode)
	case *parse.WithNode:
		countBranches(tree, &n.BranchNode)
	case *parse.RangeNode:
		countBranches(tree, &n.BranchNode)
		n.List = counted(tree, n.List)
	}
}

func countBranches(tree *parse.Tree, n *parse.BranchNode) {
	count(tree, n.List)
	count(tree, n.ElseList)
}

// counted is the list with a step before it.
func counted(tree *parse.Tree, list *parse.ListNode) *parse.ListNode {
	name := parse.NewIdentifier(stepFunction).SetPos(list.Pos).SetTree(tree)
	step := &parse.ActionNode{NodeType: parse.NodeAction, Pos: list.Pos, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: list.Pos,
		Cmds: []*parse.CommandNode{{NodeType: parse.NodeCommand, Pos: list.Pos, Args: []parse.Node{name}}},
	}}
	with := *list
	with.Nodes = append([]parse.Node{step}, list.Nodes...)
	return &with
}

// render is what the expression makes of an answer, without blanks around it.
func (e *expression) render(answer map[string]any) (string, error) {
	out := &short{}
	if err := e.parsed.Execute(out, answer); err != nil {
		return "", fmt.Errorf("%s: %w", e.field, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// agrees reads a testExpression. What it comes to is not shown: it is a part of the answer.
func (e *expression) agrees(answer map[string]any) (bool, error) {
	text, err := e.render(answer)
	switch {
	case err != nil:
		return false, err
	case text == "true", text == "yes":
		return true, nil
	case text == "false", text == "no":
		return false, nil
	}
	return false, fmt.Errorf("%s comes to none of true, yes, false, no", e.field)
}

// short fails when more is written to it than a text may have.
type short struct{ bytes.Buffer }

func (b *short) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
