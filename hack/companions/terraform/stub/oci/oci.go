// Package oci stands in for terraform's backend of that name, whose module the Go proxy does not serve.
package oci

import "github.com/hashicorp/terraform/internal/backend"

// New returns no backend: nothing here stores a state in Oracle's cloud.
func New() backend.Backend { return nil }
