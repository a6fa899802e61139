package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// gitCredentialCommand is a credential helper of git that never forgets: git's own one deletes a password that was refused, and
// the next module would fail for another reason.
func gitCredentialCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "git-credential FILE OPERATION",
		Short:  "Answer git with the file, which is in git's own format (a credential helper)",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] != "get" {
				return nil
			}
			answer, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the credentials for git: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(answer)
			return err
		},
	}
}
