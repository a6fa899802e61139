package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Buckets is the cluster's S3 server. It serves over plain HTTP, and takes any credentials.
type Buckets struct {
	// Endpoint is its host and port, as a Bucket names it; it has to be insecure.
	Endpoint string

	backend gofakes3.Backend
	url     string
}

func (c *Cluster) startBuckets(context.Context) error {
	if c.opts.WithoutSources {
		return nil
	}
	backend := s3mem.New()
	server := httptest.NewServer(gofakes3.New(backend).Server())
	c.Buckets = &Buckets{Endpoint: server.Listener.Addr().String(), backend: backend, url: server.URL}
	c.onStop(func() error { server.Close(); return nil })
	return nil
}

// Put writes files (path to content) to a bucket, which it makes when there is none.
func (b *Buckets) Put(ctx context.Context, bucket string, files map[string]string) error {
	exists, err := b.backend.BucketExists(bucket)
	if err != nil {
		return fmt.Errorf("looking for bucket %s: %w", bucket, err)
	}
	if !exists {
		if err := b.put(ctx, bucket, ""); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := b.put(ctx, bucket+"/"+path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Buckets) put(ctx context.Context, path, content string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.url+"/"+path, strings.NewReader(content))
	if err != nil {
		return fmt.Errorf("putting %s: %w", path, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("putting %s: %w", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(resp.Body)
	return errors.Join(fmt.Errorf("putting %s: %s: %s", path, resp.Status, text), err)
}
