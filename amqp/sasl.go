package amqp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Mechanism is one SASL mechanism on offer (OASIS AMQP 1.0 5.3). [Plain], [Anonymous] and [External] make the
// common ones; others, with challenges or not, are made by filling in the fields.
type Mechanism struct {
	// Name as announced, e.g. "PLAIN".
	Name string
	// New starts one exchange with one client.
	New func() Exchange
}

// Exchange is a running SASL exchange. It is called with the client's initial response (nil if there was none), then
// with each answer to a challenge. It returns either the next challenge (cred nil), or the credentials it
// found, which go to the [Authenticator], or an error, which refuses the client.
type Exchange func(response []byte) (challenge []byte, cred *Credentials, err error)

// Credentials are what a client claimed and proved during SASL, before judgement.
type Credentials struct {
	// Mechanism is the name the client chose.
	Mechanism string
	// Username and Password as sent with PLAIN. ANONYMOUS puts its trace text, if any, into Username.
	Username, Password string
	// AuthorizationID is the identity to act as, if the client named one.
	AuthorizationID string
	// Hostname as named in sasl-init, or "".
	Hostname string
	// Conn is the client's connection, for its addresses.
	Conn net.Conn
	// TLS is the state of the connection if it is TLS, else nil. EXTERNAL judges by its client certificate.
	TLS *tls.ConnectionState
	// Extra is for mechanisms of one's own.
	Extra any
}

// Authenticator judges credentials. It returns an opaque principal, kept as [Conn.Principal], or an error: a [SASLRefusal]
// chooses the outcome code, any other error means [wire.SASLAuth]. The error's text goes to the log only; it must
// hold no secret. ctx ends with the handshake time-out or the connection.
type Authenticator func(ctx context.Context, cred Credentials) (principal any, err error)

// SASLRefusal is an error that chooses the outcome code of a refused exchange.
type SASLRefusal struct {
	Code   wire.SASLCode // not SASLOK
	Reason string        // for the log
}

func (r *SASLRefusal) Error() string { return fmt.Sprintf("sasl refused (%d): %s", r.Code, r.Reason) }

var errSASLResponse = errors.New("malformed sasl response")

// Plain is the PLAIN mechanism (RFC 4616): [authzid] NUL user NUL password.
func Plain() Mechanism {
	return Mechanism{Name: "PLAIN", New: func() Exchange {
		return func(response []byte) ([]byte, *Credentials, error) {
			if response == nil { // allowed: the client waits for an empty challenge
				return []byte{}, nil, nil
			}
			parts := bytes.Split(response, []byte{0})
			if len(parts) != 3 || len(parts[1]) == 0 || !utf8.Valid(response) {
				return nil, nil, errSASLResponse
			}
			return nil, &Credentials{
				AuthorizationID: string(parts[0]),
				Username:        string(parts[1]),
				Password:        string(parts[2]),
			}, nil
		}
	}}
}

// Anonymous is the ANONYMOUS mechanism (RFC 4505), under any name: some vendors announce an alias of their own. The
// trace text is tolerated whatever it holds.
func Anonymous(name string) Mechanism {
	return Mechanism{Name: name, New: func() Exchange {
		return func(response []byte) ([]byte, *Credentials, error) {
			return nil, &Credentials{Username: string(bytes.Trim(response, "\x00"))}, nil
		}
	}}
}

// External is the EXTERNAL mechanism (RFC 4422 appendix A): the client is whom its TLS certificate says. The
// authenticator finds the certificate in [Credentials.TLS].
func External() Mechanism {
	return Mechanism{Name: "EXTERNAL", New: func() Exchange {
		return func(response []byte) ([]byte, *Credentials, error) {
			return nil, &Credentials{AuthorizationID: string(response)}, nil
		}
	}}
}
