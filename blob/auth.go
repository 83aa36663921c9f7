package blob

import (
	"crypto/hmac"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// scope is what an operation works on.
type scope byte

// As srt of an account SAS names them.
const (
	onService   scope = 's'
	onContainer scope = 'c'
	onBlob      scope = 'o'
)

// need is what an operation asks of a credential: one of the permissions. A
// container's service SAS has listing and what is for blobs, never the
// container itself.
type need struct {
	scope       scope
	permissions string
}

// authorize checks the credential of a request: SharedKey, service SAS or account
// SAS. There is no anonymous access.
// Source: Authorize requests to Azure Storage.
func (s *Server) authorize(r *request, n need) error {
	if header := r.Header.Get("Authorization"); header != "" {
		return s.checkSharedKey(r, header)
	}
	q := r.query
	switch {
	case q.Get("sig") == "":
		return refuse(http.StatusUnauthorized, "NoAuthenticationInformation",
			"Server failed to authenticate the request: it has neither an Authorization header nor a signature.")
	case q.Get("skoid") != "":
		return unauthenticated("user delegation signatures need Microsoft Entra, which the emulator does not have")
	case q.Get("si") != "":
		return unauthenticated("there are no stored access policies")
	case q.Get("sv") < "2015-04-05" || len(q.Get("sv")) != len(time.DateOnly):
		return unauthenticated("the signature's version sv must be 2015-04-05 or later")
	}
	var err error
	if q.Get("ss") != "" {
		err = s.checkAccountSAS(q, n)
	} else {
		err = s.checkServiceSAS(r, q, n)
	}
	if err == nil {
		err = s.checkSASLimits(r, q)
	}
	if err != nil {
		return err
	}
	if !strings.ContainsAny(q.Get("sp"), n.permissions) {
		return refuse(http.StatusForbidden, "AuthorizationPermissionMismatch",
			"This request is not authorized to perform this operation using this permission: it needs one of %q.", n.permissions)
	}
	return nil
}

func unauthenticated(why string) *Error {
	return refuse(http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request: %s.", why)
}

// matches compares a signature in constant time.
func (s *Server) matches(text, signature string) bool {
	return hmac.Equal([]byte(s.account.sign(text)), []byte(signature))
}

func (s *Server) checkAccountSAS(q url.Values, n need) error {
	switch {
	case !s.matches(accountText(s.account.Name, q), q.Get("sig")):
		return unauthenticated("the signature does not match")
	case !strings.Contains(q.Get("ss"), "b"):
		return refuse(http.StatusForbidden, "AuthorizationServiceMismatch", "The signature is not for the blob service.")
	case !strings.ContainsRune(q.Get("srt"), rune(n.scope)):
		return refuse(http.StatusForbidden, "AuthorizationResourceTypeMismatch", "The signature is not for this type of resource.")
	}
	return nil
}

func (s *Server) checkServiceSAS(r *request, q url.Values, n need) error {
	switch sr := q.Get("sr"); {
	case sr != "b" && sr != "c":
		return unauthenticated("sr must be b or c")
	case !s.matches(serviceText(s.account.Name, r.container, r.blob, q), q.Get("sig")):
		return unauthenticated("the signature does not match")
	case n.scope == onBlob:
		return nil
	case sr != "c" || n.scope != onContainer || n.permissions != "l":
		return refuse(http.StatusForbidden, "AuthorizationResourceTypeMismatch", "The signature is not for this type of resource.")
	}
	return nil
}

// checkSASLimits checks times, protocol and address.
func (s *Server) checkSASLimits(r *request, q url.Values) error {
	now := s.now()
	if text := q.Get("st"); text != "" {
		if start, ok := parseSASTime(text); !ok || now.Before(start) {
			return unauthenticated("the signature is not valid yet, or its start cannot be read")
		}
	}
	if expiry, ok := parseSASTime(q.Get("se")); !ok || !now.Before(expiry) {
		return unauthenticated("the signature has expired, or its expiry cannot be read")
	}
	if q.Get("spr") == "https" && r.TLS == nil {
		return refuse(http.StatusForbidden, "AuthorizationProtocolMismatch", "The signature is for HTTPS only.")
	}
	if text := q.Get("sip"); text != "" && !inRange(r.RemoteAddr, text) {
		return refuse(http.StatusForbidden, "AuthorizationSourceIPMismatch", "The signature is not for this source address.")
	}
	return nil
}

func parseSASTime(text string) (time.Time, bool) {
	for _, layout := range []string{sasTime, "2006-01-02T15:04Z", time.DateOnly, "2006-01-02T15:04:05.9999999Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// inRange reports whether the peer's address is the one, or between the two.
func inRange(remote, addresses string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	first, last, isRange := strings.Cut(addresses, "-")
	if !isRange {
		last = first
	}
	from, fromErr := netip.ParseAddr(first)
	to, toErr := netip.ParseAddr(last)
	peer = peer.Unmap()
	return fromErr == nil && toErr == nil && !peer.Less(from) && !to.Less(peer)
}

// maxClockSkew is how far a SharedKey request's date may be off.
const maxClockSkew = 15 * time.Minute

// checkSharedKey verifies a signature with the account's key over the request.
// Source: Authorize with Shared Key (Blob service, version 2009-09-19 and later).
func (s *Server) checkSharedKey(r *request, header string) error {
	scheme, credential, _ := strings.Cut(header, " ")
	name, signature, ok := strings.Cut(credential, ":")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return unauthenticated("the emulator knows no Microsoft Entra tokens")
	case scheme != "SharedKey" || !ok:
		return unauthenticated("the Authorization header must be SharedKey account:signature")
	case name != s.account.Name:
		return unauthenticated("the account of the Authorization header is another one")
	}
	dateText := r.Header.Get("x-ms-date")
	if dateText == "" {
		dateText = r.Header.Get("Date")
	}
	date, err := http.ParseTime(dateText)
	if err != nil || s.real().Sub(date).Abs() > maxClockSkew {
		return unauthenticated("the request's date is missing or more than 15 minutes away")
	}
	if !s.matches(sharedKeyText(s.account.Name, r.Request), signature) {
		return unauthenticated("the signature does not match")
	}
	return nil
}

func sharedKeyText(account string, r *http.Request) string {
	length := r.Header.Get("Content-Length")
	if length == "" && r.ContentLength > 0 {
		length = itoa(r.ContentLength)
	}
	if length == "0" {
		length = ""
	}
	date := r.Header.Get("Date")
	if r.Header.Get("x-ms-date") != "" {
		date = ""
	}
	h := r.Header
	fields := []string{
		r.Method, h.Get("Content-Encoding"), h.Get("Content-Language"), length, h.Get("Content-MD5"), h.Get("Content-Type"), date,
		h.Get("If-Modified-Since"), h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Unmodified-Since"), h.Get("Range"),
	}
	text := strings.Join(fields, "\n") + "\n"
	var names []string
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + ":" + strings.Join(h.Values(name), ",") + "\n"
	}
	text += "/" + account + r.URL.EscapedPath()
	parameters := map[string][]string{}
	for name, values := range r.URL.Query() {
		lower := strings.ToLower(name)
		parameters[lower] = append(parameters[lower], values...)
	}
	for _, name := range sortedKeys(parameters) {
		values := parameters[name]
		slices.Sort(values)
		text += "\n" + name + ":" + strings.Join(values, ",")
	}
	return text
}
