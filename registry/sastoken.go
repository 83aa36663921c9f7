package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// sasToken is a parsed shared access signature. Source: IoT Hub devguide,
// control access with shared access signatures (SAS token structure).
type sasToken struct {
	// rawResource is sr exactly as received: encoders differ in what they
	// escape and in the case of the hex digits, so the signature is verified
	// over this text and never over a re-encoded one.
	rawResource string
	// signature is the decoded HMAC.
	signature []byte
	// rawExpiry is se as received, part of the signed text.
	rawExpiry string
	expiry    time.Time
	policy    string
	// host is lower case and without port; path has no slashes at its ends.
	host, path string
}

const (
	sasPrefix = "SharedAccessSignature "
	// maxToken bounds the text before anything is parsed.
	maxToken = 8 << 10
	// maxExpiry is the last second of the year 9999; later ones are cut to it.
	maxExpiry = 253402300799
)

// parseSASToken parses "SharedAccessSignature sr=…&sig=…&se=…[&skn=…]", fields
// in any order. Fields of other names are passed over; one given twice, or one
// missing, is an error.
func parseSASToken(text string) (sasToken, error) {
	var t sasToken
	if len(text) > maxToken {
		return t, fmt.Errorf("the token is longer than %d bytes", maxToken)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), sasPrefix)
	if !ok {
		return t, fmt.Errorf("the token does not begin with %q", strings.TrimSpace(sasPrefix))
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(strings.TrimSpace(rest), "&") {
		name, value, _ := strings.Cut(field, "=")
		if _, twice := fields[name]; twice {
			return t, fmt.Errorf("the token has %s twice", strconv.Quote(name))
		}
		fields[name] = value
	}
	for _, name := range []string{"sr", "sig", "se"} {
		if fields[name] == "" {
			return t, fmt.Errorf("the token has no %s", name)
		}
	}
	t.rawResource, t.rawExpiry, t.policy = fields["sr"], fields["se"], unescape(fields["skn"])
	var err error
	if t.signature, err = base64.StdEncoding.DecodeString(unescape(fields["sig"])); err != nil {
		return t, fmt.Errorf("sig is not base64")
	}
	if t.expiry, err = parseExpiry(t.rawExpiry); err != nil {
		return t, err
	}
	t.host, t.path = splitResource(unescape(t.rawResource))
	return t, nil
}

func parseExpiry(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("se is not a count of seconds")
	}
	return time.Unix(min(n, maxExpiry), 0), nil
}

// unescape decodes percent escapes and leaves + alone; text that is not
// properly escaped was not escaped at all.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// splitResource cuts a decoded resource into host and path. A scheme (the
// Event Hubs form sb://, a CBS audience) and a port do not matter.
func splitResource(s string) (host, path string) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	host, path, _ = strings.Cut(s, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]")), strings.Trim(path, "/")
}

// signingKey is one key in both readings: the bytes that its base64 text stands
// for, which sign IoT Hub tokens, and the text itself, which signs Event Hubs
// tokens made from the same key.
type signingKey struct {
	decoded, text []byte
}

func signingKeys(keys ...string) ([]signingKey, error) {
	var out []signingKey
	for _, k := range keys {
		if k == "" {
			continue
		}
		decoded, err := base64.StdEncoding.DecodeString(k)
		if err != nil || len(decoded) == 0 {
			return nil, fmt.Errorf("a key is not base64")
		}
		out = append(out, signingKey{decoded: decoded, text: []byte(k)})
	}
	return out, nil
}

// signedBy reports whether one of the keys made the signature.
func (t sasToken) signedBy(keys []signingKey) bool {
	for _, k := range keys {
		if t.matches(k.decoded) || t.matches(k.text) {
			return true
		}
	}
	return false
}

func (t sasToken) matches(key []byte) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t.rawResource))
	mac.Write([]byte{'\n'})
	mac.Write([]byte(t.rawExpiry))
	return hmac.Equal(mac.Sum(nil), t.signature)
}

// SignSASToken makes a shared access signature for a decoded resource such as
// "host" or "host/devices/d" with a base64 key, valid until expiry. policy is
// empty for a device's own key. It is what the command line and tests use.
func SignSASToken(resource, policy, key string, expiry time.Time) (string, error) {
	keys, err := signingKeys(key)
	if err != nil || len(keys) == 0 {
		return "", fmt.Errorf("registry: the key is not base64")
	}
	sr, se := url.QueryEscape(resource), strconv.FormatInt(expiry.Unix(), 10)
	mac := hmac.New(sha256.New, keys[0].decoded)
	mac.Write([]byte(sr + "\n" + se))
	token := sasPrefix + "sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
	if policy != "" {
		token += "&skn=" + url.QueryEscape(policy)
	}
	return token, nil
}
