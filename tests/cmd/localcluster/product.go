package main

import (
	"context"

	"github.com/terraform-controller/terraform-controller/tests/cluster"
)

// product is the place to install terraform-controller (CRDs, RBAC, its ServiceAccount) into the new cluster and to
// start its process there, by cluster.Install, ServiceAccountKubeconfig and StartProcess. It must not block: what
// it starts ends with the cluster.
func product(context.Context, *cluster.Cluster) error { return nil }
