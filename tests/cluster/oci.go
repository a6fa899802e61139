package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"slices"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What Flux's CLI pushes.
const (
	ociConfig = types.MediaType("application/vnd.cncf.flux.config.v1+json")
	ociLayer  = types.MediaType("application/vnd.cncf.flux.content.v1.tar+gzip")
)

// Registry is the cluster's OCI registry. It serves over plain HTTP without authentication.
type Registry struct{ host string }

func (c *Cluster) startRegistry(context.Context) error {
	if c.opts.WithoutSources {
		return nil
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	c.Registry = &Registry{host: server.Listener.Addr().String()}
	c.onStop(func() error { server.Close(); return nil })
	return nil
}

// URL is where an OCIRepository finds the repository of that name; it has to be insecure.
func (r *Registry) URL(repository string) string { return "oci://" + r.host + "/" + repository }

// Push pushes files (path to content) as `flux push artifact` does, and moves the tag. It returns the artifact's digest.
func (r *Registry) Push(ctx context.Context, repository, tag string, files map[string]string) (digest string, err error) {
	content, err := Tarball(files)
	if err != nil {
		return "", err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), ociConfig)
	if image, err = mutate.AppendLayers(image, static.NewLayer(content, ociLayer)); err != nil {
		return "", fmt.Errorf("making an artifact: %w", err)
	}
	if err := crane.Push(image, r.host+"/"+repository+":"+tag, crane.Insecure, crane.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("pushing %s:%s: %w", repository, tag, err)
	}
	hash, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("reading the artifact's digest: %w", err)
	}
	return hash.String(), nil
}

// Tarball is an archive of files (path to content), compressed, as source-controller makes them.
func Tarball(files map[string]string) ([]byte, error) {
	var buf bytes.Buffer
	compressed := gzip.NewWriter(&buf)
	archive := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name]))}); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
		if _, err := io.WriteString(archive, files[name]); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("packing files: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return nil, fmt.Errorf("compressing files: %w", err)
	}
	return buf.Bytes(), nil
}
