// Package bundle is how bytes get into Secrets of an object's namespace, and out again: packed, cut where one Secret can't
// hold them, and never unpacked beyond a bound.
package bundle

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	// ChunkSize limits the data of one Secret of several, in bytes.
	ChunkSize = 900 << 10

	// MaxSecret limits the data of a Secret that stands alone, in bytes: the API server takes 1 MiB with everything.
	MaxSecret = 1000 << 10
)

// TooLargeError is data that does not fit.
type TooLargeError struct {
	// Size of it in bytes; 0 where it was not read to its end.
	Size int
	// Max is what fits, in bytes.
	Max int
}

// Error says how large it is, and may be.
func (e *TooLargeError) Error() string {
	switch {
	case e.Size > 0:
	case e.Max >= 1<<20:
		return fmt.Sprintf("it is larger than %d MiB", e.Max>>20)
	default:
		return fmt.Sprintf("it is larger than %d KiB", e.Max>>10)
	}
	return fmt.Sprintf("it has %d bytes, and %d fit", e.Size, e.Max)
}

// Fits is a *TooLargeError when there is more than fits.
func Fits(size, most int) error {
	if size > most {
		return &TooLargeError{Size: size, Max: most}
	}
	return nil
}

// Pack compresses (gzip). The same content gives the same bytes.
func Pack(content []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return packed.Bytes(), nil
}

// Unpack gives back what Pack was given. What has more bytes than most is a *TooLargeError, and no more than that is
// ever held; what is cut or has something behind it is an error, too.
func Unpack(packed []byte, most int) ([]byte, error) {
	behind := bytes.NewReader(packed)
	content, err := Read(behind, most)
	if err == nil && behind.Len() > 0 {
		return nil, errors.New("there is more behind it")
	}
	return content, err
}

// Read is Unpack of a stream. Bytes behind the packed ones are left unread, if r is an io.ByteReader.
func Read(r io.Reader, most int) ([]byte, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	unzipped.Multistream(false)
	content, err := io.ReadAll(io.LimitReader(unzipped, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > most {
		return nil, &TooLargeError{Max: most}
	}
	return content, nil
}

// Chunks cuts data into pieces of ChunkSize; of nothing there are none.
func Chunks(data []byte) [][]byte { return slices.Collect(slices.Chunk(data, ChunkSize)) }

// Numbered is the name of a piece.
func Numbered(name string, i int) string { return name + "-" + strconv.Itoa(i) }
