package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// packed is a tar.gz with what write puts into it. Errors of tar are left out: half an archive is one, too.
func packed(write func(*tar.Writer)) []byte {
	var buf bytes.Buffer
	zipped, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	w := tar.NewWriter(zipped)
	write(w)
	_ = w.Close()
	_ = zipped.Close()
	return buf.Bytes()
}

// of is an archive of one entry, and an innocent one before it.
func of(header tar.Header) []byte {
	return packed(func(w *tar.Writer) {
		_ = w.WriteHeader(&tar.Header{Name: "main.tf", Typeflag: tar.TypeReg, Mode: 0o600, Size: 1})
		_, _ = w.Write([]byte("x"))
		header.Mode = 0o644
		_ = w.WriteHeader(&header)
		_, _ = w.Write([]byte(strings.Repeat("x", int(header.Size))))
	})
}

// raw is an archive of headers that tar.Writer would not write.
func raw(headers ...func(block []byte)) []byte {
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	for _, change := range headers {
		block := make([]byte, 512)
		copy(block, "file")
		copy(block[100:], "0000644\x00")
		copy(block[124:], "00000000000\x00")
		copy(block[257:], "ustar\x0000")
		block[156] = tar.TypeReg
		change(block)
		copy(block[148:], "        ")
		sum := 0
		for _, b := range block {
			sum += int(b)
		}
		copy(block[148:], strconv.FormatInt(int64(sum), 8)+"\x00")
		_, _ = zipped.Write(block)
	}
	_, _ = zipped.Write(make([]byte, 1024))
	_ = zipped.Close()
	return buf.Bytes()
}

// sized gives a header a size in base 256, up to 2^63-1.
func sized(size uint64) func([]byte) {
	return func(block []byte) {
		copy(block[124:], "\x80\x00\x00\x00")
		binary.BigEndian.PutUint64(block[128:], size)
	}
}

func sum(most int64) func([]byte) {
	return func(b []byte) { copy(b[124:], strconv.FormatInt(most, 8)+"\x00") }
}

// outside is a folder with a neighbour that nothing may touch; the archive belongs into its folder in.
func outside(t *testing.T) (in string, untouched func() bool) {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "neighbour"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "in"), func() bool {
		content, err := os.ReadFile(filepath.Join(root, "neighbour"))
		entries, listErr := os.ReadDir(root)
		return err == nil && listErr == nil && string(content) == "mine" && len(entries) <= 2
	}
}

func TestUnpack_RefusesHostileArchivesBeforeAnythingIsWritten(t *testing.T) {
	const most = 1 << 20
	for _, tc := range []struct {
		name, why string
		archive   []byte
		says      string
	}{
		{"up", "it would write beside the folder", of(tar.Header{Name: "../neighbour", Typeflag: tar.TypeReg, Size: 1}), `"../neighbour" leads out`},
		{"up from within", "so would this", of(tar.Header{Name: "a/../../neighbour", Typeflag: tar.TypeReg, Size: 1}), "leads out"},
		{"up at the end", "the folder's own parent", of(tar.Header{Name: "a/..", Typeflag: tar.TypeReg}), "leads out"},
		{"up alone", "the folder's own parent", of(tar.Header{Name: "..", Typeflag: tar.TypeDir}), "leads out"},
		{"up, with backslashes", "some systems take them for slashes", of(tar.Header{Name: `..\neighbour`, Typeflag: tar.TypeReg, Size: 1}), "characters"},
		{"absolute", "it would write anywhere", of(tar.Header{Name: "/etc/cron.d/x", Typeflag: tar.TypeReg, Size: 1}), "not one below a folder"},
		{"absolute folder", "it would make it anywhere", of(tar.Header{Name: "/etc/cron.d/", Typeflag: tar.TypeDir}), "not one below a folder"},
		{"the folder itself", "a file would be in its place", of(tar.Header{Name: ".", Typeflag: tar.TypeReg}), "the folder's own"},
		{"no name", "there is no such file", raw(func(b []byte) { b[0] = 0; copy(b, "\x00\x00\x00\x00") }), "not one below a folder"},
		{"hard link out", "it would show what is there", of(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../neighbour"}), `"x" is a hard link`},
		{"hard link within", "an empty file would be made of it", of(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "main.tf"}), "hard link"},
		{"character device", "no module needs one", of(tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}), `"null" is a device`},
		{"block device", "no module needs one", of(tar.Header{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}), "device"},
		{"pipe", "who reads it would wait for ever", of(tar.Header{Name: "p", Typeflag: tar.TypeFifo}), "device"},
		{"unknown kind", "what we don't know we don't make", raw(func(b []byte) { b[156] = 'V' }), "neither file nor folder"},
		{"long part", "no file system takes it", of(tar.Header{Name: strings.Repeat("n", 300), Typeflag: tar.TypeReg}), "more than 255 bytes"},
		{"long name", "no file system takes it", of(tar.Header{Name: strings.Repeat("n/", 2000), Typeflag: tar.TypeDir}), "more than 2048 bytes"},
		{"larger than allowed", "it would fill the disk", of(tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: most}), `"big" and what is before it have more than 1048576 bytes`},
		{"a size of 8 EiB", "a sum of sizes would overflow", raw(sum(0), sized(math.MaxInt64)), "more than 1048576 bytes"},
		{"sizes that overflow", "their sum is negative", raw(sized(1), func([]byte) {}, sized(math.MaxInt64)), "more than 1048576 bytes"},
		{"a negative size", "it would be taken for nothing", raw(func(b []byte) { b[124] = 0xff }), "no tar archive"},
		{"cut", "half a module is none", of(tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 100})[:60], "no tar archive"},
		{"no archive", "an error page of some proxy", []byte("<html>"), "no gzip archive"},
		{"empty", "nothing is no module", nil, "no gzip archive"},
		{"more behind it", "nobody looks there", behind(4 << 20), "more behind its end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			dir, untouched := outside(t)
			err := Unpack(bytes.NewReader(tc.archive), dir, most)
			_, refusal := errors.AsType[*ArchiveError](err)
			g.Expect(refusal).To(BeTrue(), "%v: %s", err, tc.why)
			g.Expect(err.Error()).To(ContainSubstring(tc.says))
			g.Expect(len(err.Error())).To(BeNumerically("<", 400), "a name is no way to fill a status")
			g.Expect(untouched()).To(BeTrue(), tc.why)
			_, err = os.Lstat(dir)
			g.Expect(err).To(MatchError(fs.ErrNotExist), "nothing at all is written")
		})
	}
}

