// terraform-runner does one run of a Terraform object. It is the process 1 of a runner pod.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "v0.0.0-dev"

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-runner:", err)
		leaveWord(terminationLog, err)
		os.Exit(1)
	}
}

// terminationLog is where the kubelet looks for a last word of a container. The controller passes it on when there is no report:
// a runner that does not reach the API server has no other way to say so.
const terminationLog = "/dev/termination-log"

// leaveWord does so where that file is: outside of a pod it is not made.
func leaveWord(path string, word error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	_, err = fmt.Fprintln(file, word)
	if err = errors.Join(err, file.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-runner: leave word:", err)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "terraform-runner",
		Short:         "Plans or applies one run of a Terraform object, inside its runner pod",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.AddCommand(runCommand(), installCommand(), gitCredentialCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	})
	return root
}
