package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fluxcd/pkg/tar"

	"github.com/terraform-controller/terraform-controller/internal/source"
)

const (
	// maxExtras limits the packed files that travel with a plan, in bytes.
	maxExtras = 8 << 20
	// maxUnpackedExtras limits them unpacked.
	maxUnpackedExtras = 256 << 20

	dataDir = ".terraform"
)

// errExtrasTooLarge says that the files of a plan do not fit.
var errExtrasTooLarge = fmt.Errorf("they are larger than %d MiB", maxExtras>>20)

// files is what lies in a working directory: by path, what changes when a file is written.
type files map[string]fileVersion

type fileVersion struct {
	size     int64
	modified time.Time
}

// notExtra are files that are made during a plan and travel by themselves.
func notExtra(name string) bool {
	return name == planFile || name == lockFile
}

// snapshot lists the files under root, without those of the engine.
func snapshot(root string) (files, error) {
	found := files{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == dataDir:
			return fs.SkipDir
		case !d.Type().IsRegular() || notExtra(d.Name()):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found[path] = fileVersion{size: info.Size(), modified: info.ModTime()}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the files in the working directory: %w", err)
	}
	return found, nil
}

// packNew packs the files under root that appeared, or were written, since the snapshot: what a plan has made and its
// apply needs, like the archive of a function. The result is a tar.gz, nil when there are none.
func packNew(root string, before files) ([]byte, error) {
	after, err := snapshot(root)
	if err != nil {
		return nil, err
	}
	for path, version := range after {
		if before[path] == version {
			delete(after, path)
		}
	}
	if len(after) == 0 {
		return nil, nil
	}
	packed := &capped{room: maxExtras}
	other := func(path string, info os.FileInfo) bool {
		_, made := after[path]
		return !made && !info.IsDir()
	}
	if _, err := tar.Tar(root, packed, tar.WithFilter(other)); err != nil {
		return nil, fmt.Errorf("pack the files that the plan has made: %w", err)
	}
	return packed.Bytes(), nil
}

// unpack puts packed files back.
func unpack(root string, packed []byte) error {
	if len(packed) == 0 {
		return nil
	}
	if err := source.Unpack(bytes.NewReader(packed), root, maxUnpackedExtras); err != nil {
		return fmt.Errorf("unpack the files that the plan has made: %w", err)
	}
	return nil
}

// capped fails when more is written than fits.
type capped struct {
	bytes.Buffer
	room int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > c.room {
		return 0, errExtrasTooLarge
	}
	return c.Buffer.Write(p)
}

// readOptional reads a file that need not be there.
func readOptional(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
