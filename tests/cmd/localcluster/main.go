// Localcluster starts a whole local cluster with the product in it, see tests/local, and keeps it until it is told to stop:
//
//	go run ./tests/cmd/localcluster up --dir DIR      # in the foreground, until SIGINT or SIGTERM
//	go run ./tests/cmd/localcluster down --dir DIR    # stops it from elsewhere
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/demo"
	"github.com/terraform-controller/terraform-controller/tests/local"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

func main() {
	node.MaybeChild()
	log.SetOutput(io.Discard) // the git server tells of each request
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "localcluster", Short: "A local cluster with terraform-controller in it", SilenceErrors: true, SilenceUsage: true}
	opts := local.Options{}
	root.PersistentFlags().StringVar(&opts.Dir, "dir", "", "folder of the cluster")
	if err := root.MarkPersistentFlagRequired("dir"); err != nil {
		panic(err) // the flag is defined just above
	}
	var show, once bool
	upCommand := &cobra.Command{
		Use: "up", Short: "Start the cluster and keep it until SIGINT or SIGTERM", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = logger()
			return up(cmd.Context(), opts, afterStart(opts.Root, show, once))
		},
	}
	upCommand.Flags().StringVar(&opts.Root, "root", ".", "root folder of the repository")
	upCommand.Flags().StringToStringVar(&opts.Images, "image", nil, "an image that pods can use: NAME=FOLDER")
	upCommand.Flags().BoolVar(&show, "demo", false, "show the demo first")
	upCommand.Flags().BoolVar(&once, "once", false, "stop the cluster instead of keeping it")
	downCommand := &cobra.Command{
		Use: "down", Short: "Stop the cluster, wait until it is gone and remove all of it but its logs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), opts.Dir) },
	}
	root.AddCommand(upCommand, downCommand)
	return root
}

func logger() logr.Logger {
	log := textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1), textlogger.Output(os.Stderr)))
	klog.SetLogger(log)
	return log
}

// afterStart is what happens on a cluster that is up: the demo, and then, unless it is only for once, nothing until the
// end.
func afterStart(root string, show, once bool) func(context.Context, *local.System) error {
	return func(ctx context.Context, system *local.System) error {
		if show {
			if err := demo.Run(ctx, system, root, os.Stdout); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
		}
		if once {
			return nil
		}
		fmt.Printf("The cluster is up.\n  export KUBECONFIG=%s\n  git server: %s\n", system.Kubeconfig(), system.Git.URL())
		<-ctx.Done()
		return nil
	}
}

// up runs a cluster with the product, and on it what is to happen then. Of the cluster only the logs stay.
func up(ctx context.Context, opts local.Options, then func(context.Context, *local.System) error) (err error) {
	release, err := claim(opts.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Clear(opts.Dir), release()) }()
	system, err := local.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, system.Stop()) }()
	return then(ctx, system)
}
