// Localcluster starts a whole local cluster, see tests/cluster, and keeps it until it is told to stop:
//
//	go run ./tests/cmd/localcluster up --dir DIR      # in the foreground, until SIGINT or SIGTERM
//	go run ./tests/cmd/localcluster down --dir DIR    # stops it from elsewhere
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
	"github.com/terraform-controller/terraform-controller/tests/node"
)

func main() {
	node.MaybeChild()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "localcluster", Short: "A local cluster for development", SilenceErrors: true, SilenceUsage: true}
	var dir string
	root.PersistentFlags().StringVar(&dir, "dir", "", "folder of the cluster")
	if err := root.MarkPersistentFlagRequired("dir"); err != nil {
		panic(err) // the flag is defined just above
	}
	opts := cluster.Options{}
	upCommand := &cobra.Command{
		Use: "up", Short: "Start the cluster and keep it until SIGINT or SIGTERM", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Dir, opts.Log = dir, logger()
			return up(cmd.Context(), opts, product)
		},
	}
	upCommand.Flags().StringVar(&opts.Bin, "bin", "bin", "folder of the programs, see hack/companions/build.sh")
	upCommand.Flags().StringToStringVar(&opts.Images, "image", nil, "an image that pods can use: NAME=FOLDER")
	downCommand := &cobra.Command{
		Use: "down", Short: "Stop the cluster and wait until it is gone", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), dir) },
	}
	root.AddCommand(upCommand, downCommand)
	return root
}

func logger() logr.Logger {
	log := textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1)))
	klog.SetLogger(log)
	return log
}

// up runs a cluster, and in it what install starts, until ctx is done.
func up(ctx context.Context, opts cluster.Options, install func(context.Context, *cluster.Cluster) error) (err error) {
	release, err := claim(opts.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	c, err := cluster.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if err := install(ctx, c); err != nil {
		return fmt.Errorf("installing the product: %w", err)
	}
	fmt.Printf("The cluster is up.\n  export KUBECONFIG=%s\n", c.Kubeconfig())
	if c.Git != nil {
		fmt.Printf("  git server: %s\n", c.Git.URL())
	}
	<-ctx.Done()
	return nil
}
