package source

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	fluxtar "github.com/fluxcd/pkg/tar"
)

const (
	// maxEntries limits the files and folders of an archive.
	maxEntries = 100_000
	// maxHeaders limits what an archive has besides the content of files, unpacked, in bytes.
	maxHeaders = 256 << 20
	// maxPath and maxElement limit names, in bytes, to what file systems take.
	maxPath    = 2048
	maxElement = 255
)

// ArchiveError is an archive that is not unpacked, because of what is in it.
type ArchiveError struct {
	// Message says what.
	Message string
	// Err is the cause, when there is one.
	Err error
}

// Error is Message.
func (e *ArchiveError) Error() string { return e.Message }

// Unwrap is Err.
func (e *ArchiveError) Unwrap() error { return e.Err }

func refused(format string, args ...any) *ArchiveError {
	return &ArchiveError{Message: fmt.Sprintf(format, args...)}
}

// Unpack extracts a tar.gz into dir, which should be absent or empty; files and folders only, symlinks are left out. The
// archive is looked through before anything is written: names that lead out of dir, other kinds of files, more than most
// bytes of content and too many entries are an *ArchiveError. Other errors are the machine's.
//
// What fluxcd/pkg/tar does by itself is not enough: it has no limit for the number of files, makes an empty file of a hard link,
// and its sum of sizes overflows.
func Unpack(archive io.ReadSeeker, dir string, most int64) error {
	if err := inspect(archive, most); err != nil {
		return err
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err := fluxtar.Untar(archive, dir, fluxtar.WithMaxUntarSize(int(most)), fluxtar.WithSkipSymlinks())
	for _, clash := range []syscall.Errno{syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST} {
		if errors.Is(err, clash) {
			return &ArchiveError{Message: fmt.Sprintf("two entries can't be at one place: %v", err), Err: err}
		}
	}
	return err
}

// inspect reads an archive to its end.
func inspect(archive io.Reader, most int64) error {
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return &ArchiveError{Message: fmt.Sprintf("it is no gzip archive: %v", err), Err: err}
	}
	stream := &io.LimitedReader{R: unzipped, N: most + maxHeaders}
	entries := tar.NewReader(stream)
	left := most
	for count := 1; ; count++ {
		header, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			return rest(stream)
		case stream.N <= 0:
			return refused("its headers have more than %d MiB", maxHeaders>>20)
		case err != nil:
			return &ArchiveError{Message: fmt.Sprintf("it is no tar archive: %v", err), Err: err}
		case count > maxEntries:
			return refused("it has more than %d files and folders", maxEntries)
		}
		if err := acceptable(header); err != nil {
			return err
		}
		if header.Size > left {
			return refused("%q and what is before it have more than %d bytes", shown(header.Name), most)
		}
		left -= header.Size
	}
}

// rest is what follows the end of the archive: padding, up to a limit, and the check sum of gzip.
func rest(stream *io.LimitedReader) error {
	stream.N = maxPadding
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return &ArchiveError{Message: fmt.Sprintf("it is no gzip archive: %v", err), Err: err}
	}
	if stream.N <= 0 {
		return refused("there is more behind its end")
	}
	return nil
}

// maxPadding is more than any tar fills its last block up with, in bytes.
const maxPadding = 1 << 20

func acceptable(header *tar.Header) error {
	name := shown(header.Name)
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeXGlobalHeader:
	case tar.TypeLink:
		return refused("%q is a hard link", name)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return refused("%q is a device", name)
	default:
		return refused("%q is neither file nor folder (type %q)", name, header.Typeflag)
	}
	switch {
	case header.Name == "" || strings.HasPrefix(header.Name, "/"):
		return refused("the name %q is not one below a folder", name)
	case strings.ContainsAny(header.Name, "\\\x00"):
		return refused("the name %q has characters that no name here may have", name)
	case len(header.Name) > maxPath:
		return refused("the name %q has more than %d bytes", name, maxPath)
	}
	for element := range strings.SplitSeq(header.Name, "/") {
		if element == ".." {
			return refused("the name %q leads out of the archive", name)
		}
		if len(element) > maxElement {
			return refused("a part of the name %q has more than %d bytes", name, maxElement)
		}
	}
	if header.Typeflag != tar.TypeDir && path.Clean(header.Name) == "." {
		return refused("the name %q is the folder's own", name)
	}
	return nil
}

// shown is as much of a name as a message needs.
func shown(name string) string {
	const enough = 200
	if len(name) > enough {
		return name[:enough] + "..."
	}
	return name
}
