package runner

import (
	"errors"
	"fmt"
)

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
