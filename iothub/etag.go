package iothub

import "strings"

// ETagMatches reports whether an If-Match value allows a write of something
// whose etag is the given one. SDKs send the etag bare or quoted, and the wildcard
// as * or "*"; no value allows everything.
func ETagMatches(ifMatch, etag string) bool {
	return IsWildcardETag(ifMatch) || bareETag(ifMatch) == etag
}

// IsWildcardETag reports whether an If-Match value names no particular etag:
// there is none, or it is a wildcard.
func IsWildcardETag(ifMatch string) bool {
	return strings.TrimSpace(ifMatch) == "" || bareETag(ifMatch) == "*"
}

// IsQuotedETag reports whether an If-Match value stands in quotes, as HTTP wants it.
func IsQuotedETag(ifMatch string) bool {
	want := strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/")
	return len(want) >= 2 && want[0] == '"' && want[len(want)-1] == '"'
}

func bareETag(ifMatch string) string {
	want := strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/")
	if IsQuotedETag(want) {
		want = want[1 : len(want)-1]
	}
	return want
}
