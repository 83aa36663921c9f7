package registry

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/hubnerite/hubnerite/iothub"
)

// newETag returns the first etag of an identity: base64 of a decimal counter
// that starts anywhere, so that a re-created identity does not repeat old ones.
func newETag() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return encodeETag(uint64(binary.BigEndian.Uint32(b[:])))
}

// nextETag returns the etag after the given one.
func nextETag(etag string) string {
	text, err := base64.StdEncoding.DecodeString(etag)
	if err != nil {
		return newETag()
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return newETag()
	}
	return encodeETag(n + 1)
}

func encodeETag(n uint64) string {
	return base64.StdEncoding.EncodeToString([]byte(strconv.FormatUint(n, 10)))
}

// matchETag compares an If-Match value with the current etag; no value matches anything.
func matchETag(ifMatch, etag string) error {
	if iothub.ETagMatches(ifMatch, etag) {
		return nil
	}
	return iothub.NewError(iothub.CodePreconditionFailed, "Precondition failed: the etag is %q now.", etag)
}
