package emulator

import (
	"context"
	"log/slog"
	"strings"
)

// hintUntrusted is for a client that does not trust the server's certificate.
const hintUntrusted = `the client seems not to trust the certificate: run it with "hubnerite exec" or after eval "$(hubnerite env)"; "hubnerite doctor" looks further`

// hintNoTLS is for a client that speaks plain text to a port with TLS.
const hintNoTLS = "the client speaks without TLS to a port with TLS"

// tlsHint returns what to do about the error of a handshake, and nothing when it
// says enough itself or means nothing to a user.
//
// A client that refuses a certificate says so by an alert. OpenSSL, and with it
// Python and Node.js, does not encrypt that alert in TLS 1.3 before its own keys are
// in use, which crypto/tls can only take for a record that somebody changed.
func tlsHint(err string) string {
	for _, alert := range []string{
		"tls: bad certificate", "tls: unknown certificate", "tls: expired certificate", "tls: unsupported certificate",
		"local error: tls: bad record MAC",
	} {
		if strings.Contains(err, alert) {
			return hintUntrusted
		}
	}
	if strings.Contains(err, "first record does not look like a TLS handshake") {
		return hintNoTLS
	}
	return ""
}

// hintLog adds hints to the lines with which front ends tell of a connection that
// failed, and makes warnings of them. Front ends do not know of certificates, nor of the commands that help.
type hintLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h hintLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "MQTT connection") || strings.HasPrefix(r.Message, "amqp connection") || r.Message == handshakeFailed {
		hint := ""
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "err" {
				hint = tlsHint(a.Value.String())
			}
			return hint == ""
		})
		if hint != "" {
			r = r.Clone()
			r.Level = max(r.Level, slog.LevelWarn)
			r.AddAttrs(slog.String("hint", hint))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h hintLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return hintLog{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h hintLog) WithGroup(name string) slog.Handler { return hintLog{h.Handler.WithGroup(name)} }