// behind is an archive with zeros behind its end.
func behind(size int) []byte {
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	_, _ = zipped.Write(make([]byte, 1024+size))
	_ = zipped.Close()
	return buf.Bytes()
}

func TestUnpack_TwoEntriesAtOnePlace(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"a file where a folder is":  {{Name: "a/b", Typeflag: tar.TypeReg}, {Name: "a", Typeflag: tar.TypeReg}},
		"a folder where a file is":  {{Name: "a", Typeflag: tar.TypeReg}, {Name: "a/", Typeflag: tar.TypeDir}},
		"a file below a file":       {{Name: "a", Typeflag: tar.TypeReg}, {Name: "a/b", Typeflag: tar.TypeReg}},
		"a file below a file, deep": {{Name: "a", Typeflag: tar.TypeReg}, {Name: "a/b/c/d", Typeflag: tar.TypeReg}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir, untouched := outside(t)
			err := Unpack(bytes.NewReader(packed(func(w *tar.Writer) {
				for _, header := range entries {
					header.Mode = 0o644
					_ = w.WriteHeader(&header)
				}
			})), dir, 1<<20)
			_, refusal := errors.AsType[*ArchiveError](err)
			g.Expect(refusal).To(BeTrue(), "%v", err)
			g.Expect(untouched()).To(BeTrue())
		})
	}
}

// TestUnpack_SymlinksLeadNowhere: they are left out, so that what is behind them is in the archive's own folder.
func TestUnpack_SymlinksLeadNowhere(t *testing.T) {
	g := NewWithT(t)
	dir, untouched := outside(t)
	g.Expect(Unpack(bytes.NewReader(packed(func(w *tar.Writer) {
		for name, target := range map[string]string{"up": "..", "etc": "/etc", "file": "../neighbour"} {
			_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777})
		}
		for _, name := range []string{"up/neighbour", "etc/passwd", "file"} {
			_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o4755, Size: 1})
			_, _ = w.Write([]byte("x"))
		}
	})), dir, 1<<20)).To(Succeed())
	g.Expect(untouched()).To(BeTrue())
	g.Expect(os.ReadFile(filepath.Join(dir, "etc", "passwd"))).To(BeEquivalentTo("x"))
	info, err := os.Lstat(filepath.Join(dir, "file"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode()).To(Equal(fs.FileMode(0o755)), "no setuid")
}

// TestUnpack_MemoryIsBounded: whatever an archive promises, looking at it takes little.
func TestUnpack_MemoryIsBounded(t *testing.T) {
	million := packed(func(w *tar.Writer) {
		for i := range 1_000_000 {
			_ = w.WriteHeader(&tar.Header{Name: "f" + strconv.Itoa(i), Typeflag: tar.TypeReg, Mode: 0o600})
		}
	})
	zeros := packed(func(w *tar.Writer) {
		_ = w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o600, Size: 1 << 30})
		_, _ = io.CopyN(w, zero{}, 1<<30)
	})
	long := packed(func(w *tar.Writer) {
		for range 1000 {
			_ = w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Mode: 0o600, PAXRecords: map[string]string{"COMMENT.x": strings.Repeat("c", 900_000)}})
		}
	})
	for _, tc := range []struct {
		name    string
		archive []byte
		says    string
	}{
		{"a million files", million, "more than 100000 files"},
		{"a GiB of zeros", zeros, "more than 536870912 bytes"},
		{"a GiB of headers", long, "its headers have more than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			dir, _ := outside(t)
			peak := peakOf(func() {
				err := Unpack(bytes.NewReader(tc.archive), dir, DefaultMaxBytes)
				g.Expect(err).To(MatchError(ContainSubstring(tc.says)))
			})
			g.Expect(peak>>20).To(BeNumerically("<=", 64), "MiB at a time")
			_, err := os.Lstat(dir)
			g.Expect(err).To(MatchError(fs.ErrNotExist))
			t.Logf("figure: %s in %d KiB is refused with %d MiB of memory", tc.name, len(tc.archive)>>10, peak>>20)
		})
	}
}

// zero is an endless file of zeros.
type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// peakOf is how much the heap grew at most while f ran, seen now and then.
func peakOf(f func()) uint64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := before.HeapAlloc
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			select {
			case <-done:
				peak <- most - before.HeapAlloc
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	f()
	close(done)
	return <-peak
}
