package runner

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// shellName is a name of a variable that a shell can set.
var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ofProcess are variables that the runner sets for the engine before any run, or that it may need from the image.
var ofProcess = []string{"CHECKPOINT_DISABLE", "GIT_TERMINAL_PROMPT", "HOME", "TF_CLI_CONFIG_FILE"}

// environment is what runs change in the environment that the engine inherits.
type environment struct {
	get   func(name string) string
	set   func(name, value string) error
	unset func(name string) error
	// former are the values of before, by name; "" for a variable that was not there.
	former map[string]string
}

// track lets what is set from now on be undone.
func (c *Config) track() *environment {
	e := &environment{get: c.Getenv, set: c.Setenv, unset: c.Unsetenv, former: map[string]string{}}
	c.Setenv, c.environment = e.change, e
	return e
}

// change sets a variable.
func (e *environment) change(name, value string) error {
	if _, known := e.former[name]; !known {
		e.former[name] = e.get(name)
	}
	return e.set(name, value)
}

// restore undoes all changes: what one run was given, the next may not have.
func (e *environment) restore() error {
	var errs []error
	for name, value := range e.former {
		if value == "" {
			errs = append(errs, e.unset(name))
		} else {
			errs = append(errs, e.set(name, value))
		}
	}
	e.former = map[string]string{}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take back the environment of the last run: %w", err)
	}
	return nil
}

// script sets the same in a shell, where the engine of that path comes first; "" where there is none.
func (e *environment) script(engine string) []byte {
	var b strings.Builder
	names := slices.Concat(slices.Collect(maps.Keys(e.former)), ofProcess)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if e.get(name) == "" {
			continue
		}
		if !shellName.MatchString(name) {
			fmt.Fprintf(&b, "# %s is no name that a shell can set\n", strings.ReplaceAll(name, "\n", " "))
			continue
		}
		fmt.Fprintf(&b, "export %s=%s\n", name, shellQuoted(e.get(name)))
	}
	if engine != "" {
		fmt.Fprintf(&b, "export PATH=%s:\"$PATH\"\n", shellQuoted(filepath.Dir(engine)))
	}
	return []byte(b.String())
}

// shellQuoted is a text that a shell takes as it is.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
