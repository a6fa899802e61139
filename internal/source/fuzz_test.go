package source

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzUnpack: whatever an archive says, nothing is written beside its folder, and nothing but files and folders in it.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(nil))
	for _, header := range []tar.Header{
		{Name: "main.tf", Typeflag: tar.TypeReg, Size: 3},
		{Name: "a/b/c", Typeflag: tar.TypeReg},
		{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		{Name: "../neighbour", Typeflag: tar.TypeReg, Size: 1},
		{Name: "x", Typeflag: tar.TypeLink, Linkname: "../neighbour"},
		{Name: strings.Repeat("long/", 60), Typeflag: tar.TypeDir},
	} {
		f.Add(of(header))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		const most = 1 << 16
		dir, untouched := outside(t)
		err := Unpack(bytes.NewReader(archive), dir, most)
		if !untouched() {
			t.Fatalf("something beside the folder was changed (%v)", err)
		}
		if err != nil {
			return
		}
		var size int64
		walkErr := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is neither file nor folder", path)
			}
			if info, err := d.Info(); err == nil && !d.IsDir() {
				size += info.Size()
			}
			return nil
		})
		if walkErr != nil && len(archive) > 0 {
			t.Log(walkErr)
		}
		if size > most {
			t.Errorf("%d bytes were written, %d are allowed", size, most)
		}
	})
}
