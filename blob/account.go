package blob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The account of Server: the name and key that storage emulators have and
// Microsoft publishes, so that tools know them.
// Source: Connect to Azurite (well-known storage account and key).
const (
	EmulatorAccount = "devstoreaccount1"
	EmulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Account is a storage account that somebody has the key of.
type Account struct {
	Name string
	Key  []byte
	// Endpoint is the address of its blob service without a slash at the end; a
	// storage emulator's has the account's name as its path.
	Endpoint string
}

// ConnectionString returns the account as programs take it. It is a secret.
func (a Account) ConnectionString() string {
	protocol, _, _ := strings.Cut(a.Endpoint, "://")
	return fmt.Sprintf("DefaultEndpointsProtocol=%s;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;",
		protocol, a.Name, base64.StdEncoding.EncodeToString(a.Key), a.Endpoint)
}

// signedVersion is the version of the signatures that Account makes.
const signedVersion = "2021-12-02"

// sasTime is how signatures write times, to the second.
const sasTime = "2006-01-02T15:04:05Z"

// BlobSAS returns a signature for one blob, with a question mark in front.
// permissions are letters in the order racwd. It is valid from five minutes ago,
// for clocks that differ, until expiry.
func (a Account) BlobSAS(container, blob, permissions string, now, expiry time.Time) string {
	return a.serviceSAS(container, blob, "b", permissions, now, expiry)
}

// ContainerSAS is BlobSAS for a container and all in it; permissions are in the
// order racwdl.
func (a Account) ContainerSAS(container, permissions string, now, expiry time.Time) string {
	return a.serviceSAS(container, "", "c", permissions, now, expiry)
}

func (a Account) serviceSAS(container, blob, resource, permissions string, now, expiry time.Time) string {
	q := url.Values{
		"sv": {signedVersion}, "sr": {resource}, "sp": {permissions},
		"st": {now.Add(-5 * time.Minute).UTC().Format(sasTime)}, "se": {expiry.UTC().Format(sasTime)},
	}
	return a.seal(q, serviceText(a.Name, container, blob, q))
}

func (a Account) seal(q url.Values, text string) string {
	q.Set("sig", a.sign(text))
	return "?" + q.Encode()
}

// sign returns the HMAC of text in base64.
func (a Account) sign(text string) string {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// serviceText is what a service SAS signs. Fields came and went with versions.
// Source: Create a service SAS (specify the string to sign).
func serviceText(account, container, blob string, q url.Values) string {
	resource := "/blob/" + account + "/" + container
	if q.Get("sr") == "b" {
		resource += "/" + blob
	}
	version := q.Get("sv")
	fields := []string{q.Get("sp"), q.Get("st"), q.Get("se"), resource, q.Get("si"), q.Get("sip"), q.Get("spr"), version}
	if version >= "2018-11-09" {
		fields = append(fields, q.Get("sr"), "") // no snapshot
	}
	if version >= "2020-12-06" {
		fields = append(fields, q.Get("ses"))
	}
	return strings.Join(append(fields, q.Get("rscc"), q.Get("rscd"), q.Get("rsce"), q.Get("rscl"), q.Get("rsct")), "\n")
}

// accountText is what an account SAS signs.
// Source: Create an account SAS (construct the signature string).
func accountText(account string, q url.Values) string {
	fields := []string{account, q.Get("sp"), q.Get("ss"), q.Get("srt"), q.Get("st"), q.Get("se"), q.Get("sip"), q.Get("spr"), q.Get("sv")}
	if q.Get("sv") >= "2020-12-06" {
		fields = append(fields, q.Get("ses"))
	}
	return strings.Join(fields, "\n") + "\n"
}

// BlobURI returns the address of a blob, without a signature.
func (a Account) BlobURI(container, blob string) string {
	parts := strings.Split(blob, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return a.Endpoint + "/" + container + "/" + strings.Join(parts, "/")
}
