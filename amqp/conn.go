package amqp

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Conn is one client connection.
type Conn struct {
	cfg *Config
	nc  net.Conn
}

func newConn(cfg *Config, nc net.Conn) *Conn { return &Conn{cfg: cfg, nc: nc} }

func (c *Conn) serve(ctx context.Context) error { panic("soon") }

// NetConn is the connection as it was given to the server, for its addresses. It must not be read, written or
// closed.
func (c *Conn) NetConn() net.Conn { return c.nc }

// TLS is the state of the connection, or nil if it is not a *tls.Conn. For other wrappers, see [TLSConn].
func (c *Conn) TLS() *tls.ConnectionState { panic("soon") }

// ID is a short name of the connection for logs, unique in the process for practical purposes.
func (c *Conn) ID() string { panic("soon") }

// Principal is what the authenticator returned, or nil for a client that used no SASL.
func (c *Conn) Principal() any { panic("soon") }

// Mechanism is the name of the SASL mechanism used, or "" for a client that used no SASL.
func (c *Conn) Mechanism() string { panic("soon") }

// Open is the client's open frame: container id, hostname, properties and limits. Not to be changed. It is
// set from Handler.Open on.
func (c *Conn) Open() *wire.Open { panic("soon") }

// Value is what SetValue set, or nil. For the handler's use.
func (c *Conn) Value() any { panic("soon") }

// SetValue keeps v with the connection.
func (c *Conn) SetValue(v any) { panic("soon") }

// Context ends when the connection has ended, after all other handler calls and before Handler.Closed.
func (c *Conn) Context() context.Context { panic("soon") }

// Close ends the connection: what was sent before still goes out, then a close frame with err, or without error if
// err is nil; then the client's answer is awaited for [Config.CloseTimeout]. It does not wait itself, and only the
// first call counts.
func (c *Conn) Close(err *Error) { panic("soon") }

// Abort cuts the connection off without a close frame.
func (c *Conn) Abort() { panic("soon") }
