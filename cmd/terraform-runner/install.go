package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

const programName = "terraform-runner"

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install DIR",
		Short: "Copy this program into a folder",
		Long: "Copy this program into a folder. The init container of a runner pod does that when the pod's image is not ours: " +
			"that image then needs nothing but an engine and its tools.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			own, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			return install(own, args[0])
		},
	}
}

// install copies a program into dir. The copy appears whole or not at all.
func install(program, dir string) error {
	target := filepath.Join(dir, programName)
	source, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	defer source.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // who runs the program may be another user
		return fmt.Errorf("install %s: %w", target, err)
	}
	part, err := os.CreateTemp(dir, programName+".*")
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	defer os.Remove(part.Name())
	if _, err := io.Copy(part, source); err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	if err := part.Chmod(0o755); err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	if err := part.Close(); err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	if err := os.Rename(part.Name(), target); err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	return nil
}
